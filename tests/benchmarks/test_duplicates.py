"""The figures of the search for near copies: recall of planted ones, and alarms that are false."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from benchmarks.copies import copied
from benchmarks.duplicates import EDITS, Pool, leaks

WORDS = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in ("nt", "rd", "lk", "mp")]


def _pool(labels: bool) -> Pool:
    """Rows on few words, so that many that nobody planted are nearly alike."""
    draw = random.Random(3)

    def row() -> tuple[str, str]:
        words = draw.choices(WORDS[:15], k=draw.randint(4, 14))
        answer = draw.choice("abc") if labels else " ".join(draw.choices(WORDS, k=20))
        return " ".join(words), answer

    train = [row() for _ in range(600)]
    return Pool("made", train, [row() for _ in range(200)], labels)


def _slowly(rows: Sequence[tuple[str, str]], others: Sequence[tuple[str, str]]) -> list[bool]:
    def edits(one: Sequence[str], other: Sequence[str]) -> int:
        table = [[max(i, j) for j in range(len(other) + 1)] for i in range(len(one) + 1)]
        for i in range(1, len(one) + 1):
            for j in range(1, len(other) + 1):
                changed = table[i - 1][j - 1] + (one[i - 1] != other[j - 1])
                table[i][j] = min(changed, table[i - 1][j] + 1, table[i][j - 1] + 1)
                if i > 1 and j > 1 and one[i - 2 : i] == other[j - 2 : j][::-1]:
                    table[i][j] = min(table[i][j], table[i - 2][j - 2] + 1)
        return table[-1][-1]

    def alike(one: str, other: str, least: int) -> bool:
        letters = [text.replace(" ", "") for text in (one, other)]
        few = edits(*letters) <= min(2, len(letters[0]) // 10)
        return few or edits(one.split(), other.split()) <= max(least, len(one.split()) // 10)

    return [
        any(alike(row[0], each[0], 1) and alike(row[1], each[1], 0) for each in others)
        for row in rows
    ]


def test_copies_are_those_of_the_definition() -> None:
    draw = random.Random(4)
    others = [(" ".join(draw.choices(WORDS[:9], k=4)), draw.choice("ab")) for _ in range(60)]
    rows = [(" ".join(draw.choices(WORDS[:9], k=4)), draw.choice("ab")) for _ in range(60)]
    expected = _slowly(rows, others)
    assert 0 < sum(expected) < 60
    assert copied(rows, others).tolist() == expected


@pytest.mark.parametrize("labels", [True, False])
def test_planted_copies_are_found_and_little_else(labels: bool) -> None:
    *edits, others = leaks(_pool(labels))
    assert [each["edit"] for each in edits] == list(EDITS)
    assert all(float(str(each["recall"])) >= 0.95 for each in edits)
    assert float(str(others["false_alarms"])) <= 0.01
    assert others["copies_found"] == others["copies"]
    assert not labels or float(str(others["copies"])) > 0
