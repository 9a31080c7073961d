"""The verdict on a model tuned by preferences: its figures, and what it decides."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from tunesmith.core.records import Grade, Message, Origin
from tunesmith.evaluate.exposed import Exposed
from tunesmith.evaluate.judge_records import Contest, Duel, Judged
from tunesmith.evaluate.logistic import chance_at_zero
from tunesmith.evaluate.measure import Measured, Parity
from tunesmith.evaluate.preferences.card import shown_of_preferences
from tunesmith.evaluate.preferences.diversity import distinct, diversity, self_bleu
from tunesmith.evaluate.preferences.length import length_figures, win_rate_at_zero
from tunesmith.evaluate.preferences.measured import (
    Asked,
    Compared,
    Drawn,
    PreferenceMeasured,
    Rated,
    Seen,
    Way,
)
from tunesmith.evaluate.preferences.page import render_preferences
from tunesmith.evaluate.preferences.rewards import margins, pair_figures, rating_figures
from tunesmith.evaluate.preferences.spent import kl_spent
from tunesmith.evaluate.preferences.verdict import judge_preferences
from tunesmith.evaluate.preferences.wins import opinions, score_of, scored_wins, win_rate

Make = Callable[..., Measured]

QUESTION = (Message("user", "How are you?"),)
LEDGER = {"rows_in": 80, "trained": 40, "held_out": 40, "dropped": {}}


def _way(name: str, scores: list[float | None], text: str = "An answer.") -> Way:
    answers = tuple(
        (Drawn(f"{text} {n}", 4, score, "" if score is not None else "timed out"),)
        for n, score in enumerate(scores)
    )
    return Way(name, f"the {name}", answers)


def _asked(count: int) -> tuple[Asked, ...]:
    return tuple(Asked(Origin("rows.jsonl", n + 1), QUESTION) for n in range(count))


def _pairs(right: int, wrong: int) -> tuple[Compared, ...]:
    """The base likes neither; the tuned model likes the chosen one in so many of them."""
    gains = [1.0] * right + [-1.0] * wrong
    return tuple(
        Compared(Origin("pairs.jsonl", n), (-9.0, -9.0), (-9.0 + gain, -9.0), (5, 5))
        for n, gain in enumerate(gains)
    )


def _measured(won: int = 34, lost: int = 6, **more: Any) -> PreferenceMeasured:
    """The tuned model's answers score higher on `won` of the prompts."""
    count = won + lost
    found = PreferenceMeasured(
        prompts=_asked(count),
        base=_way("base", [0.0] * count),
        tuned=_way("tuned", [1.0] * won + [-1.0] * lost, "Another <b>answer</b>."),
        grader="the reward model",
    )
    return replace(found, **more)


def test_ties_count_half_and_what_has_no_grade_is_left_out() -> None:
    tuned = _way("tuned", [1.0, 0.0, -1.0, None, 2.0])
    wins = scored_wins(_way("base", [0.0, 0.0, 0.0, 0.0, None]), tuned, score_of, "it")
    assert wins.wins_R.tolist() == [1.0, 0.5, 0.0]
    assert (wins.places, wins.left_out) == ((0, 1, 2), 2)
    said = judge_preferences(_measured(tuned=_way("tuned", [1.0] * 38 + [None] * 2)))
    assert any("2 prompts could not be compared" in one for one in said.learned.detail["remarks"])
    assert said.learned.n == 38


def test_a_prompt_with_several_answers_is_one_row() -> None:
    def way(*scores: tuple[float, ...]) -> Way:
        return Way("w", "w", tuple(tuple(Drawn("a", 1, s) for s in each) for each in scores))

    wins = scored_wins(way((0.0, 1.0), (0.0, 0.0)), way((1.0, 2.0), (0.0,)), score_of, "it")
    assert wins.wins_R.tolist() == [0.875, 0.5]
    assert win_rate(wins.wins_R, 0, "it").n == 2


def test_an_interval_of_wins_has_a_width_where_all_are_won() -> None:
    found = win_rate(np.ones(20), 0, "it")
    assert (found.value, found.n) == (1.0, 20)
    assert 0.75 < found.low < 0.95


def test_logistic_regression_is_that_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    x_R = random.normal(size=60)
    won_R = (random.random(60) < 1 / (1 + np.exp(-0.4 - 1.5 * x_R))).astype(float)
    times_BR = random.integers(0, 3, size=(3, 60)).astype(float)
    found = chance_at_zero(x_R, won_R, times_BR)
    for chance, times_R in zip(found, times_BR, strict=True):
        # The half pair at either end, won and lost alike, is the same to both.
        x = np.r_[x_R, -1, -1, 1, 1][:, None]
        fitted = LogisticRegression(C=1e12, tol=1e-10).fit(
            x, np.r_[won_R, 0, 1, 0, 1], np.r_[times_R, 0.25, 0.25, 0.25, 0.25]
        )
        assert chance == pytest.approx(fitted.predict_proba([[0.0]])[0, 1], abs=1e-5)


