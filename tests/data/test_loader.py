"""Steps are a pure function of (seed, epoch, index); rows on one context can be drawn together."""

from __future__ import annotations

from collections import Counter
from itertools import chain

import numpy as np
import pytest

from tunesmith.core.records import Origin, Tokens
from tunesmith.data.contexts import draw_together, find_contexts, share_saved
from tunesmith.data.loader import PackedBatches

SYSTEM, DOCUMENT, QUESTIONS = 100, 150, 5


def _row(ids: np.ndarray, line: int) -> Tokens:
    weights = np.zeros(len(ids), dtype=np.float32)
    weights[-8:] = 1
    return Tokens(Origin("made.jsonl", line), ids.astype(np.int32), weights, 8)


def _rows(documents: int, alone: int = 0) -> list[Tokens]:
    """Questions on documents under one system prompt, in turns, and rows without a document."""
    draw = np.random.default_rng(0)
    system = draw.integers(0, 500, SYSTEM)
    texts = [draw.integers(0, 500, DOCUMENT) for _ in range(documents)]
    parts = [(system, text) for _ in range(QUESTIONS) for text in texts] + [(system,)] * alone
    return [
        _row(np.concatenate([*part, draw.integers(0, 500, draw.integers(10, 60))]), line + 1)
        for line, part in enumerate(parts)
    ]


def _lines(batches: PackedBatches, epoch: int) -> list[list[int]]:
    steps = [batches.step(epoch, index) for index in range(batches.steps_per_epoch)]
    return [sorted(o.line for batch in step for o in batch.origins) for step in steps]


def _batches(rows: list[Tokens], **settings: object) -> PackedBatches:
    defaults = {"batch_size": 8, "tokens_per_micro_batch": 600, "seed": 3}
    return PackedBatches(rows, **(defaults | settings))  # type: ignore[arg-type]


@pytest.mark.parametrize("together", [False, True])
def test_every_row_once_an_epoch_and_the_same_again(together: bool) -> None:
    rows = _rows(40, alone=7)
    batches = _batches(rows, together=together)
    first = _lines(batches, 0)
    assert sorted(chain.from_iterable(first)) == list(range(1, len(rows) + 1))
    assert [len(step) for step in first[:-1]] == [8] * (len(first) - 1)
    assert first == _lines(_batches(rows, together=together), 0)
    assert first != _lines(batches, 1)
    assert first != _lines(_batches(rows, together=together, seed=4), 0)


def test_sharing_changes_no_step() -> None:
    rows = _rows(40)
    assert _lines(_batches(rows), 0) == _lines(_batches(rows, share=False), 0)
    assert _lines(_batches(rows), 0) == _lines(_batches(rows, tokens_per_micro_batch=10_000), 0)


def test_rows_on_one_context_meet_and_their_context_is_computed_once() -> None:
    rows = _rows(40, alone=7)
    found = find_contexts(rows)
    assert sorted(len(group) for group in found.groups) == [QUESTIONS] * 40
    assert set(found.shared) == {DOCUMENT}

    def tokens(together: bool) -> int:
        batches = _batches(rows, together=together, tokens_per_micro_batch=10_000)
        steps = range(batches.steps_per_epoch)
        return sum(batch.tokens for i in steps for batch in batches.step(0, i))

    saved = 1 - tokens(True) / tokens(False)
    assert saved > 0.35
    assert saved == pytest.approx(share_saved(rows, 8), abs=0.1)


def test_few_steps_see_one_context_alone() -> None:
    groups = [np.arange(start, start + 20) for start in range(0, 400, 20)]
    order = draw_together(np.random.default_rng(0), groups, np.arange(400), 8)
    assert sorted(order.tolist()) == list(range(400))
    contexts = [Counter((order[at : at + 8] // 20).tolist()) for at in range(0, 400, 8)]
    assert np.mean([len(step) >= 2 for step in contexts]) > 0.8
    assert np.mean([max(step.values()) for step in contexts]) >= 4


def test_what_many_rows_begin_with_is_no_context() -> None:
    assert not find_contexts(_rows(0, alone=100)).groups
    assert share_saved(_rows(0, alone=100), 8) == 0


def test_an_order_that_is_kept_is_kept() -> None:
    rows = _rows(20)
    kept = _lines(_batches(rows, shuffle=False, together=True), 0)
    assert list(chain.from_iterable(kept)) == list(range(1, len(rows) + 1))
