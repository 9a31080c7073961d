"""Training or held out, by the hash of the content: the same row always falls on the same side."""

from __future__ import annotations

import hashlib
import json
import math

import numpy as np

from tunesmith.core.records import Chat, Completion, Content

_SALT = "tunesmith held-out split 1"
_CANONICAL = json.JSONEncoder(separators=(",", ":"))


def content_hash(content: Content) -> str:
    """SHA-256 (hexadecimal) of the content alone: no file name, no line, no seed goes into it."""
    return content_digest(content).hex()


def content_digest(content: Content) -> bytes:
    """`content_hash` as 32 bytes."""
    if isinstance(content, Chat):
        fields: list[object] = ["chat", [(m.role, m.content) for m in content.messages]]
    elif isinstance(content, Completion):
        fields = ["completion", content.prompt, content.completion]
    else:
        fields = ["text", content.text]
    return hashlib.sha256(_CANONICAL.encode([_SALT, fields]).encode()).digest()


def held_out(digests_R32: np.ndarray, share: float) -> np.ndarray:
    """Which contents are held out, about `share` (0 to 1) of the distinct ones (bool, R).

    Each is decided by its own digest (uint8, R by 32), so adding rows moves no other row, and equal
    contents stay together. Where that would leave a side empty and there are two distinct contents
    or more, the one whose digest lies nearest to the border changes sides. A single distinct
    content is trained on, and share 0 holds out nothing.
    """
    places_R = _places(digests_R32)
    if share <= 0 or not len(places_R):
        return np.zeros(len(places_R), dtype=bool)
    lowest, highest = places_R.min(), places_R.max()
    border = math.ceil(share * 2**64)  # exact: a whole number is below a real one or its ceiling
    held_R = places_R <= np.uint64(min(border, 2**64) - 1)
    if lowest == highest:
        return np.zeros(len(places_R), dtype=bool)
    if not held_R.any():
        return places_R == lowest
    return places_R < highest if held_R.all() else held_R


def twins(digests_R32: np.ndarray, others_R32: np.ndarray) -> dict[int, int]:
    """For each index of the first whose digest is among the others, the first index it has there.

    Only digests that share their first 8 bytes with one of the others are compared in full, so
    that no table of all of them is made.
    """
    places_R, others_R = _places(digests_R32), _places(others_R32)
    suspects = np.flatnonzero(np.isin(places_R, others_R))
    known = np.flatnonzero(np.isin(others_R, places_R[suspects]))
    first = {others_R32[index].tobytes(): int(index) for index in known[::-1]}
    found = ((int(index), first.get(digests_R32[index].tobytes())) for index in suspects)
    return {index: other for index, other in found if other is not None}


def _places(digests_R32: np.ndarray) -> np.ndarray:
    """The first 8 bytes as a number (uint64, R): where the content lies in the range of hashes."""
    return np.ascontiguousarray(digests_R32[:, :8]).view(">u8")[:, 0].astype(np.uint64)
