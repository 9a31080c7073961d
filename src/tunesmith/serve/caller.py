"""Who is calling: the project whose things they see, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Scope = Literal["read", "write", "chat", "train", "admin"]
SCOPES: tuple[Scope, ...] = ("read", "write", "chat", "train", "admin")
"""read: look at files, jobs and models; write: add and remove files and models, give feedback;
chat: ask models; train: make and steer jobs, run graders; admin: permissions across projects,
promotion, webhooks."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A key that holds: its project, its scopes, and the priority of the jobs made with it."""

    project: str
    key: str
    scopes: frozenset[str]
    priority: int = 0
