"""What is counted of a search, and of scored pairs.

With r₁ < r₂ < … the ranks, from 1, of the m texts that belong to an anchor among all candidates:

    recall@k    share of the m texts with r ≤ k
    NDCG@10     Σ_{r ≤ 10} 1 / log₂(r + 1)   over the same sum for the ranks 1 to min(m, 10)
    MRR         1 / r₁

each as the mean over anchors (Järvelin & Kekäläinen 2002, with gains of 0 and 1; Thakur et al.
2021, BEIR). Of candidates that are equally near, those that do not belong come first: what cannot
be told apart is not found. Scored pairs are judged by Spearman's rank correlation of score and
cosine: rho is the correlation of their ranks, which here are those among all rows.

Shape legend: Q anchors, C candidates, R rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from tunesmith.evaluate.bootstrap import Interval, PairedRows, corpus_change, paired_change
from tunesmith.evaluate.bootstrap import paired_rate_change as rate_change
from tunesmith.evaluate.embeddings.measured import Asked

Floats = NDArray[np.float64]

HEADLINE = "recall@10"
SPEARMAN = "Spearman's rho"
CUTS = (1, 5, 10)
LOSS = "nats a row"
"""What the loss is counted in by which vectors are trained."""


def ranks_of(likeness_C: NDArray[np.float32], relevant: Sequence[int]) -> tuple[int, ...]:
    """At which places, from 1, the relevant candidates stand, ascending."""
    belongs_C = np.zeros(len(likeness_C), dtype=bool)
    belongs_C[list(relevant)] = True
    others = np.sort(likeness_C[~belongs_C])
    own = np.sort(likeness_C[belongs_C])[::-1]
    before = len(others) - np.searchsorted(others, own, side="left")
    return tuple((before + np.arange(1, len(own) + 1)).tolist())


def recall(rows: Sequence[Asked], cut: int) -> Floats:
    """recall@cut of each row."""
    return np.array([np.mean(np.array(row.ranks) <= cut) for row in rows])


def gain(rows: Sequence[Asked], cut: int = 10) -> Floats:
    """NDCG of each row."""
    return np.array([_gain(row.ranks, cut) for row in rows])


def reciprocal(rows: Sequence[Asked]) -> Floats:
    """1 / r₁ of each row, whose mean is MRR."""
    return np.array([1 / row.ranks[0] for row in rows])


def figures(rows: Sequence[Asked], scored: bool) -> dict[str, float]:
    """The figures of a set of rows, the one that judges first."""
    if scored:
        return {SPEARMAN: float(_correlation(_ranked(rows).sum(0)))}
    found = {HEADLINE: float(recall(rows, 10).mean())}
    found |= {f"recall@{cut}": float(recall(rows, cut).mean()) for cut in CUTS}
    return found | {"NDCG@10": float(gain(rows).mean()), "MRR": float(reciprocal(rows).mean())}


def change(base: Sequence[Asked], tuned: Sequence[Asked], scored: bool, seed: int) -> Interval:
    """Tuned minus base of the figure that judges, on the same rows."""
    if scored:
        return corpus_change(_ranked(base), _ranked(tuned), _correlation, seed)
    rows = PairedRows(recall(base, 10), recall(tuned, 10), np.ones(len(base)))
    single = all(len(row.ranks) == 1 for row in base)
    return rate_change(rows) if single else paired_change(rows, seed)


def row_scores(rows: Sequence[Asked], scored: bool) -> Floats:
    """What each row adds to the figure that judges: its recall, or its product of ranks, both
    standardised (whose mean is the correlation)."""
    if not scored:
        return recall(rows, 10)
    columns = [rankdata([getattr(row, name) for row in rows]) for name in ("score", "likeness")]
    wanted, given = ((each - each.mean()) / (each.std() or 1.0) for each in columns)
    products: Floats = wanted * given
    return products


def _gain(ranks: Sequence[int], cut: int) -> float:
    ideal = range(1, min(len(ranks), cut) + 1)
    return float(_discounted([r for r in ranks if r <= cut]) / _discounted(ideal))


def _discounted(ranks: Sequence[int]) -> float:
    return float(sum(1 / np.log2(rank + 1) for rank in ranks))


def _ranked(rows: Sequence[Asked]) -> Floats:
    """Columns whose sums give the correlation of the ranks: x, y, x², y², xy and 1 (R, 6)."""
    x, y = (rankdata([getattr(row, name) for row in rows]) for name in ("score", "likeness"))
    x, y = x - x.mean(), y - y.mean()
    return np.stack([x, y, x * x, y * y, x * y, np.ones(len(rows))], axis=1)


def _correlation(sums: Floats) -> Floats:
    """From sums (..., 6); 0 where one side has no spread."""
    x, y, xx, yy, xy, n = np.moveaxis(sums, -1, 0)
    spread = np.sqrt(np.maximum(0.0, (n * xx - x * x) * (n * yy - y * y)))
    found: Floats = np.divide(n * xy - x * y, spread, out=np.zeros_like(spread), where=spread > 0)
    return found
