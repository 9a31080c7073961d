"""Which files of a tree of source code were written by its people: the others teach nothing of it.

A file that is named itself is read, whatever it is; what is said here holds for folders and
patterns, and each file that is left out is counted, by reason, in a finding.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from tunesmith.data.sources import limits

_FOLDERS = {
    *("node_modules", "bower_components", "jspm_packages", "vendor", "third_party", "external"),
    *("site-packages", "venv", "virtualenv", "build", "dist", "target", "__pycache__"),
}
_ENVIRONMENT = "pyvenv.cfg"
"""A file that tells a folder of Python's packages, whatever it is called."""

_SETTINGS = re.compile(
    r"(package|package-lock|composer|bower|manifest|angular|lerna|nx|turbo|deno|vercel|renovate"
    r"|settings|launch|tasks|extensions|[jt]sconfig.*|.*[.-]config|.*rc|.*\.schema)\.json"
)
_MINIFIED = re.compile(r".*[.-](min|bundle)\.\w+|.*-lock\.ya?ml")
_GENERATED = re.compile(rb"@generated\b|do not (edit|modify)\b|\bauto-?generated\b", re.IGNORECASE)
_HEAD = 1024
_LONG = 250
"""Bytes in a line, on average, beyond which nobody wrote them."""


def elsewhere(root: str, files: Iterable[str]) -> dict[str, list[str]]:
    """The files below `root` that stand in folders of what was built, or of others' code, by those
    folders' names."""
    found: dict[str, list[str]] = {}
    known: dict[str, str | None] = {"": None}
    for file in files:
        folder = os.path.dirname(os.path.relpath(file, root))
        parts = folder.split(os.sep) if folder else []
        for number, name in enumerate(parts):
            above, here = os.sep.join(parts[:number]), os.sep.join(parts[: number + 1])
            if here not in known:
                known[here] = known[above] or _foreign(os.path.join(root, here), name)
        if reason := known[folder]:
            found.setdefault(f"in {reason}", []).append(file)
    return found


def _foreign(folder: str, name: str) -> str | None:
    is_environment = os.path.exists(os.path.join(folder, _ENVIRONMENT))
    return name if name.lower() in _FOLDERS or is_environment else None


def is_settings(path: str) -> bool:
    """Whether a JSON file is one that tools of source code are set up by."""
    return bool(_SETTINGS.fullmatch(os.path.basename(path).lower()))


def sorted_out(files: Iterable[str]) -> tuple[list[str], dict[str, list[str]]]:
    """The files of source code that somebody wrote, and the others by what they are."""
    kept: list[str] = []
    others: dict[str, list[str]] = {}
    for file in files:
        if reason := _reason(file):
            others.setdefault(reason, []).append(file)
        else:
            kept.append(file)
    return kept, others


def _reason(path: str) -> str | None:
    """What a file is if it is not worth learning; None too for one that cannot be read."""
    if _MINIFIED.fullmatch(os.path.basename(path).lower()):
        return "minified"
    try:
        with open(path, "rb") as file:
            data = file.read(limits.CODE + 1)
    except OSError:
        return None
    long = len(data) > max(_HEAD, _LONG * (data.count(b"\n") + 1))
    signs = {
        f"larger than {limits.told(limits.CODE)}": len(data) > limits.CODE,
        "empty": not data.strip(),
        "no UTF-8 text": b"\0" in data or not _is_text(data),
        "minified": long,
        "generated": _GENERATED.search(data, 0, _HEAD) is not None,
    }
    return next((reason for reason, is_so in signs.items() if is_so), None)


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
