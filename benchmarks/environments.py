"""A virtual environment for each peer, made on first use, with every version pinned.

All of them share the torch of the environment that runs the benchmark: it is linked, not copied,
so everyone is measured on one build, and nothing large is downloaded twice.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
from collections.abc import Callable
from importlib.metadata import distribution
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("environments")


class NotInstallable(Exception):
    """A peer's environment cannot be made here."""


def python_of(name: str, root: Path, tell: Callable[[str], None]) -> Path:
    """The Python of the peer environment `name` under `root`, made if it is not there.

    Raises NotInstallable with the last words of the installer.
    """
    folder, requirements = root / name, REQUIREMENTS / f"{name}.txt"
    python, mark = folder / "bin" / "python", folder / "installed"
    wanted = _fingerprint(requirements)
    if mark.exists() and mark.read_text() == wanted:
        return python
    tell(f"Setting up {folder} for {name}: takes a minute or two, once.")
    venv.EnvBuilder(clear=True, with_pip=True).create(folder)
    _link_torch(folder)
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [*map(str, command), "-r", str(requirements), _torch_pin()],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise NotInstallable(errors[-1] if errors else f"pip ended with {done.returncode}")
    mark.write_text(wanted)
    return python


def _fingerprint(requirements: Path) -> str:
    """Changes when the pins, Python or torch do."""
    parts = (requirements.read_text(), sys.version, _torch_pin())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _torch_pin() -> str:
    return f"torch=={distribution('torch').version}"


def _link_torch(folder: Path) -> None:
    """Put links to the packages of our torch in the environment; pip takes them as installed."""
    torch = distribution("torch")
    names = {file.parts[0] for file in torch.files or () if file.parts[0] != ".."}
    target = next((folder / "lib").glob("python*")) / "site-packages"
    for name in names - {"__pycache__"}:
        (target / name).symlink_to(str(torch.locate_file(name)))
