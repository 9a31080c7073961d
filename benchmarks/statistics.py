"""From trials to the figures of a table: medians, ratios within a round, agreement of losses."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import mean, median

from benchmarks.measure import Measured, Trial

FIRST_LOSS = 0.005
"""First-step losses may differ by this share: all start from one model (LoRA's B is zero), so only
the rounding of bfloat16 stands between them."""
MEAN_LOSS = 0.02
"""Mean losses over the steps that both made: each library draws LoRA's A in its own way, and they
round their updates differently."""
OURS = "ours"


@dataclass(frozen=True, slots=True)
class Line:
    """One contender's figures over all rounds; `slower` is how many times faster ours is.

    `share` is the part of the matrix rate that necessary work reached. `agrees` is None for ours.
    """

    contender: str
    tokens_per_second: float
    slowest: float
    fastest: float
    slower: float | None
    peak_bytes: int
    share: float
    first_step: float
    first_loss: float
    mean_loss: float
    agrees: bool | None
    note: str
    versions: dict[str, str]


def lines(measured: Measured) -> list[Line]:
    """The contenders that ran, in their order."""
    names = dict.fromkeys(trial.contender for trial in measured.trials if not trial.error)
    return [_line(measured, name) for name in names]


def errors(measured: Measured) -> dict[str, str]:
    """Contenders that did not run in every round, and why."""
    return {trial.contender: trial.error for trial in measured.trials if trial.error}


def disagreements(measured: Measured) -> list[str]:
    """Contenders whose losses are not those of ours."""
    return [line.contender for line in lines(measured) if line.agrees is False]


def _line(measured: Measured, name: str) -> Line:
    mine = {t.round: t for t in measured.trials if t.contender == name and not t.error}
    ours = {t.round: t for t in measured.trials if t.contender == OURS and not t.error}
    speeds = [trial.tokens_per_second for trial in mine.values()]
    shared = [number for number in mine if number in ours]
    some = next(iter(mine.values()))
    reference = next(iter(ours.values()), None)
    common = min(len(some.losses), len(reference.losses) if reference else len(some.losses))
    return Line(
        contender=name,
        tokens_per_second=median(speeds),
        slowest=min(speeds),
        fastest=max(speeds),
        slower=median(
            ours[number].tokens_per_second / mine[number].tokens_per_second for number in shared
        )
        if shared
        else None,
        peak_bytes=max(trial.peak_bytes for trial in mine.values()),
        share=median(
            trial.flops / trial.seconds / measured.matrix_rates[number]
            for number, trial in mine.items()
        ),
        first_step=median(trial.steps[0] for trial in mine.values()),
        first_loss=some.losses[0],
        mean_loss=mean(some.losses[:common]),
        agrees=None if name == OURS or reference is None else agree(some, reference),
        note=some.note,
        versions=some.versions,
    )


def agree(trial: Trial, reference: Trial) -> bool:
    """Whether the first loss and the mean over the steps that both made are within bounds."""
    common = min(len(trial.losses), len(reference.losses))
    theirs, ours = trial.losses[:common], reference.losses[:common]
    first = abs(theirs[0] - ours[0]) <= FIRST_LOSS * ours[0]
    return first and abs(mean(theirs) - mean(ours)) <= MEAN_LOSS * mean(ours)
