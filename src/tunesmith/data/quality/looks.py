"""One look at each row by itself: what is wrong with it, and the numbers that are kept of it.

Nothing here knows of other rows, so rows may be looked at in any order and by any process. What two
rows have in common is compared later, by these numbers and the compared texts (`columns`, `near`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np

from tunesmith.core.records import Example, Finding
from tunesmith.data.quality.languages import NAMES, language
from tunesmith.data.quality.table import CHECKS, Check
from tunesmith.data.quality.texts import COMPARED
from tunesmith.data.quality.view import Seen, plain, sentences, view

LOOK = np.dtype(
    [
        ("seen", "?"),  # whether the row could be understood; where not, all else is 0
        ("language", "u1"),  # index into languages.NAMES
        ("length", "<i8"),  # characters
        # Hashes, each equal where what it is made from is; 0 where there is nothing.
        ("exact", "<i8"),  # all of the row
        ("equal", "<i8"),  # the compared text, and the label
        ("label", "<i8"),
        ("asked", "<i8"),  # the `plain` prompt
        ("answered", "<i8"),  # the `plain` answer
        ("chosen", "<i8"),  # the prompt, the chosen and the rejected answer, each `plain`
        ("turned", "<i8"),  # the same, with the rejected answer before the chosen one
        ("longer", "<i4"),  # characters that the chosen answer has more than the rejected one
    ]
)


@dataclass(frozen=True, slots=True)
class Mark:
    """What a check says of one row, by its number among the rows that were looked at."""

    row: int
    reason: str
    says: str


@dataclass(frozen=True, slots=True)
class Looks:
    """What is kept of some rows.

    Attributes:
        records: LOOK, one a row.
        compared: what is compared of each row that was seen: its sentences, each `plain`, a line
            each, at most COMPARED bytes.
        asked: the `plain` prompt of each row that was seen, where these were asked for.
        marks: what the checks of single rows found, in order.
        labels: the texts of the labels, by their hash.
    """

    records: np.ndarray
    compared: tuple[bytes, ...] = ()
    asked: tuple[str, ...] = ()
    marks: tuple[Mark, ...] = ()
    labels: Mapping[int, str] = field(default_factory=dict)


def look(
    rows: Sequence[Example | Finding],
    checks: Mapping[str, Check] = CHECKS,
    *,
    prompts: bool = False,
) -> Looks:
    """Look at each row; a Finding says that a row could not be understood."""
    records = np.zeros(len(rows), LOOK)
    compared: list[bytes] = []
    asked: list[str] = []
    marks: list[Mark] = []
    labels: dict[int, str] = {}
    each = [(reason, check.each) for reason, check in checks.items() if check.each]
    for number, row in enumerate(rows):
        if isinstance(row, Finding):
            continue
        seen = view(row)
        said = ((reason, look_at(seen)) for reason, look_at in each)
        marks += [Mark(number, reason, says) for reason, says in said if says is not None]
        parts = sentences(seen.compared)
        compared.append("\n".join(parts).encode()[:COMPARED])
        records[number] = _record(seen, " ".join(parts))
        if prompts:
            asked.append(plain(seen.prompt))
        if seen.label:
            labels[int(records[number]["label"])] = seen.label
    return Looks(records, tuple(compared), tuple(asked), tuple(marks), labels)


def _record(seen: Seen, words: str) -> tuple[object, ...]:
    chosen = turned = longer = 0
    if seen.choice:
        asked, one, other = map(plain, (seen.prompt, *seen.choice))
        chosen, turned = _hash((asked, one, other)), _hash((asked, other, one))
        longer = len(seen.choice[0]) - len(seen.choice[1])
    return (
        True,
        NAMES.index(language(seen.text)),
        len(seen.text),
        _hash((seen.text, seen.prompt, seen.answer)),
        _hash((words, seen.label)),
        _hash((seen.label,)) if seen.label else 0,
        _hash((plain(seen.prompt),)) if seen.answer else 0,
        _hash((plain(seen.answer),)) if seen.answer else 0,
        chosen,
        turned,
        longer,
    )


def _hash(texts: Iterable[str]) -> int:
    """64 bits, the same in every process."""
    found = blake2b(digest_size=8)
    for text in texts:
        found.update(b"%d:" % len(text))
        found.update(text.encode())
    return int.from_bytes(found.digest(), "little", signed=True)
