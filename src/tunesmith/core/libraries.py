"""Libraries that only some recipes need. Each is an extra; where it is missing, that is said."""

from __future__ import annotations

import os
from importlib.util import find_spec

from tunesmith.core.errors import Unsupported


def require_library(asked: str, library: str, extra: str, otherwise: str) -> None:
    """See that a library is there, without importing it.

    Args:
        asked: what needs it, as the recipe has it: `engine.optimizer=lion`.
        library: its name on the package index.
        extra: the extra of this package that installs it.
        otherwise: the setting that does without.

    Raises:
        Unsupported: with what to install, or where the library would fetch code.
    """
    package = library.replace("-", "_")
    if find_spec(package) is None:
        raise Unsupported(
            f"{asked} needs the library {library}, which is not installed. "
            f"Install it: pip install 'tunesmith[{extra}]'; or set {otherwise}."
        )
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    if package == "bitsandbytes" and not offline and find_spec("kernels"):
        raise Unsupported(
            f"{asked} needs bitsandbytes, which fetches code from the hub and runs "
            "it where the package kernels is installed, too. Set HF_HUB_OFFLINE=1 in the "
            "environment, or uninstall kernels."
        )
