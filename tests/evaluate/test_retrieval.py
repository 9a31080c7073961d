"""The search index over training rows."""

from __future__ import annotations

import math

from tunesmith.evaluate.retrieval import Index

TEXTS = ["Where is my order?", "The cat sat.", "My order, my ORDER, my pizza", "", "Größe: 5"]


def test_the_nearest_share_the_telling_words() -> None:
    index = Index(TEXTS)
    assert index.nearest("the cat", 2) == [1]
    assert set(index.nearest("my order", 5)) == {0, 2}
    assert index.nearest("GRÖSSE", 1) == [4]


def test_what_shares_no_word_is_not_found() -> None:
    assert Index(TEXTS).nearest("zebra", 3) == []
    assert Index(TEXTS).nearest("", 3) == []
    assert Index([""]).nearest("cat", 3) == []


def test_of_equal_texts_the_earlier_comes_first() -> None:
    assert Index(["a cat", "a dog", "a cat"]).nearest("cat", 2) == [0, 2]


def test_scores_are_those_of_bm25() -> None:
    """One word in one of three texts of equal length: its weight is its inverse frequency alone."""
    index = Index(["red one", "blue two", "green three"])
    score = float(index._bm25.get_scores(["blue"])[1])
    idf = math.log(1 + (3 - 1 + 0.5) / (1 + 0.5))
    assert math.isclose(score, idf / (1 + 1.5), rel_tol=1e-5)
