"""What is counted of tagged words: the spans that their tags mark.

    precision = right / said        recall = right / wanted        F1 = 2 right / (said + wanted)

over the spans of all rows (micro) or those of one type; a span is right if type and both borders
are (Tjong Kim Sang & De Meulder 2003, CoNLL-2003, §2.3). How tags become spans: `core.spans`.

Shape legend: R rows; columns 3: right, said and wanted spans of a row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.spans import Span, spans, strays
from tunesmith.evaluate.bootstrap import Interval, corpus_change
from tunesmith.evaluate.labels.measured import Said

Floats = NDArray[np.float64]

MISSED = "nothing"
"""Said where a span was wanted, or wanted where one was said: no span at all."""


def counted(rows: Sequence[Said]) -> Floats:
    """(R, 3)."""
    found = []
    for row in rows:
        wanted, said = set(spans(row.wanted)), set(spans(row.said))
        found.append((len(wanted & said), len(said), len(wanted)))
    return np.array(found, dtype=np.float64).reshape(-1, 3)


def f1(sums: Floats) -> Floats:
    """F1 of sums of columns (..., 3); 1 where there is no span, and none was said."""
    right, spanned = sums[..., 0], sums[..., 1] + sums[..., 2]
    return np.where(spanned > 0, 2 * right / np.maximum(spanned, 1), 1.0)


def f1_of(rows: Sequence[Said]) -> tuple[float, float]:
    """F1 and its variance, as that of a ratio of sums over rows (Cochran 1977, eq. 6.4)."""
    counts_R3 = counted(rows)
    value = float(f1(counts_R3.sum(0)))
    spanned_R = counts_R3[:, 1] + counts_R3[:, 2]
    rest_R = 2 * counts_R3[:, 0] - value * spanned_R
    return value, float((rest_R**2).sum() / max(1.0, spanned_R.sum()) ** 2)


def f1_change(theirs: Sequence[Said], ours: Sequence[Said], seed: int) -> Interval:
    """Ours minus theirs on the same rows."""
    return corpus_change(counted(theirs), counted(ours), f1, seed)


def figures(rows: Sequence[Said]) -> dict[str, float]:
    """Micro F1, precision and recall of spans, and the share of words tagged rightly."""
    right, said, wanted = counted(rows).sum(0).tolist()
    same = [a == b for row in rows for a, b in zip(row.wanted, row.said, strict=True)]
    return {
        "span F1": float(f1(np.array([right, said, wanted]))),
        "precision": right / said if said else 0.0,
        "recall": right / wanted if wanted else 0.0,
        "words right": float(np.mean(same)),
    }


def by_type(rows: Sequence[Said]) -> list[tuple[str, float, float, int]]:
    """(type, precision, recall, wanted spans) of every type that was wanted or said."""
    right: Counter[str] = Counter()
    said: Counter[str] = Counter()
    wanted: Counter[str] = Counter()
    for row in rows:
        ours, theirs = spans(row.said), spans(row.wanted)
        said.update(each.kind for each in ours)
        wanted.update(each.kind for each in theirs)
        right.update(each.kind for each in set(ours) & set(theirs))
    return [
        (kind, right[kind] / max(1, said[kind]), right[kind] / max(1, wanted[kind]), wanted[kind])
        for kind in sorted({*said, *wanted})
    ]


def mistakes(rows: Sequence[Said], most: int = 12) -> list[tuple[str, str, int]]:
    """(wanted, said instead, how often) of the commonest mistakes.

    A wanted span that was not said is held against the first said one that shares a word with it;
    a said one that shares a word with no wanted one was said where nothing was wanted.
    """
    found: Counter[tuple[str, str]] = Counter()
    for row in rows:
        wanted, said = spans(row.wanted), spans(row.said)
        for span in wanted:
            if span not in said:
                found[(span.kind, _instead(span, said))] += 1
        for span in said:
            if not any(_meet(span, each) for each in wanted):
                found[(MISSED, span.kind)] += 1
    order = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return [(wanted, said, count) for (wanted, said), count in order[:most]]


def stray_words(rows: Sequence[Said]) -> tuple[int, int]:
    """How many words of the wanted and of the said tags go on with a span that is not there."""
    return (
        sum(len(strays(row.wanted)) for row in rows),
        sum(len(strays(row.said)) for row in rows),
    )


def _instead(span: Span, said: Sequence[Span]) -> str:
    met = next((each for each in said if _meet(span, each)), None)
    if met is None:
        return MISSED
    return met.kind if met.kind != span.kind else f"{met.kind} with other borders"


def _meet(one: Span, other: Span) -> bool:
    return one.start < other.end and other.start < one.end
