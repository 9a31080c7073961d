"""Advice on planted measurements: each rule, and what it says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.evaluate.conftest import make_answers, make_scores
from tunesmith.evaluate.advice import (
    BASE,
    EXAMPLES,
    PROBE,
    PROMPT,
    SEARCH,
    Evidence,
    deciding,
    recommend,
)
from tunesmith.evaluate.advice_words import advice_of
from tunesmith.evaluate.measure import Baseline, Cost, Course, Side

TITLES = {
    BASE: "the base as it is asked",
    PROMPT: "your prompt",
    EXAMPLES: "4 examples in its prompt",
    SEARCH: "the 4 nearest examples found by search in its prompt",
    PROBE: "trained for 60 steps",
}
TOKENS = {BASE: 40, PROMPT: 80, EXAMPLES: 200, SEARCH: 210, PROBE: 38}


def _option(name: str, loss: float, exact: float, rows: int, train: float | None) -> Baseline:
    trained = () if train is None else make_scores(train, rows, "train.jsonl")
    cost = Cost(TOKENS[name] - 10, 10, TOKENS[name] / 1000, rows)
    answers = make_answers({}, exact=exact, rows=rows)
    return Baseline(name, TITLES[name], Side(make_scores(loss, rows), trained, (), answers, cost))


def _evidence(
    losses: dict[str, float],
    exact: dict[str, float] | None = None,
    train: tuple[float, float] | None = None,
    rows: int = 40,
    there: int = 1000,
) -> Evidence:
    """Bits per byte and share of exact answers by option; `train`, of trained rows, base and probe.

    Without `train` the probe gains as much on them as on held-out rows.
    """
    ends = train or (losses[BASE], losses[PROBE])
    of_trained = {BASE: ends[0], PROBE: ends[1]}
    options = tuple(
        _option(name, loss, (exact or {}).get(name, 0.0), rows, of_trained.get(name))
        for name, loss in losses.items()
    )
    return Evidence(options, Course(last_step=60, seconds=20), there, training_seconds=100)


def _losses(base: float, examples: float, search: float, probe: float) -> dict[str, float]:
    return {BASE: base, EXAMPLES: examples, SEARCH: search, PROBE: probe}


@pytest.mark.parametrize(
    ("losses", "exact", "right"),
    [
        # Solved: by the base, by examples, by search alone, by the user's prompt.
        (_losses(0.1, 0.1, 0.1, 0.0), {BASE: 0.975}, "nothing"),
        (_losses(2.0, 0.2, 0.2, 0.0), {EXAMPLES: 1, SEARCH: 1, PROBE: 1}, "few_shot"),
        (_losses(2.0, 1.5, 0.1, 0.6), {SEARCH: 1.0}, "retrieval"),
        (
            {BASE: 2.0, PROMPT: 0.5, EXAMPLES: 0.2, SEARCH: 0.2, PROBE: 0.1},
            {PROMPT: 0.95, EXAMPLES: 1, SEARCH: 1},
            "prompting",
        ),
        # By the answers, though the loss says otherwise.
        (_losses(2.0, 1.5, 0.9, 0.6), {SEARCH: 0.7}, "retrieval"),
        # By the loss: style, facts, and a help as good as training.
        (_losses(2.0, 1.6, 1.5, 0.3), {}, "fine_tuning"),
        (_losses(2.0, 1.6, 0.3, 0.6), {}, "retrieval"),
        (_losses(2.0, 0.5, 0.5, 0.5), {}, "few_shot"),
        (_losses(1.0, 1.1, 1.0, 1.0), {}, "unclear"),
    ],
)
def test_the_first_rule_that_holds_decides(
    losses: dict[str, float], exact: dict[str, float], right: str
) -> None:
    found = advice_of(_evidence(losses, exact))
    assert found["recommend"] == right
    assert found["sentence"].endswith(".")
    assert all(reason.endswith(".") for reason in found["reasons"])


def test_what_is_not_carried_over_wants_more_rows() -> None:
    held = _losses(5.0, 5.1, 5.0, 4.0)
    assert recommend(_evidence(held, train=(5.0, 3.9)))[0] == "fine_tuning"
    found = advice_of(_evidence(held, train=(5.0, 0.5), there=40))
    assert found["recommend"] == "more_data"
    assert "does not carry over to rows never seen" in found["sentence"]
    assert any("fewer than one case in 13" in reason for reason in found["reasons"])


def test_what_carries_over_at_once_does_not_hide_what_was_learned_by_heart() -> None:
    held = _losses(8.3, 8.0, 8.1, 3.9)  # the form of answers is most of the gain
    found = advice_of(_evidence(held, train=(8.3, 1.5), there=40))
    assert found["recommend"] == "more_data"
    assert any("never seen" in reason for reason in found["reasons"])
    done = _losses(8.3, 8.0, 8.1, 0.3)  # twice the loss on new rows, and hardly any
    assert recommend(_evidence(done, train=(8.3, 0.15), there=40))[0] == "fine_tuning"


def test_few_rows_that_show_nothing_want_more() -> None:
    nothing = _losses(1.0, 1.1, 1.0, 1.0)
    assert recommend(_evidence(nothing, there=299))[0] == "more_data"
    assert recommend(_evidence(nothing, there=300))[0] == "unclear"


def test_too_few_rows_to_judge_by_is_an_answer() -> None:
    found = advice_of(_evidence(_losses(2.0, 1.6, 1.5, 0.3), {BASE: 1.0}, rows=7))
    assert found["recommend"] == "more_data"
    assert "7 held-out rows to judge by cannot show any difference" in found["sentence"]
    assert found["options"][0]["exact_match"] is None
    assert recommend(_evidence(_losses(2.0, 1.6, 1.5, 0.3), rows=8))[0] == "fine_tuning"


def test_each_option_stands_with_its_costs_and_when_training_pays() -> None:
    found = advice_of(_evidence(_losses(2.0, 0.2, 0.2, 0.0), {EXAMPLES: 1, SEARCH: 1, PROBE: 1}))
    lines: dict[str, Any] = {option["name"]: option for option in found["options"]}
    assert list(lines) == [BASE, EXAMPLES, SEARCH, PROBE]
    assert lines[EXAMPLES]["cost"]["tokens"] == 200
    # 100 s of training, at 0.2 s a request against 0.038 s.
    assert lines[EXAMPLES]["requests_until_training_pays"] == round(100 / 0.162) + 1
    assert lines[PROBE]["requests_until_training_pays"] is None
    assert any("saved after 618 requests" in reason for reason in found["reasons"])
    assert any("up to 8 % of all may still be wrong" in reason for reason in found["reasons"])
    assert lines[PROBE]["against_base"]["sign"] == 1
    assert lines[BASE]["against_base"] is None


def test_facts_are_told_from_form() -> None:
    facts = advice_of(_evidence(_losses(2.0, 1.5, 0.1, 0.6), {SEARCH: 1.0}))
    assert any("what is asked stands in single rows" in reason for reason in facts["reasons"])
    form = advice_of(_evidence(_losses(2.0, 0.2, 0.2, 0.0), {EXAMPLES: 1, SEARCH: 1}))
    assert not any("single rows" in reason for reason in form["reasons"])


def test_without_answers_the_loss_decides() -> None:
    evidence = _evidence(_losses(2.0, 1.6, 1.5, 0.3))
    options = tuple(replace(o, side=replace(o.side, answers=())) for o in evidence.options)
    found = advice_of(replace(evidence, options=options))
    assert found["recommend"] == "fine_tuning"
    assert "1.19 bits per byte less" in found["sentence"]


@pytest.mark.parametrize(
    ("metrics", "key"),
    [
        (("json_valid", "json_fields"), "json_fields"),
        (("tool_names", "tool_calls"), "tool_calls"),
        (("label_accuracy", "macro_f1"), "label_accuracy"),
        (("number_match", "length_ratio"), "number_match"),
        (("chrf", "bleu", "rouge_l", "length_ratio"), "exact_match"),
        ((), "exact_match"),
    ],
)
def test_what_says_if_an_answer_is_right_tells_right_from_wrong(
    metrics: tuple[str, ...], key: str
) -> None:
    assert deciding(metrics) == key


@pytest.mark.parametrize(
    ("metric", "name", "value", "right"),
    [
        ("label_accuracy", "label accuracy", True, "nothing"),
        ("json_fields", "JSON field F1", 1.0, "nothing"),
        ("json_fields", "JSON field F1", 0.99, "fine_tuning"),  # a field is wrong in each
        ("label_accuracy", "valid JSON", True, "fine_tuning"),
    ],
)
def test_a_task_is_solved_by_its_own_metric(
    metric: str, name: str, value: bool | float, right: str
) -> None:
    """No answer is exact: the case of a letter, or the order of fields, is another."""
    evidence = _evidence(_losses(2.0, 1.6, 1.5, 0.3))
    base = evidence.base
    answers = make_answers({name: [value] * 40})
    solved = replace(base, side=replace(base.side, answers=answers))
    found = advice_of(replace(evidence, options=(solved, *evidence.options[1:]), metric=metric))
    assert found["recommend"] == right
    if right == "nothing":
        assert (found["options"][0]["right"], found["options"][0]["exact_match"]) == (1.0, 0.0)
        assert "it answers 40 of 40 held-out questions with " in found["sentence"]
