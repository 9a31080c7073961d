"""From trials to the figures of a table: medians, ratios within a round, agreement of losses."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import mean, median

from benchmarks.measure import Measured, Trial
from benchmarks.workloads import WORKLOADS, Workload

FIRST_LOSS = 0.005
"""First-step losses may differ by this share: all start from one model (LoRA's B is zero), so only
the rounding of bfloat16 stands between them."""
EXACT = 1e-3
"""In float32, of the same batches and the same adapter: losses of all steps of pairs, in nats, and
the share by which the log-probability of the first preferred answers may differ."""
MEAN_GRADE = 0.25
"""Mean grades of answers that each sampled for itself differ by chance: some 6 % (one sigma) of
forty answers in three hundred letters each."""
MEAN_LOSS = 0.02
"""Mean losses over the steps that both made: each library draws LoRA's A in its own way, and they
round their updates differently."""
OURS = "ours"


@dataclass(frozen=True, slots=True)
class Line:
    """One contender's figures over all rounds; `slower` is how many times faster ours is.

    Rates are in units of the workload a second; `rate_with_reference` is that of an epoch with the
    reference pass before it, and `reference` the seconds of that pass.

    `share` is the part of the matrix rate that necessary work reached. `agrees` is None for ours.
    """

    contender: str
    rate: float
    slowest: float
    fastest: float
    slower: float | None
    rate_with_reference: float
    slower_with_reference: float | None
    reference: float
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
    speeds = [trial.rate for trial in mine.values()]
    shared = [number for number in mine if number in ours]
    some = next(iter(mine.values()))
    reference = next(iter(ours.values()), None)
    common = min(len(some.losses), len(reference.losses) if reference else len(some.losses))
    return Line(
        contender=name,
        rate=median(speeds),
        slowest=min(speeds),
        fastest=max(speeds),
        slower=median(ours[n].rate / mine[n].rate for n in shared) if shared else None,
        rate_with_reference=median(trial.rate_with_reference for trial in mine.values()),
        slower_with_reference=median(
            ours[n].rate_with_reference / mine[n].rate_with_reference for n in shared
        )
        if shared
        else None,
        reference=median(trial.reference for trial in mine.values()),
        peak_bytes=max(trial.peak_bytes for trial in mine.values()),
        share=median(
            trial.flops / trial.seconds / measured.matrix_rates[number]
            for number, trial in mine.items()
        ),
        first_step=median(trial.steps[0] for trial in mine.values()),
        first_loss=some.losses[0],
        mean_loss=mean(some.losses[:common]),
        agrees=None
        if name == OURS or reference is None
        else agree(some, reference, WORKLOADS[measured.workload]),
        note=some.note,
        versions=some.versions,
    )


def agree(trial: Trial, reference: Trial, workload: Workload) -> bool:
    """Whether the losses of the steps that both made are within bounds: the first and the mean; of
    pairs in float32 each; of grades the mean."""
    common = min(len(trial.losses), len(reference.losses))
    theirs, ours = trial.losses[:common], reference.losses[:common]
    if workload.objective == "grpo":
        return abs(mean(theirs) - mean(ours)) <= MEAN_GRADE * mean(ours)
    if workload.objective == "dpo" and workload.dtype == "float32":
        assert trial.log_p is not None
        assert reference.log_p is not None
        apart = [abs(their - our) for their, our in zip(theirs, ours, strict=True)]
        return max(apart) <= EXACT and abs(trial.log_p / reference.log_p - 1) <= EXACT
    first = abs(theirs[0] - ours[0]) <= FIRST_LOSS * ours[0]
    return first and abs(mean(theirs) - mean(ours)) <= MEAN_LOSS * mean(ours)
