"""Labelled rows to tokens, classes and batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tunesmith.core.errors import DataError
from tunesmith.core.records import (
    Content,
    Example,
    Finding,
    Label,
    Origin,
    Pair,
    Tagged,
    Text,
    Tokens,
    Triplet,
)
from tunesmith.data import classes
from tunesmith.data.classes import Targets
from tunesmith.data.labelled import LabelRenderer
from tunesmith.data.lay import Layer

ORIGIN = Origin("rows.jsonl", 1)


def _render(tokenizer: Any, content: Content, kind: Any, **how: Any) -> Any:
    (found,) = LabelRenderer(tokenizer, **how).render([Example(ORIGIN, content)], kind, 64)
    return found


def _labelled(length: int, *labels: str) -> Tokens:
    ids_N = np.arange(1, length + 1, dtype=np.int32)
    return Tokens(ORIGIN, ids_N, np.zeros(length, np.float32), 9, 0, labels)


def test_a_text_has_the_ids_that_the_tokenizer_gives_it(starting: Any) -> None:
    (tokens,) = _render(starting, Label("Where is my order?", ("late", "lost")), "classify")
    assert tokens.ids_N.tolist() == starting("Where is my order?")["input_ids"]
    assert tokens.ids_N[0] == starting.bos_token_id, "with the tokens that it puts around a text"
    assert tokens.labels == ("late", "lost")
    assert tokens.sites == 2


@pytest.mark.parametrize("last", [False, True])
def test_words_are_tagged_at_a_token_of_their_own(plain: Any, last: bool) -> None:
    words = ("Where", "is", "order", "4711", "jacket")
    (tokens,) = _render(plain, Tagged(words, ("O", "O", "O", "B-id", "O")), "tag", last=last)
    sites = np.flatnonzero(tokens.weights_N).tolist()
    pieces = [len(plain.tokenize((" " if n else "") + word)) for n, word in enumerate(words)]
    ends = np.cumsum(pieces)
    assert sites == ((ends - 1) if last else (ends - pieces)).tolist()
    assert tokens.sites == len(words) == len(tokens.labels)


def test_a_word_without_a_token_is_refused(merging: Any) -> None:
    """A tokenizer that merges over spaces may have one token for two words."""
    words = ("is", "my")
    found = _render(merging, Tagged(words, ("O", "O")), "tag")
    assert isinstance(found, Finding)
    assert found.reason == "word_without_token"
    assert "'my'" in found.message or "'is'" in found.message


def test_pairs_and_triplets_are_a_sequence_a_text(plain: Any) -> None:
    pair = _render(plain, Pair("a", "b", 0.5), "embed")
    triplet = _render(plain, Triplet("a", "b", "c"), "embed")
    assert [each.part for each in pair] == [0, 1]
    assert [each.labels for each in pair] == [("0.5",), ()]
    assert [each.part for each in triplet] == [0, 1, 2]


def test_what_the_objective_does_not_label_is_named(plain: Any) -> None:
    found = _render(plain, Text("Once upon a time"), "classify")
    assert isinstance(found, Finding)
    assert "classify trains texts with labels" in found.message
    spelled = _render(plain, Label("Say </s> now", ("a",)), "classify")
    assert spelled.reason == "special_token_in_text"


def test_the_problem_follows_from_the_rows() -> None:
    rows = [_labelled(2, "b"), _labelled(2, "10"), _labelled(2, "9"), _labelled(2, "a")]
    single = Targets.found(rows, "auto")
    assert (single.problem, single.names) == ("single_label", ("9", "10", "a", "b"))
    assert single.of(("10",)) == 1
    several = Targets.found([*rows, _labelled(2, "a", "b")], "auto")
    assert several.problem == "multi_label"
    assert several.of(("a", "b")).tolist() == [0, 0, 1, 1]
    numbers = Targets.found([_labelled(2, "1"), _labelled(2, "3")], "regression")
    assert numbers.of(("3",)) == pytest.approx(1.0), "in standard deviations from the mean"


@pytest.mark.parametrize(
    ("rows", "problem", "said"),
    [
        ([("a",), ("a",)], "auto", "nothing to tell apart"),
        ([("a",), ("a", "b")], "single_label", "rows.jsonl:1: the row has 2 labels"),
        ([("1",), ("x",)], "regression", "'x' is no number"),
        ([("1",), ("inf",)], "regression", "'inf' is no number"),
    ],
)
def test_labels_that_cannot_be_learned_are_refused(
    rows: list[tuple[str, ...]], problem: Any, said: str
) -> None:
    with pytest.raises(DataError, match=said):
        Targets.found([_labelled(2, *labels) for labels in rows], problem)


def test_a_field_of_identifiers_is_no_label(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classes, "MOST_CLASSES", 3)
    rows = [_labelled(2, name) for name in "abcd"]
    assert Targets.found(rows[:3], "auto").outputs == 3
    with pytest.raises(DataError, match=r"4 different labels, more than 3.*data\.mapping"):
        Targets.found(rows, "auto")


@pytest.mark.parametrize(
    ("pooling", "sites", "weights"),
    [
        ("last", [1, 4], [1, 1]),
        ("cls", [0, 2], [1, 1]),
        ("mean", [0, 1, 2, 3, 4], [1 / 2] * 2 + [1 / 3] * 3),
    ],
)
def test_a_sequence_is_read_where_its_pooling_says(
    pooling: Any, sites: list[int], weights: list[float]
) -> None:
    rows = [_labelled(2, "a"), _labelled(3, "b")]
    batch = Layer(pooling, Targets.found(rows, "auto"))(rows)
    assert batch.sites_S.tolist() == sites
    assert batch.weights_S.tolist() == pytest.approx(weights)
    assert batch.labels_B is not None
    assert batch.labels_B.tolist() == [0, 1]
    assert batch.positions_T.tolist() == [0, 1, 0, 1, 2]
    assert np.bincount(batch.owner_S, batch.weights_S).tolist() == pytest.approx([1, 1])


def test_words_are_read_one_by_one() -> None:
    rows = [_labelled(3, "O", "B")]
    rows[0].weights_N[[0, 2]] = 1
    batch = Layer("words", Targets("single_label", ("O", "B"), words=True))(rows)
    assert batch.sites_S.tolist() == [0, 2]
    assert batch.targets_S.tolist() == [0, 1]
    assert batch.labels_B is None
