"""Runs side by side on the held-out rows that all of them were judged on.

A row is the same row if its content is. Losses are in bits per byte, so runs of other bases and
tokenizers can be compared; each row weighs as much as it does in the first run. Differences are to
the first run and paired by row, with the intervals of `evaluate.bootstrap`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from tunesmith.core.errors import DataError
from tunesmith.core.records import Score
from tunesmith.core.seeds import derive
from tunesmith.evaluate.answers import corpus_property
from tunesmith.evaluate.bootstrap import Interval, PairedRows, paired_change
from tunesmith.evaluate.judgement import MINIMUM_ROWS, property_change
from tunesmith.evaluate.measure import Answered, Measured, Side
from tunesmith.evaluate.metrics import METRICS
from tunesmith.evaluate.metrics.metric import OfCorpus
from tunesmith.evaluate.pairing import BITS_PER_BYTE, pair_exact, pair_properties
from tunesmith.evaluate.wording import measurement, number, plural

Json = Mapping[str, Any]
Key = str
"""The content hash of a row."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A finished run. `contents` has the content hash of each row, by the text of its origin; a row
    that has none is not compared."""

    name: str
    base: str
    method: str
    verdict: Json
    measured: Measured
    contents: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Column:
    """One run in the comparison.

    `loss` and `base_loss` are bits per byte on the shared rows, `change` is to the first run (above
    0 is worse), `metrics` are those of the answers to the shared prompts, each with its change to
    the first run. `kept` is the answer of the run's own verdict; the last three are means a request
    and the time of training.
    """

    name: str
    base: str
    method: str
    decision: str
    sentence: str
    steps: int
    loss: float
    base_loss: float | None
    change: Interval | None
    metrics: list[dict[str, Any]]
    kept: Json
    tokens: float | None
    seconds: float | None
    training_seconds: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """The runs in the order in which they were named, on `rows` shared rows."""

    sentence: str
    rows: int
    prompts: int
    columns: tuple[Column, ...]
    unit: str = BITS_PER_BYTE
    notes: tuple[str, ...] = field(default_factory=tuple)

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json`."""
        return asdict(self)


def compare(runs: Sequence[Judged], seed: int = 0) -> Comparison:
    """Hold at least two runs against each other. `seed` draws the bootstrap.

    Raises DataError where a run was not measured, or no held-out row is shared.
    """
    rows = [_rows(run, run.measured.tuned) for run in runs]
    shared = _shared(runs, rows)
    answers = [_answers(run) for run in runs]
    prompts = [key for key in answers[0] if all(key in others for others in answers)]
    losses = [_paired(rows[0], each, shared) for each in rows]
    corpus = _of_corpus(runs)
    columns = tuple(
        _column(
            run,
            loss,
            _base_loss(run, rows[0], shared),
            _metrics(answers[0], theirs, prompts, corpus, seed) if prompts else [],
            None if run is runs[0] else paired_change(loss, derive(seed, "compare", run.name)),
        )
        for run, loss, theirs in zip(runs, losses, answers, strict=True)
    )
    sentence = _sentence(columns, losses, seed)
    return Comparison(sentence, len(shared), len(prompts), columns, notes=tuple(_notes(shared)))


@dataclass(frozen=True, slots=True)
class _Row:
    """Bits and bytes of the wanted answer of one row, its pieces together."""

    bits: float
    bytes: int


def _rows(run: Judged, side: Side | None) -> dict[Key, _Row]:
    scores = side.held_out if side else ()
    if not scores:
        raise DataError(
            f"{run.name} was not measured on held-out rows, so it cannot be compared. Run it again "
            "with --set evaluate.level=standard."
        )
    if any(score.bytes == 0 for score in scores):
        raise DataError(
            f"{run.name} was measured without the length of its texts in bytes, so its loss cannot "
            "be compared with another's. Run it again."
        )
    return _summed(run, scores)


def _summed(run: Judged, scores: Sequence[Score]) -> dict[Key, _Row]:
    found: dict[Key, _Row] = {}
    for score in scores:
        if (key := run.contents.get(str(score.origin))) is None:
            continue
        before = found.get(key, _Row(0.0, 0))
        found[key] = _Row(before.bits + score.nll / math.log(2), before.bytes + score.bytes)
    return found


