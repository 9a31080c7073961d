"""A folder a project, for what is kept beside the tables."""

from __future__ import annotations

import re
from pathlib import Path

from tunesmith.serve.settings import Settings

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def folder_of(settings: Settings, project: str) -> Path:
    """Where a project's things are. Its id is ours: a slip of ours if it is anything else."""
    assert _ID.fullmatch(project), project
    return settings.home / "projects" / project
