"""Training or held out, by the hash of the content: the same row always falls on the same side."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import fields
from typing import Any

import numpy as np

from tunesmith.core.records import Content, Message

_SALT = "tunesmith held-out split 1"
_CANONICAL = json.JSONEncoder(separators=(",", ":"))


def content_hash(content: Content) -> str:
    """SHA-256 (hexadecimal) of the content alone: no file name, no line, no seed goes into it."""
    return content_digest(content).hex()


def content_digest(content: Content) -> bytes:
    """`content_hash` as 32 bytes."""
    parts = [_canonical(getattr(content, field.name)) for field in fields(content)]
    while parts and parts[-1] in ([], None):
        parts.pop()
    kind = type(content).__name__.lower()
    return hashlib.sha256(_CANONICAL.encode([_SALT, [kind, *parts]]).encode()).digest()


def _canonical(value: Any) -> Any:
    """What is hashed of a field: what was said and called, not how a file numbers its calls.

    What later versions read besides is left out where it is empty, so that no row changes sides.
    """
    if isinstance(value, Message):
        calls = [(call.name, call.arguments) for call in value.tool_calls]
        thoughts = value.reasoning
        said = [value.role, value.content]
        return [*said, calls, thoughts] if calls or thoughts else said
    return [_canonical(each) for each in value] if isinstance(value, tuple) else value


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
