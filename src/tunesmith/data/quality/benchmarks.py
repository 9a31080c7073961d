"""Rows that quote a benchmark: what a model has read cannot test it.

A row quotes an item if it holds half or more of the item's runs of eight words (Brown et al.,
"Language models are few-shot learners", 2020, appendix C, compare runs of 13; Chowdhery et al.,
"PaLM", 2022, section 8, take 8-word runs and 70 % of them). Items of fewer words are left to the
search for near duplicates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from tunesmith.core.records import Example, Finding, Row, Text

RUN = 8
QUOTED = 0.5


class Quotations:
    """The runs of words of all benchmark items."""

    def __init__(self) -> None:
        self._items: dict[int, list[int]] = {}
        self._runs: Counter[int] = Counter()

    def __bool__(self) -> bool:
        return bool(self._items)

    def add(self, item: int, words: str) -> None:
        """Take in one item's `plain` text under a number."""
        for run in _runs(words):
            self._items.setdefault(run, []).append(item)
            self._runs[item] += 1

    def quoted_by(self, words: str) -> int:
        """The item of which `plain` text quotes the largest share; −1 if that is under a half."""
        found = Counter(item for run in _runs(words) for item in self._items.get(run, ()))
        shares = {item: count / self._runs[item] for item, count in found.items()}
        most = max(shares, key=shares.__getitem__, default=-1)
        return most if most >= 0 and shares[most] >= QUOTED else -1


def _runs(words: str) -> set[int]:
    each = words.split()
    return {hash(tuple(each[at : at + RUN])) for at in range(len(each) - RUN + 1)}


def item(row: Row, read: Example | Finding) -> Example:
    """A benchmark's row as an example: in no known format, it is all the text that it holds."""
    if isinstance(read, Example):
        return read
    return Example(row.origin, Text("\n".join(_texts(row.fields))))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from (text for each in value.values() for text in _texts(each))
    elif isinstance(value, (list, tuple)):
        yield from (text for each in value for text in _texts(each))
