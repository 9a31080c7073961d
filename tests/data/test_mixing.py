"""Sources mixed by weight: who is seen how often, and that weight 1 changes nothing."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import Any

import numpy as np
import pytest

from tests.support import examples
from tunesmith.core.seeds import derive
from tunesmith.data.contexts import draw_together
from tunesmith.data.loader import PackedBatches
from tunesmith.data.mixing import Mix

ROWS = examples(37)
SOURCE_N = np.repeat([0, 1, 2], [20, 10, 7])


def _batches(mix: Mix | None, **settings: Any) -> PackedBatches:
    defaults = {"batch_size": 8, "tokens_per_micro_batch": 200, "seed": 3}
    return PackedBatches(ROWS, mix=mix, **(defaults | settings))  # type: ignore[arg-type]


def _lines(batches: PackedBatches, epoch: int) -> list[int]:
    """The rows of an epoch, from 0; those of a step in order."""
    steps = [batches.step(epoch, index) for index in range(batches.steps_per_epoch)]
    return list(
        chain.from_iterable(sorted(o.line - 1 for b in s for o in b.origins) for s in steps)
    )


@pytest.mark.parametrize("settings", [{}, {"shuffle": False}, {"together": True}])
def test_weight_one_is_every_row_once_in_the_order_without(settings: dict[str, Any]) -> None:
    """The order of a run without weights is the one that older versions drew."""
    plain, weighted = (_batches(mix, **settings) for mix in (None, Mix(SOURCE_N, (1.0, 1.0, 1.0))))
    for epoch in range(3):
        assert _lines(plain, epoch) == _lines(weighted, epoch)
        for index in range(plain.steps_per_epoch):
            for left, right in zip(
                plain.step(epoch, index), weighted.step(epoch, index), strict=True
            ):
                np.testing.assert_array_equal(left.tokens_T, right.tokens_T)
                np.testing.assert_array_equal(left.targets_S, right.targets_S)
    drawn = np.random.default_rng(derive(3, "order", 1)).permutation(len(ROWS))
    if not settings:
        steps = np.split(drawn, range(8, len(ROWS), 8))
        assert _lines(plain, 1) == list(chain.from_iterable(sorted(step) for step in steps))


@pytest.mark.parametrize("together", [False, True])
def test_two_is_twice_and_a_half_is_another_half_each_epoch(together: bool) -> None:
    batches = _batches(Mix(SOURCE_N, (1.0, 2.0, 0.5)), together=together)
    seen = [Counter(_lines(batches, epoch)) for epoch in range(2)]
    for epoch in seen:
        assert [epoch[row] for row in range(30)] == [1] * 20 + [2] * 10
    first, second = ({row for row in epoch if row >= 30} for epoch in seen)
    assert len(first) == len(second) == 4  # 3.5, halves upwards
    assert first | second == set(range(30, 37))
    assert batches.steps_per_epoch == -(-(20 + 20 + 4) // 8)


@pytest.mark.parametrize("weight", [0.05, 0.3, 0.5, 0.7, 1.5, 2.25])
def test_no_row_is_seen_again_before_all_others_were(weight: float) -> None:
    mix = Mix(SOURCE_N, (1.0, weight, 1.0))
    seen: Counter[int] = Counter()
    for epoch in range(40):
        drawn = mix.examples(7, epoch)
        assert (np.diff(drawn) >= 0).all()
        assert len(drawn) == mix.epoch_size == 27 + max(1, int(10 * weight + 0.5))
        seen.update(row for row in drawn.tolist() if 20 <= row < 30)
        counts = [seen[row] for row in range(20, 30)]
        assert max(counts) - min(counts) <= 1
        assert (min(counts) > 0) == (epoch + 1 >= mix.epochs_to_meet_all)
        assert (max(counts) > 1) <= mix.meets_again(epoch + 1)


def test_what_an_epoch_sees_follows_from_seed_and_epoch_alone() -> None:
    mix = Mix(SOURCE_N, (0.5, 1.5, 1.0))
    small, large = (_batches(mix, batch_size=size) for size in (3, 16))
    for epoch in range(3):
        assert Counter(_lines(small, epoch)) == Counter(_lines(large, epoch))
    assert mix.examples(0, 0).tolist() != mix.examples(1, 0).tolist()
    assert mix.examples(0, 5).tolist() == Mix(SOURCE_N, (0.5, 1.5, 1.0)).examples(0, 5).tolist()


def test_in_order_a_source_goes_on_where_it_was_left() -> None:
    batches = _batches(Mix(SOURCE_N, (1.0, 0.5, 2.0)), shuffle=False, batch_size=1)
    once, last = list(range(20)), list(range(30, 37))
    assert _lines(batches, 0) == [*once, *range(20, 25), *last, *last]
    assert _lines(batches, 1) == [*once, *range(25, 30), *last, *last]
    assert _lines(batches, 2) == _lines(batches, 0)


def test_a_repeated_row_on_a_context_stands_in_blocks_of_its_own() -> None:
    """Blocks are for different rows on one context, not for one row twice in a step."""
    groups = [np.arange(start, start + 4) for start in range(0, 40, 4)]
    row_M = np.repeat(np.arange(60), [2] * 40 + [1] * 20)
    order = draw_together(np.random.default_rng(0), groups, row_M, 8)
    assert sorted(order.tolist()) == row_M.tolist()
    steps = [order[at : at + 8].tolist() for at in range(0, len(order), 8)]
    twice = sum(len(step) - len(set(step)) for step in steps)
    assert twice <= 8  # by chance two blocks of one context meet
    scattered = [step for step in steps if len({row // 4 for row in step if row < 40}) >= 6]
    assert not scattered


def test_means_over_epochs_and_sources_without_rows() -> None:
    mix = Mix(np.repeat([0, 2], [4, 4]), (1.0, 1.0, 0.5), ("a", "b", "c"))
    assert mix.epoch_size == 6
    assert mix.per_epoch(np.array([1, 1, 1, 1, 10, 20, 30, 40])) == 4 + 50
    assert mix.sentences(1) == [
        "c: weight 0.5, so an epoch sees 2 examples of its 4, and all epochs together 2."
    ]
    assert mix.sentences(2) == ["c: weight 0.5, so an epoch sees 2 examples of its 4."]
