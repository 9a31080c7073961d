"""Whether the disk has room: asked before anything begins that would fill it."""

from __future__ import annotations

import shutil
from pathlib import Path

from tunesmith.serve.errors import unavailable
from tunesmith.serve.settings import Settings

RETRY_AFTER = 60.0
"""Seconds after which a refused client may try again: somebody has to make room first."""


def free_bytes(home: Path) -> int:
    """Of the disk on which the home lies, or will lie."""
    while not home.exists():
        home = home.parent
    return shutil.disk_usage(home).free


def has_room(settings: Settings, more: int = 0) -> bool:
    """Whether, with so many bytes `more`, as much is left free as the operator asks for."""
    return free_bytes(settings.home) - more >= settings.min_free_bytes


def require_room(settings: Settings, more: int = 0) -> None:
    """Raises ApiError 503 where the disk has no room for so many bytes `more`."""
    if has_room(settings, more):
        return
    raise unavailable(
        f"The disk of this service is nearly full: {free_bytes(settings.home) / 1e9:.1f} GB are "
        f"free, {settings.min_free_bytes / 1e9:.1f} GB have to stay free. Nothing was changed. "
        "Delete files or models that are not needed, or ask the operator for room.",
        RETRY_AFTER,
        code="insufficient_storage",
    )
