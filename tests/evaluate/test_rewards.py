"""What is said of a reward model: chance, length, calibration, rivals; and over-optimisation."""

from __future__ import annotations

import json
from itertools import combinations

import numpy as np
import pytest

from tunesmith.core.records import Origin
from tunesmith.evaluate.labels.measured import Certificate
from tunesmith.evaluate.rewards import figures
from tunesmith.evaluate.rewards.best_of import best_of_n, best_of_picture, overoptimised_from
from tunesmith.evaluate.rewards.measured import LONGER, TUNED, Compared, RewardMeasured, Way
from tunesmith.evaluate.rewards.page import render_rewards
from tunesmith.evaluate.rewards.verdict import judge_rewards


def _pairs(count: int, right: float, longer: float, by_length: bool = False) -> list[Compared]:
    """Pairs of which a share is right, and a share has the longer answer chosen."""
    found = []
    for n in range(count):
        more = 5 if n < longer * count else -5
        ahead = 1.0 if (more > 0 if by_length else n * 37 % count < right * count) else -1.0
        found.append(Compared(Origin("a", n + 1), ahead, 0.0, (20 + more, 20), f"p{n}", ("x", "y")))
    return found


def _measured(rows: list[Compared]) -> RewardMeasured:
    longer = [Compared(r.origin, *map(float, r.lengths), r.lengths) for r in rows]
    ways = (
        Way(TUNED, "tuned", tuple(rows), tuple(rows)),
        Way(LONGER, "the longer answer", tuple(longer), definition="by its tokens"),
    )
    return RewardMeasured(ways, certificate=Certificate(0.0, len(rows), len(rows), 1e-4))


def test_accuracy_is_held_against_chance_with_an_interval() -> None:
    found = figures.above_chance(_pairs(200, 0.7, 0.5))
    assert found.value == pytest.approx(0.2)
    assert 0.1 < found.low < 0.2 < found.high < 0.3
    tied = [Compared(Origin("a", n), 0.0, 0.0) for n in range(50)]
    assert figures.accuracy(tied) == 0.5
    assert figures.above_chance(tied).low <= 0
    sure = figures.above_chance(_pairs(50, 1.0, 0.5))
    assert sure.value == 0.5
    assert sure.low < 0.5, "no row was wrong, and the next one may be"


def test_calibration_is_of_the_difference() -> None:
    rows = _pairs(100, 0.75, 0.5)
    honest = 1 / np.log(3)  # s(1 / T) = 3/4
    assert figures.brier(rows, honest) == pytest.approx(0.75 * 0.25)
    assert figures.figures(rows, honest)["calibration error"] == pytest.approx(0.0, abs=1e-9)
    assert figures.figures(rows, 0.1)["calibration error"] > 0.2


def test_a_reward_that_is_length_is_named() -> None:
    hacked = judge_rewards(_measured(_pairs(200, 0.0, 0.7, by_length=True))).to_json()
    remarks = " ".join(hacked["learned"]["detail"]["remarks"])
    assert "takes length for worth" in remarks
    assert "it has 50% right" in remarks.replace(" %", "%"), "where length is no help"
    assert hacked["decision"] == "hold"
    assert "no better than the longer answer" in hacked["sentence"]
    fair = judge_rewards(_measured(_pairs(200, 0.8, 0.5))).to_json()
    assert "takes length for worth" not in " ".join(fair["learned"]["detail"]["remarks"])
    assert fair["decision"] == "ship"


def test_what_was_measured_is_read_again_and_shown() -> None:
    measured = _measured(_pairs(80, 0.8, 0.5))
    assert RewardMeasured.from_json(json.loads(json.dumps(measured.to_json()))) == measured
    ledger = {"rows_in": 160, "trained": 80, "held_out": 80, "dropped": {}}
    page = render_rewards(judge_rewards(measured).to_json(), measured, [], ledger, "", {}, {})
    for said in ("Right, by which answer is the longer one", "Rejected by people", "Brier score"):
        assert said in page
    nothing = RewardMeasured()
    assert judge_rewards(nothing).decision == "hold"
    assert render_rewards(judge_rewards(nothing).to_json(), nothing, [], ledger, "", {}, {})


def test_the_best_of_n_is_unbiased() -> None:
    """Against every way to draw n of N answers; a tie takes any of the best."""
    random = np.random.default_rng(0)
    rewards_QN, gold_QN = random.normal(size=(3, 6)).round(1), random.normal(size=(3, 6))
    rewards_QN[0, :3] = 9.0
    scale = np.sqrt(gold_QN.var(1).mean())
    for found in best_of_n(rewards_QN, gold_QN, [1, 2, 4, 6]):
        wanted = []
        for rewards_N, gold_N in zip(rewards_QN, gold_QN, strict=True):
            best = []
            for drawn in map(list, combinations(range(6), found.n)):
                top = rewards_N[drawn] == rewards_N[drawn].max()
                best.append(gold_N[drawn][top].mean())
            wanted.append(np.mean(best) - gold_N.mean())
        assert found.gold.value == pytest.approx(np.mean(wanted) / scale, abs=1e-9)
    assert found.kl == pytest.approx(np.log(6) - 5 / 6)


def test_over_optimisation_is_found_and_drawn() -> None:
    random = np.random.default_rng(1)
    proxy_QN = random.normal(size=(200, 64))
    hacked = best_of_n(proxy_QN, np.where(proxy_QN < 1.0, proxy_QN, 2.0 - 3 * (proxy_QN - 1)))
    turn = overoptimised_from(hacked)
    assert turn is not None
    assert turn < 64
    assert f"best: n = {turn}" in best_of_picture(hacked).svg
    honest = best_of_n(proxy_QN, proxy_QN + random.normal(size=proxy_QN.shape))
    assert [each.n for each in honest] == [1, 2, 4, 8, 16, 32, 64]
    assert overoptimised_from(honest) is None
    for wrong in (proxy_QN[:, :3], np.full_like(proxy_QN, np.nan)):
        with pytest.raises(ValueError, match=r"Q, N|finite"):
            best_of_n(proxy_QN, wrong)
