"""What is told of forgetting beside the gate: domains, files, and the base's own samples."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tunesmith.core.records import Origin, Score
from tunesmith.evaluate.kept import kept
from tunesmith.evaluate.measure import Measured, Side
from tunesmith.evaluate.probes import domains

Make = Callable[..., Any]


def _probed(costs: dict[str, float], default: float) -> Measured:
    """Base and tuned on our probes; the tuned model costs so much more in some domains."""
    scores: tuple[list[Score], list[Score]] = ([], [])
    for origin, domain in domains().items():
        base = 1.0 + 0.01 * (origin.line % 5)
        more = costs.get(domain, default)
        scores[0].append(Score(origin, 100 * base, 50, 100))
        scores[1].append(Score(origin, 100 * (base + more), 50, 100))
    return Measured(Side(probes=tuple(scores[0])), Side(probes=tuple(scores[1])))


def test_each_domain_is_told_with_its_change_and_interval() -> None:
    found = kept(_probed({"refusals": 0.3}, 0.01)).detail["domains"]
    assert list(found) == list(dict.fromkeys(domains().values()))
    for name, each in found.items():
        change = (0.3 if name == "refusals" else 0.01) / math.log(2)
        assert each["change"] == pytest.approx(change)
        assert each["low"] - 1e-9 <= each["change"] <= each["high"] + 1e-9
        assert each["n"] >= 8


def test_a_domain_alone_does_not_decide() -> None:
    found = kept(_probed({"refusals": 0.3}, 0.01))
    assert found.passed is True
    refusals = found.detail["domains"]["refusals"]
    assert refusals["low"] > 0.1 * refusals["base"]


def test_a_hold_names_what_was_lost() -> None:
    summary = kept(_probed({"refusals": 1.5, "formats": 0.9, "news": 0.0}, 0.05)).detail["summary"]
    assert summary.startswith("general text costs")
    assert summary.endswith(", most in refusals and formats")


def test_a_file_that_decides_is_named(measured: Make, scores: Make) -> None:
    found = measured()
    for bits, cost in ((1.6, "mine.jsonl costs"), (0.8, "general text costs")):
        mine = [scores(value, 20, "mine.jsonl") for value in (1.0, bits)]
        both = replace(
            found,
            base=replace(found.base, probes=found.base.probes + mine[0]),
            tuned=replace(found.tuned, probes=found.tuned.probes + mine[1]),
        )
        judged = kept(both)
        assert judged.detail["summary"].startswith(cost)
        line = judged.detail["files"]["mine.jsonl"]
        assert line["tuned"] - line["base"] == pytest.approx(line["change"])


def _written_by_the_base(base_V: np.ndarray, tuned_V: np.ndarray, seed: int) -> Measured:
    """40 texts of 50 independent tokens drawn from `base_V`, scored under both."""
    generator = np.random.default_rng(seed)
    texts = generator.choice(len(base_V), size=(40, 50), p=base_V)
    sides = [
        Side(
            probes=(Score(Origin("p", 1), 1.0, 1, 1),),
            samples=tuple(
                Score(Origin("samples", line), float(-np.log(model_V[text]).sum()), 50, 120)
                for line, text in enumerate(texts, start=1)
            ),
        )
        for model_V in (base_V, tuned_V)
    ]
    return Measured(*sides)


def test_the_drift_on_own_samples_is_the_kl_divergence_from_base_to_tuned() -> None:
    base_V = np.array([0.5, 0.3, 0.15, 0.05])
    tuned_V = np.array([0.2, 0.3, 0.3, 0.2])
    truth = float((base_V * np.log(base_V / tuned_V)).sum())
    found = [
        kept(_written_by_the_base(base_V, tuned_V, seed)).detail["samples"]["kl"]
        for seed in range(60)
    ]
    estimates = np.array([each["value"] for each in found])
    assert abs(estimates.mean() - truth) < 3 * estimates.std() / math.sqrt(len(estimates))
    covered = sum(each["low"] <= truth <= each["high"] for each in found)
    assert covered >= 52  # of 60, where 57 are expected
    assert {each["unit"] for each in found} == {"nats per token"}


def test_own_samples_decide_nothing_and_are_told() -> None:
    measured = _probed({}, 0.0)
    assert measured.base
    assert measured.tuned
    base = (Score(Origin("samples", 1), 50.0, 96, 100), Score(Origin("samples", 2), 5.0, 96, 0))
    tuned = tuple(replace(score, nll=2 * score.nll) for score in base)
    moved = replace(
        measured,
        base=replace(measured.base, samples=base),
        tuned=replace(measured.tuned, samples=tuned),
    )
    found = kept(moved)
    assert found.passed is True
    samples = found.detail["samples"]
    assert samples["kl"]["value"] == pytest.approx(55 / 192)
    assert samples["loss"]["n"] == 1  # one has no bytes
    assert Measured.from_json(json.loads(json.dumps(moved.to_json()))) == moved


def test_what_was_measured_before_there_were_samples_still_opens() -> None:
    old = _probed({}, 0.0).to_json()
    for side in ("base", "tuned"):
        del old[side]["samples"]
    del old["frontier"]
    assert "samples" not in kept(Measured.from_json(old)).detail
