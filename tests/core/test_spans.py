"""Spans are read from tags as the evaluation of CoNLL reads them."""

from __future__ import annotations

import pytest

from tunesmith.core.spans import Span, is_tag, spans, strays


@pytest.mark.parametrize(
    ("tags", "found", "lone"),
    [
        ("O O O", [], []),
        ("B-a I-a O B-b", [("a", 0, 2), ("b", 3, 4)], []),
        ("B-a B-a I-a", [("a", 0, 1), ("a", 1, 3)], []),
        ("O I-a I-a O", [("a", 1, 3)], [1]),
        ("B-a I-b I-b", [("a", 0, 1), ("b", 1, 3)], [1]),
        ("I-a I-a B-a", [("a", 0, 2), ("a", 2, 3)], [0]),
        ("S-a B-b I-b E-b I-b", [("a", 0, 1), ("b", 1, 4), ("b", 4, 5)], [4]),
        ("S-a I-a", [("a", 0, 1), ("a", 1, 2)], [1]),
        ("U-a B-b L-b L-b", [("a", 0, 1), ("b", 1, 3), ("b", 3, 4)], [3]),
        ("B-from-city I-from-city", [("from-city", 0, 2)], []),
    ],
)
def test_tags_mark_spans(tags: str, found: list[tuple[str, int, int]], lone: list[int]) -> None:
    assert spans(tags.split()) == [Span(*each) for each in found]
    assert strays(tags.split()) == lone


@pytest.mark.parametrize("tag", ["", "o", "PER", "B-", "b-per", "X-per", "per-B", "O-per"])
def test_other_labels_are_no_tags(tag: str) -> None:
    assert not is_tag(tag)
