"""Training or held out, by the hash of the content: the same row always falls on the same side."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from tunesmith.core.records import Chat, Completion, Content

_SALT = "tunesmith held-out split 1"


def content_hash(content: Content) -> str:
    """SHA-256 (hexadecimal) of the content alone: no file name, no line, no seed goes into it."""
    if isinstance(content, Chat):
        fields: list[object] = ["chat", [(m.role, m.content) for m in content.messages]]
    elif isinstance(content, Completion):
        fields = ["completion", content.prompt, content.completion]
    else:
        fields = ["text", content.text]
    canonical = json.dumps([_SALT, fields], separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def held_out(contents: Sequence[Content], share: float) -> list[bool]:
    """Which of the contents are held out, about `share` (0 to 1) of the distinct ones.

    Each is decided by its own hash, so adding rows moves no other row, and equal contents stay
    together. Where that would leave a side empty and there are two distinct contents or more, the
    one whose hash lies nearest to the border changes sides. A single distinct content is trained
    on, and share 0 holds out nothing.
    """
    if share <= 0:
        return [False] * len(contents)
    places = [int(content_hash(content)[:16], 16) for content in contents]
    distinct = sorted(set(places))
    below = sum(place < share * 2**64 for place in distinct)
    inside = min(max(below, 1), len(distinct) - 1)
    held = set(distinct[:inside])
    return [place in held for place in places]
