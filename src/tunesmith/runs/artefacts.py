"""The tuned weights as files: what they are by their hashes, and whether they still are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tunesmith.core.files import sha256

_WEIGHTS = "*.safetensors"


def hashes(artefact: Path) -> dict[str, str]:
    """SHA-256 of each file in the folder of an adapter or a model, by its name in there."""
    files = sorted(path for path in artefact.rglob("*") if path.is_file())
    return {path.relative_to(artefact).as_posix(): sha256(path) for path in files}


def damage(artefact: Path, recorded: Mapping[str, str] | None = None) -> str | None:
    """What is wrong with the folder, as the rest of a sentence about it; None if it is whole.

    `recorded` are the hashes that it had; without them only missing weights are found.
    """
    if not artefact.is_dir():
        return "is gone"
    if not any(path.stat().st_size for path in artefact.glob(_WEIGHTS)):
        return "holds no weights"
    return None if recorded is None else _difference(hashes(artefact), recorded)


def _difference(found: Mapping[str, str], recorded: Mapping[str, str]) -> str | None:
    if lost := sorted(recorded.keys() - found.keys()):
        return f"lacks {', '.join(lost)}"
    if changed := sorted(name for name, digest in recorded.items() if found[name] != digest):
        return f"has another {', '.join(changed)} than was judged"
    if new := sorted(found.keys() - recorded.keys()):
        return f"holds {', '.join(new)}, which was not there when it was judged"
    return None
