"""Training or held out, by the hash of the content: a row keeps its side when the file grows."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from tunesmith.core.records import Content, Message
from tunesmith.data.quality.groups import Groups

_SALT = "tunesmith held-out split 1"
_LAST = np.uint64(2**64 - 1)
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
        shown = [[[image.name, image.at] for image in value.images]] if value.images else []
        return [*said, calls, thoughts, *shown] if calls or thoughts or shown else said
    return [_canonical(each) for each in value] if isinstance(value, tuple) else value


@dataclass(frozen=True, slots=True)
class Sides:
    """Which rows are held out (bool, R), and how many belong to families that were divided."""

    held_R: np.ndarray
    divided: int


def places(digests_R32: np.ndarray, group_R: np.ndarray | None = None) -> np.ndarray:
    """Where each row lies in the range of hashes (uint64, R): its group's hash, or its content's.

    Args:
        digests_R32: content digests (uint8, R by 32).
        group_R: the hash of the conversation that a row belongs to, or 0 (uint64, R).
    """
    by_content_R = _places(digests_R32)
    return by_content_R if group_R is None else np.where(group_R != 0, group_R, by_content_R)


def held_out(
    places_R: np.ndarray,
    family_R: np.ndarray,
    share: float,
    content_R: np.ndarray | None = None,
) -> Sides:
    """Which rows are held out: about `share` (0 to 1) of them, no family on both sides.

    A family goes where one of its rows does, which nothing but their places chooses: it is held out
    if that row lies in the first `share` of the range. So the order of the rows never matters, and
    a row changes sides only where another comes that says nearly the same.

    A family of more than half of what is to be held out would crowd the rest there, so it is
    trained on. If then less than half of what the places say would be held out, the largest are
    divided, as where all rows follow one pattern: into rows of one place or of equal content, which
    never part. Where a side
    would be empty and there are two distinct places or more, the rows whose place lies nearest to
    the border change sides. A single distinct place is trained on, and share 0 holds out nothing.

    Args:
        places_R: see `places`.
        family_R: any numbers, equal where rows say nearly the same.
        share: of the rows.
        content_R: any numbers, equal where rows are; None where their places tell.
    """
    if share <= 0 or not len(places_R):
        return Sides(np.zeros(len(places_R), dtype=bool), 0)
    border = math.ceil(share * 2**64)  # exact: a whole number is below a real one or its ceiling
    last = np.uint64(min(border, 2**64) - 1)
    unit_R = _joined(places_R, places_R if content_R is None else content_R)
    family_R = _joined(unit_R, family_R)
    size_R = np.bincount(family_R, minlength=len(family_R))[family_R]
    crowd_R = (size_R > 1) & (size_R > share * len(places_R) / 2)
    alone_R = _leaders(places_R, unit_R)[unit_R]
    decides_R = np.where(crowd_R, _LAST, _leaders(places_R, family_R)[family_R])
    divided_R = crowd_R & (size_R >= _divided_from(size_R, alone_R <= last, decides_R <= last))
    decides_R = np.where(divided_R, alone_R, decides_R)
    if (decides_R == decides_R[0]).all():
        divided_R, decides_R = size_R > 1, alone_R
    return Sides(_below(decides_R, last), int(np.count_nonzero(divided_R)))


def _joined(*values_VR: np.ndarray) -> np.ndarray:
    """Rows that share one of some values, and those that share one with these, as one number each:
    that of a row of them."""
    found = Groups(len(values_VR[0]))
    for values_R in values_VR:
        _, first, which_R = np.unique(values_R, return_index=True, return_inverse=True)
        found.join(np.arange(len(values_R)), first[which_R])
    return found.first


def _leaders(places_R: np.ndarray, family_R: np.ndarray) -> np.ndarray:
    """The place of the row that each family goes with, by family number (uint64, R).

    It is the one whose place, mixed, is the lowest, and by itself as likely held out as any. (The
    mixing is the end of SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number
    generators", 2014. Each place has its own mixed one.)
    """
    mixed_R = (places_R ^ (places_R >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed_R = (mixed_R ^ (mixed_R >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    order = np.argsort(mixed_R ^ (mixed_R >> np.uint64(31)))[::-1]
    leaders = np.zeros(len(places_R), np.uint64)
    leaders[family_R[order]] = places_R[order]  # written last, the lowest stays
    return leaders


def _divided_from(size_R: np.ndarray, alone_R: np.ndarray, whole_R: np.ndarray) -> int:
    """The size from which on crowds are divided, so that half of `alone_R` is held out at least.

    `alone_R` are the rows held out by their own places, `whole_R` those by their families'.
    """
    lacking = np.count_nonzero(alone_R) / 2 - np.count_nonzero(whole_R)
    if lacking <= 0:
        return len(size_R) + 1
    gain_S = np.bincount(size_R, alone_R.astype(np.int64) - whole_R)
    enough = np.flatnonzero(np.cumsum(gain_S[::-1])[::-1] >= lacking)
    return int(enough[-1])


def _below(decides_R: np.ndarray, last: np.uint64) -> np.ndarray:
    """Which are at most `last`; both sides have some where there are two distinct values."""
    held_R = decides_R <= last
    lowest, highest = decides_R.min(), decides_R.max()
    if lowest == highest:
        return np.zeros(len(decides_R), dtype=bool)
    if not held_R.any():
        return decides_R == lowest
    return decides_R < highest if held_R.all() else held_R


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