def test_a_win_rate_that_length_explains_is_even_at_equal_length() -> None:
    random = np.random.default_rng(1)
    d_R = random.normal(60, 60, 300)
    by_length = (random.random(300) < 1 / (1 + np.exp(-d_R / 20))).astype(float)
    found = win_rate_at_zero(d_R, by_length, 0)
    assert by_length.mean() > 0.75
    assert found.low < 0.5 < found.high
    by_merit = (random.random(300) < 0.8).astype(float)
    assert win_rate_at_zero(d_R, by_merit, 0).low > 0.6


def test_answers_as_long_are_compared_by_themselves() -> None:
    measured = _measured()
    assert measured.both is not None
    wins = opinions(measured)[0]
    found = length_figures(*measured.both, wins, 0)
    assert found["near"]["n"] == found["as_long"] == 40, "all have 4 tokens"
    longer = replace(
        measured.tuned, answers=tuple((replace(a, tokens=9),) for (a,) in measured.tuned.answers)
    )  # type: ignore[type-var, union-attr]
    assert length_figures(measured.both[0], longer, wins, 0)["near"] is None


def test_reward_of_each_kind_of_objective() -> None:
    pair = Compared(Origin("p", 1), (-10.0, -30.0), (-8.0, -20.0), (4, 20))
    assert margins([pair], "ratio")[1].tolist() == [2.0 - 10.0]
    assert [side.tolist() for side in margins([pair], "total")] == [[20.0], [12.0]]
    assert [side.tolist() for side in margins([pair], "mean")] == [[-1.0], [-1.0]]
    found = pair_figures([pair] * 9, "ratio", 0)
    assert found is not None
    assert (found["accuracy"]["value"], found["before"]["value"]) == (0.0, 0.5)
    assert found["base_prefers"]["value"] == 1.0
    assert found["margin"]["value"] == -8.0


def test_rated_answers_have_the_area_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    rows = [
        Rated(Origin("r", n), bool(n % 3), -9.0, -9.0 + round(random.normal(n % 3, 1.5), 1), 5)
        for n in range(90)
    ]
    found = rating_figures(rows, "ratio")
    assert found is not None
    area = roc_auc_score([r.liked for r in rows], [r.tuned - r.base for r in rows])
    assert found["accuracy"]["value"] == pytest.approx(area)
    assert found["accuracy"]["low"] < area < found["accuracy"]["high"]
    assert found["before"]["value"] == 0.5
    assert rating_figures(rows[1:2], "ratio") is None
    verdict = judge_preferences(PreferenceMeasured(ratings=tuple(rows)))
    assert verdict.decision == "ship"
    assert "rated answers" in verdict.sentence


def test_kl_is_that_of_the_distributions() -> None:
    random = np.random.default_rng(0)
    tuned, base = np.array([0.7, 0.2, 0.1]), np.array([0.3, 0.3, 0.4])
    answers = []
    for _ in range(400):
        ids = random.choice(3, size=random.integers(3, 9), p=tuned)
        both = float(np.log(base[ids]).sum()), float(np.log(tuned[ids]).sum())
        answers.append((Drawn("x", len(ids), log_probs=both),))
    way = Way("tuned", "tuned", tuple(answers))
    found = kl_spent(PreferenceMeasured(tuned=way), 0)
    assert found is not None
    truth = float((tuned * np.log(tuned / base)).sum())
    assert found["token"]["low"] < truth < found["token"]["high"]
    assert found["answer"]["value"] == pytest.approx(found["token"]["value"] * 5.5, rel=0.1)
    cold = kl_spent(PreferenceMeasured(tuned=way, temperature=0.5), 0)
    assert cold is not None
    assert "temperature 0.50" in cold["summary"]


def test_a_collapse_is_named() -> None:
    assert distinct(["a b", "a c"], 1) == 0.75
    assert distinct(["a b", "a c"], 2) == 1.0
    assert self_bleu(["one and the same"] * 3) == pytest.approx(1.0)

    def way(spread: int) -> Way:
        each = [[f"say word{(n * 7 + k) % spread} of it now" for k in range(3)] for n in range(12)]
        return Way("w", "w", tuple(tuple(Drawn(text, 5) for text in row) for row in each))

    sides = {"base": way(50), "tuned": way(1), "prompts": _asked(12)}
    found = diversity(PreferenceMeasured(**sides), 0)
    assert found is not None
    assert found["collapsed"]
    assert "collapsed" in found["summary"]

    def worded(text: str) -> Way:
        each = [[text.format(3 * n + k) for k in range(3)] for n in range(12)]
        return Way("w", "w", tuple(tuple(Drawn(text, 5) for text in row) for row in each))

    ways = worded("a{0} b{0} c{0} d{0} e{0} f{0}"), worded("a{0} b{0} it is e{0} f{0}")
    less = diversity(PreferenceMeasured(prompts=_asked(12), base=ways[0], tuned=ways[1]), 0)
    assert less is not None
    assert less["figures"]["self-BLEU"]["low"] > 0, "it surely repeats itself more"
    assert not less["collapsed"], "but most of the base's diversity is left"


