"""What a search finds, in figures, and the verdict made from them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import ndcg_score

from tunesmith.core.records import Origin
from tunesmith.evaluate.embeddings import figures
from tunesmith.evaluate.embeddings.measured import (
    BASE,
    TUNED,
    Asked,
    EmbedMeasured,
    General,
    Way,
)
from tunesmith.evaluate.embeddings.page import render_embeddings
from tunesmith.evaluate.embeddings.verdict import judge_embeddings
from tunesmith.evaluate.labels.measured import Certificate


def _rows(*ranks: tuple[int, ...]) -> tuple[Asked, ...]:
    return tuple(
        Asked(Origin("rows.jsonl", n + 1), each, text=f"question {n}", wanted="w", found="<b>")
        for n, each in enumerate(ranks)
    )


def _measured(tuned: tuple[Asked, ...], base: tuple[Asked, ...], **more: object) -> EmbedMeasured:
    settings = {
        "general": General((1,) * 40, (1,) * 40, (0.1, 0.2)),
        "certificate": Certificate(0.0, 40, 40, 1e-4),
        "candidates": 900,
        "distractors": 400,
    } | more
    ways = (
        Way(TUNED, "tuned", tuned, tuned),
        Way(BASE, "the untrained base", base, base),
        Way("bm25", "a search by words", base, (), "BM25"),
    )
    return EmbedMeasured(False, ways, **settings)  # type: ignore[arg-type]


GOOD, POOR = _rows(*[(1,)] * 40), _rows(*[(1,), (30,)] * 20)


def test_ranks_are_places_and_ties_are_lost() -> None:
    near = np.array([0.9, 0.5, 0.5, 0.1, 0.7], dtype=np.float32)
    assert figures.ranks_of(near, [0]) == (1,)
    assert figures.ranks_of(near, [1]) == (4,), "the other of 0.5 comes first"
    assert figures.ranks_of(near, [3, 4]) == (2, 5)
    assert figures.ranks_of(np.zeros(5, np.float32), [2]) == (5,)


def test_figures_are_those_of_the_libraries() -> None:
    random = np.random.default_rng(0)
    near_QC = random.normal(size=(30, 40)).astype(np.float32)
    belongs_QC = random.random((30, 40)) < 0.08
    belongs_QC[:, 0] = True
    rows = _rows(
        *(
            figures.ranks_of(near, np.flatnonzero(own).tolist())
            for near, own in zip(near_QC, belongs_QC, strict=True)
        )
    )
    found = figures.figures(rows, scored=False)
    assert next(iter(found)) == "recall@10"
    assert found["NDCG@10"] == pytest.approx(ndcg_score(belongs_QC, near_QC, k=10))
    top_QC = near_QC >= np.sort(near_QC)[:, -10:-9]
    assert found["recall@10"] == pytest.approx(
        np.mean((top_QC & belongs_QC).sum(1) / belongs_QC.sum(1))
    )
    scored = [
        Asked(Origin("a", n), score=float(n // 3), likeness=float(random.normal() + n / 10))
        for n in range(30)
    ]
    wanted = spearmanr([each.score for each in scored], [each.likeness for each in scored])
    assert figures.figures(scored, scored=True)[figures.SPEARMAN] == pytest.approx(wanted.statistic)
    assert figures.row_scores(scored, True).mean() == pytest.approx(wanted.statistic)


def test_what_finds_more_is_shipped() -> None:
    verdict = judge_embeddings(_measured(GOOD, POOR))
    assert verdict.decision == "ship"
    assert verdict.learned.value == 0.5
    assert verdict.worth.passed is True
    assert "900 candidates" in verdict.learned.detail["remarks"][0]


@pytest.mark.parametrize(
    ("question", "measured"),
    [
        ("learned", _measured(POOR, POOR)),
        ("kept", _measured(GOOD, POOR, general=General((1,) * 40, (9,) * 40, (0.1, 0.9)))),
        ("parity", _measured(GOOD, POOR, certificate=Certificate(0.1, 40, 40, 1e-4))),
        ("parity", _measured(GOOD, POOR, certificate=Certificate(0.0, 40, 39, 1e-4))),
    ],
)
def test_each_question_can_hold(question: str, measured: EmbedMeasured) -> None:
    verdict = judge_embeddings(measured)
    assert verdict.decision == "hold"
    assert getattr(verdict, question).passed is False


def test_what_only_trained_rows_gain_is_memorised() -> None:
    unseen = _rows(*[(1,)] * 24, *[(30,)] * 16)
    ways = (Way(TUNED, "tuned", unseen, GOOD), Way(BASE, "base", POOR, POOR))
    verdict = judge_embeddings(EmbedMeasured(False, ways))
    assert verdict.memorised.passed is False
    assert verdict.memorised.value == pytest.approx(0.4)


def test_it_is_kept_and_read_again_and_shown() -> None:
    measured = _measured(GOOD, POOR)
    again = EmbedMeasured.from_json(json.loads(json.dumps(measured.to_json())))
    assert again == measured
    missed = _measured(POOR, GOOD)
    verdict = judge_embeddings(missed).to_json()
    ledger = {"rows_in": 80, "trained": 40, "held_out": 40, "dropped": {}}
    page = render_embeddings(verdict, missed, [], ledger, "", {}, {})
    assert "Found last" in page
    assert "&lt;b&gt;" in page
