"""The rules behind `auto`: the numbers they promise and the direction in which they move."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tunesmith.recipe import Facts, defaults, generated_rows

Make = Callable[..., Facts]
quick = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@quick
@given(hidden=st.integers(128, 16384))
def test_lora_learns_at_ten_times_the_rate_of_full_tuning(facts: Make, hidden: int) -> None:
    shape = facts(hidden_size=hidden)
    full, _ = defaults.learning_rate(shape, "full")
    lora, reason = defaults.learning_rate(shape, "lora")
    assert lora == pytest.approx(min(10 * full, 5e-3), rel=6e-3)
    assert "LoRA Without Regret" in reason
    assert defaults.learning_rate(shape, "head")[0] == lora
    last, _ = defaults.learning_rate(shape, "last_layers")
    assert last == pytest.approx(2 * full, rel=1e-2)


def test_the_learning_rate_follows_the_published_fit(facts: Make) -> None:
    rate, _ = defaults.learning_rate(facts(hidden_size=2000), "lora")
    assert rate == 5e-4
    narrow, reason = defaults.learning_rate(facts(hidden_size=32), "lora")
    assert narrow == 5e-3
    assert "kept within" in reason
    assert defaults.learning_rate(facts(from_scratch=True), "full")[0] == 3e-3


@quick
@given(a=st.integers(1, 10**6), b=st.integers(1, 10**6))
def test_more_data_never_means_more_epochs_or_smaller_batches(facts: Make, a: int, b: int) -> None:
    fewer, more = sorted((a, b))
    assert defaults.epochs(facts(examples=fewer))[0] >= defaults.epochs(facts(examples=more))[0]
    for kind in ("sft", "text"):
        small, _ = defaults.batch_size(facts(objective=kind, sequences=fewer))
        large, _ = defaults.batch_size(facts(objective=kind, sequences=more))
        assert small <= large


@quick
@given(count=st.integers(160, 10**6), mean=st.floats(1, 4000))
def test_a_batch_leaves_forty_steps_an_epoch_and_holds_16k_tokens(
    facts: Make, count: int, mean: float
) -> None:
    size, _ = defaults.batch_size(facts(sequences=count, mean_sequence=mean))
    assert 1 <= size <= 64
    assert count / size >= 40
    assert size * mean <= 16384


def test_a_batch_has_four_examples_at_least_unless_they_are_long(facts: Make) -> None:
    assert defaults.batch_size(facts(sequences=10, mean_sequence=100.0))[0] == 4
    assert defaults.batch_size(facts(sequences=10, mean_sequence=10_000.0))[0] == 1


@quick
@given(count=st.integers(1, 10**6), mean=st.floats(1, 1024))
def test_a_step_of_text_holds_8k_to_16k_tokens(facts: Make, count: int, mean: float) -> None:
    size, _ = defaults.batch_size(facts(objective="text", sequences=count, mean_sequence=mean))
    assert 8192 - mean <= size * mean <= 16384


@pytest.mark.parametrize(
    ("examples", "passes"), [(299, 6), (300, 4), (1000, 3), (5000, 2), (20000, 1)]
)
def test_small_data_is_passed_more_often(facts: Make, examples: int, passes: int) -> None:
    assert defaults.epochs(facts(examples=examples))[0] == passes


def test_a_few_long_documents_are_not_small_data(facts: Make) -> None:
    books = facts(examples=20, mean_tokens=1_000_000.0, objective="text")
    assert defaults.epochs(books)[0] == 1
    assert defaults.epochs(facts(examples=20, from_scratch=True))[0] == 1


@quick
@given(examples=st.integers(1, 10**7))
def test_held_out_rows_are_a_tenth_within_bounds(facts: Make, examples: int) -> None:
    share, _ = defaults.validation_share(facts(examples=examples), has_file=False)
    rows = share * examples
    assert 0 < share <= 0.3
    assert rows <= 1010
    if examples >= 100:
        assert rows >= 19.8
    assert defaults.validation_share(facts(examples=examples), has_file=True)[0] == 0.0


@quick
@given(steps=st.integers(1, 10**6), scratch=st.booleans())
def test_warmup_lasts_three_steps_at_least(facts: Make, steps: int, scratch: bool) -> None:
    share, _ = defaults.warmup(facts(from_scratch=scratch), steps)
    assert (0.02 if scratch else 0.05) <= share <= 0.5
    assert share * steps >= 3 or share == 0.5


@quick
@given(per_epoch=st.integers(1, 10**6), passes=st.integers(1, 6))
def test_looking_and_saving_keep_their_distance(per_epoch: int, passes: int) -> None:
    steps = per_epoch * passes
    assert 5 <= defaults.checkpoint_every(steps)[0] <= 500
    every, _ = defaults.validate_every(per_epoch, steps)
    assert min(5, steps) <= every <= min(500, steps)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "bfloat16"),
        ({"fast_bfloat16": False}, "float32"),
        ({"fast_bfloat16": False, "device": "cuda"}, "bfloat16"),
    ],
)
def test_bfloat16_is_taken_where_it_is_fast(
    facts: Make, changes: dict[str, object], expected: str
) -> None:
    assert defaults.dtype(facts(**changes))[0] == expected


@pytest.mark.parametrize(
    ("changes", "context", "budget"),
    [
        ({}, 1024, 8192),
        ({"max_context": 131072}, 2048, 8192),
        ({"max_context": 131072, "hidden_size": 511}, 2048, 8192),
        ({"max_context": 131072, "hidden_size": 512}, 2048, 2048),
        ({"max_context": 131072, "device": "cuda"}, 4096, 32768),
    ],
)
def test_context_and_micro_batch_follow_the_machine(
    facts: Make, changes: dict[str, object], context: int, budget: int
) -> None:
    shape = facts(**changes)
    assert defaults.context(shape)[0] == context
    assert defaults.tokens_per_micro_batch(shape, context)[0] == budget
    assert defaults.tokens_per_micro_batch(shape, 100_000)[0] == 100_000


def test_the_remaining_rules_keep_their_promises(facts: Make) -> None:
    assert defaults.rank(facts(examples=199), "lora")[0] == 8
    assert defaults.rank(facts(examples=200), "lora")[0] == 16
    assert [defaults.rank(facts(), method)[0] for method in ("vera", "oft")] == [256, 32]
    assert defaults.alpha("lora")[0] == 32
    # At the usual rank both scale what they add alike.
    assert defaults.alpha("rslora")[0] / 16**0.5 == 32 / 16
    assert defaults.layers(facts(layers=30), "last_layers")[0] == 7
    assert defaults.layers(facts(layers=2), "last_layers")[0] == 1
    assert defaults.layers(facts(layers=30), "lora")[0] == 30
    decay = [defaults.weight_decay(facts(), method)[0] for method in ("lora", "full")]
    assert decay == [0.0, 0.01]
    scratch = facts(from_scratch=True)
    assert defaults.weight_decay(scratch, "full")[0] == 0.1
    assert defaults.patience(scratch)[0] == 0
    assert defaults.patience(facts())[0] == 4
    assert defaults.patience(facts(objective="classify"))[0] == 0
    assert defaults.keep_best(facts())[0] is True
    assert defaults.keep_best(facts(objective="tag"))[0] is False
    assert defaults.completion_as(facts(has_chat_template=False))[0] == "plain"


def test_evaluation_costs_what_its_level_says(facts: Make) -> None:
    rows = [defaults.evaluated_rows(level)[0] for level in ("quick", "standard")]
    assert rows == [64, 256]
    assert defaults.evaluated_rows("full")[0] >= 10**6
    assert [generated_rows(level, 200) for level in ("none", "quick", "standard", "full")] == [
        0,
        16,
        48,
        200,
    ]
    assert generated_rows("standard", 5) == 5
    tokens = [defaults.max_new_tokens(facts(mean_tokens=m), "standard", 1024)[0] for m in (5, 60)]
    assert tokens == [32, 120]
    assert defaults.max_new_tokens(facts(mean_tokens=900), "standard", 1024)[0] == 256
    assert defaults.max_new_tokens(facts(mean_tokens=900), "full", 64)[0] == 32