def test_what_wins_is_shipped_and_each_question_can_hold(measured: Make) -> None:
    assert judge_preferences(_measured()).decision == "ship"
    good = judge_preferences(_measured())
    assert good.learned.value == 0.85
    assert "85 % of 40 held-out prompts" in good.sentence
    broken = Parity(0.5, 40, 40, 40)
    held = {
        "learned": _measured(24, 16),
        "kept": _measured(run=measured(probes=(1.5, 1.9))),
        "memorised": _measured(pairs=_pairs(20, 20), trained_pairs=_pairs(40, 0)),
        "worth": _measured(rivals=(_way("prompted base", [2.0] * 40),)),
        "parity": _measured(run=Measured(parity=broken)),
    }
    for question, each in held.items():
        verdict = judge_preferences(each)
        assert verdict.decision == "hold", question
        assert getattr(verdict, question).passed is False, question
    assert judge_preferences(_measured(5, 1)).decision == "hold", "too few rows"
    trial = Measured(exposed=(Exposed("rows.jsonl:1", 1, 3, 512, False),))
    assert "trial run" in judge_preferences(_measured(run=trial)).sentence
    assert judge_preferences(PreferenceMeasured()).sentence.startswith("Hold: nothing was measured")


def test_what_is_learned_of_pairs_alone_and_of_seen_prompts() -> None:
    pairs = PreferenceMeasured(pairs=_pairs(30, 10), trained_pairs=_pairs(34, 6))
    verdict = judge_preferences(pairs)
    assert verdict.decision == "ship"
    assert "75 % (95 % interval" in verdict.sentence
    seen = tuple(Seen(Origin("t", n), 0.0, 1.0 + 0.1 * (n % 2)) for n in range(40))
    assert judge_preferences(_measured(seen=seen)).memorised.passed is True
    much = tuple(replace(each, tuned=4.0 + each.tuned) for each in seen)
    assert judge_preferences(_measured(seen=much)).memorised.passed is False


def test_a_judge_model_that_read_both_answers_is_an_opinion() -> None:
    duels = tuple(
        Duel(Origin("rows.jsonl", n + 1), "one", "one" if n < 30 else "other", 4, 4)
        for n in range(40)
    )
    run = Measured(judged=Judged("judge-1", "host", contests=(Contest("base", "base", duels),)))
    found = opinions(_measured(run=run))
    assert [each.by for each in found] == ["the reward model", "judge-1"]
    assert found[1].wins_R.mean() == pytest.approx((30 + 5) / 40), "a changed verdict is a tie"
    unscored = _way("base", [None] * 40), _way("tuned", [None] * 40)
    alone = judge_preferences(_measured(run=run, base=unscored[0], tuned=unscored[1]))
    assert alone.decision == "ship"
    assert "by judge-1" in alone.sentence


def test_it_is_kept_read_again_and_shown() -> None:
    graded = Drawn.graded("no", 1, Grade(None, "the judge timed out"), log_probs=(-1.0, -2.0))
    assert (graded.score, graded.failed) == (None, "the judge timed out")
    found = _measured(
        pairs=_pairs(30, 10),
        ratings=(Rated(Origin("r", 1), True, -1.0, -2.0, 3),),
        rivals=(Way("prompted", "the prompted base", ((graded,),) * 40),),
        seen=(Seen(Origin("t", 1), 0.0, 1.0),),
        proxy=False,
    )
    assert PreferenceMeasured.from_json(json.loads(json.dumps(found.to_json()))) == found
    old = {"run": Measured().to_json()}
    assert PreferenceMeasured.from_json(old) == PreferenceMeasured()
    verdict = judge_preferences(found).to_json()
    steps = [{"step": n, "loss": 0.6, "lr": 0.1, "reward_margin": 0.1 * n} for n in range(1, 5)]
    page = render_preferences(verdict, found, steps, LEDGER, "", {}, {})
    assert "Another &lt;b&gt;answer&lt;/b&gt;." in page
    assert "Reward margin. chosen minus rejected, nats over optimiser step" in page
    assert "Length of the answers" in page
    recipe = {"model": {"base": "b", "method": "lora"}, "objective": {"kind": "dpo"}}
    tables = shown_of_preferences(verdict, found, "adapter", recipe).tables
    assert any("Win rate by the reward model" in row for row in tables["learned"][0].rows[0])
