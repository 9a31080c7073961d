"""Texts beside others: drawn by whole rows, known by what they say, cut only where asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tunesmith.core.errors import DataError
from tunesmith.core.records import Example, Origin, Tokens, Triplet
from tunesmith.data.classes import Targets
from tunesmith.data.labelled import LabelRenderer
from tunesmith.data.lay import Layer
from tunesmith.data.mixing import Mix


def _tokens(line: int, part: int, ids: list[int], *labels: str) -> Tokens:
    ids_N = np.array(ids, dtype=np.int32)
    return Tokens(
        Origin("rows.jsonl", line), ids_N, np.zeros(len(ids), np.float32), 1, part, labels
    )


def test_a_mix_of_rows_draws_all_that_are_a_rows_own() -> None:
    row_N = np.array([3, 3, 5, 5, 5, 8, 8])
    mix = Mix(np.array([0, 0, 0, 0, 0, 1, 1]), (1.0, 2.0), row_N=row_N)
    assert mix.epoch_size == 4, "two rows once, and one twice"
    drawn = [list(mix.sequences(int(row))) for row in mix.examples(0, 0)]
    assert drawn == [[0, 1], [2, 3, 4], [5, 6], [5, 6]]
    assert mix.per_epoch(np.ones(7, dtype=np.int64)) == 9


def test_equal_texts_share_a_number() -> None:
    rows = [_tokens(1, 0, [4, 5]), _tokens(1, 1, [6]), _tokens(2, 0, [4, 5]), _tokens(2, 1, [5, 4])]
    batch = Layer("mean", Targets("similarity", ()))(rows)
    first, positive, again, other = batch.texts_B.tolist()
    assert first == again
    assert len({first, positive, other}) == 3
    assert batch.parts_B.tolist() == [0, 1, 0, 1]
    assert np.isnan(batch.labels_B).all()
    scored = Layer("mean", Targets("similarity", ()))([_tokens(1, 0, [4], "0.5"), rows[1]])
    assert scored.labels_B[0] == 0.5


def test_pairs_with_and_without_scores_are_not_mixed() -> None:
    rows = [_tokens(1, 0, [4], "0.5"), _tokens(1, 1, [4]), _tokens(2, 0, [4]), _tokens(2, 1, [4])]
    with pytest.raises(DataError, match=r"rows.jsonl:1 has a score, and rows.jsonl:2 has none"):
        Targets.found(rows, "similarity")


def test_a_long_text_is_cut_only_where_that_is_asked_for(starting: Any) -> None:
    example = Example(Origin("a", 1), Triplet("word " * 40, "b", "c"))
    (whole,) = LabelRenderer(starting).render([example], "embed", 12)
    cut = LabelRenderer(starting, cut=True)
    (short,) = cut.render([example], "embed", 12)
    assert isinstance(whole, list)
    assert isinstance(short, list)
    assert len(whole[0]) > 12
    assert short[0].ids_N.tolist() == whole[0].ids_N[:12].tolist()
    assert short[1].ids_N.tolist() == whole[1].ids_N.tolist()
    assert cut.ids("word " * 40, 12).tolist() == short[0].ids_N.tolist()
    assert cut.ids("word " * 40).tolist() == whole[0].ids_N.tolist(), "no state is left behind"
    assert cut.identity() != LabelRenderer(starting).identity(), "so no cache mixes them"