def _shared(runs: Sequence[Judged], rows: Sequence[Mapping[Key, _Row]]) -> list[Key]:
    """The rows of all runs, as they stand in the first; DataError where there are none."""
    shared = [key for key in rows[0] if all(key in others for others in rows)]
    if shared:
        return shared
    for run, others in zip(runs[1:], rows[1:], strict=True):
        if not rows[0].keys() & others.keys():
            raise DataError(
                f"{runs[0].name} and {run.name} were not judged on any row in common ("
                f"{plural(len(rows[0]), 'row')} and {len(others):,}). Give both the same held-out "
                "rows with --validation FILE."
            )
    raise DataError(
        f"No row was held out in all {len(runs)} runs, though {runs[0].name} shares some with each "
        "of the others. Compare it with one at a time, or give all the same --validation FILE."
    )


def _paired(
    first: Mapping[Key, _Row], other: Mapping[Key, _Row], keys: Sequence[Key]
) -> PairedRows:
    """The first run against another, in the bytes of the first.

    The other's template may end an answer with more or fewer bytes; its bits per byte are kept.
    """
    sizes = np.array([first[key].bytes for key in keys], dtype=np.float64)
    ours = np.array([first[key].bits for key in keys])
    theirs = np.array([other[key].bits / other[key].bytes for key in keys])
    return PairedRows(ours, theirs * sizes, sizes)


def _base_loss(run: Judged, first: Mapping[Key, _Row], keys: Sequence[Key]) -> float | None:
    base = run.measured.base
    if base is None or not base.held_out:
        return None
    return _paired(first, _summed(run, base.held_out), keys).tuned


def _answers(run: Judged) -> dict[Key, Answered]:
    answers = run.measured.tuned.answers if run.measured.tuned else ()
    return {run.contents[at]: one for one in answers if (at := str(one.origin)) in run.contents}


def _of_corpus(runs: Sequence[Judged]) -> dict[str, OfCorpus]:
    """The metrics of all answers together that any of the runs was judged by, by their names."""
    keys = dict.fromkeys(key for run in runs for key in run.measured.grading.metrics)
    metrics = [METRICS[key] for key in keys if key in METRICS]
    return {each.name: each.of for each in metrics if isinstance(each.of, OfCorpus)}


def _metrics(
    first: Mapping[Key, Answered],
    other: Mapping[Key, Answered],
    keys: Sequence[Key],
    corpus: Mapping[str, OfCorpus],
    seed: int,
) -> list[dict[str, Any]]:
    """What each answer is worth, and then all of them together, on the same rows."""
    pairs = [(first[key], other[key]) for key in keys]
    of_answers = [pair_exact(pairs), *pair_properties(pairs)]
    return [
        *(property_change(each, seed) for each in of_answers),
        *(corpus_property(name, of, pairs, seed) for name, of in corpus.items()),
    ]


def _column(
    run: Judged,
    loss: PairedRows,
    base_loss: float | None,
    metrics: list[dict[str, Any]],
    change: Interval | None,
) -> Column:
    verdict, measured = run.verdict, run.measured
    cost = measured.tuned.cost if measured.tuned else None
    return Column(
        name=run.name,
        base=run.base,
        method=run.method,
        decision=verdict["decision"],
        sentence=verdict["sentence"],
        steps=measured.course.kept_step,
        loss=loss.tuned,
        base_loss=base_loss,
        change=change,
        metrics=metrics,
        kept=verdict["kept"],
        tokens=cost.tokens if cost else None,
        seconds=cost.seconds if cost else None,
        training_seconds=measured.course.seconds,
    )


def _sentence(columns: Sequence[Column], losses: Sequence[PairedRows], seed: int) -> str:
    """Which run has the lowest loss, and which of the others it surely beats."""
    order = sorted(range(len(columns)), key=lambda at: columns[at].loss)
    best, others = order[0], order[1:]
    clauses = []
    for at in others:
        rows = PairedRows(losses[best].tuned_R, losses[at].tuned_R, losses[at].size_R)
        found = paired_change(rows, derive(seed, "compare", columns[at].name))
        word = "clearly" if found.low > 0 else "not clearly"
        clauses.append(f"{word} lower than {columns[at].name} (by {measurement(found)})")
    held = [column.name for column in columns if column.decision != "ship"]
    hold = f"; the verdict on {', '.join(held)} is hold" if held else ""
    return (
        f"On {plural(len(losses[0]), 'shared held-out row')} {columns[best].name} has the lowest "
        f"loss, {number(columns[best].loss)} {BITS_PER_BYTE}: {', '.join(clauses)}{hold}."
    )


def _notes(shared: Sequence[Key]) -> Iterator[str]:
    if len(shared) < MINIMUM_ROWS:
        yield (
            f"{plural(len(shared), 'row')} in common are too few for the intervals to be trusted "
            f"(at least {MINIMUM_ROWS} are needed)."
        )
