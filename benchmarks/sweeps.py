"""Cost against work: rows, length, prefix length. A few points each, and the plot of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contenders import CONTENDERS
from benchmarks.measure import Tell, measure
from benchmarks.statistics import OURS
from benchmarks.workloads import SWEEP_PEER, SWEEPS, Sweep

COLOURS = {OURS: "#0b7285", SWEEP_PEER: "#c2410c"}


@dataclass(frozen=True, slots=True)
class Point:
    """What a contender took: seconds of the whole run or of one step, as the sweep says."""

    axis: str
    value: int
    contender: str
    seconds: float


def sweep_all(*, folder: Path, threads: int, quick: bool, peer: bool, tell: Tell) -> list[Point]:
    """Every sweep once; `quick` takes only the first value of each."""
    points: list[Point] = []
    for sweep in SWEEPS:
        for value in sweep.values[: 1 if quick else None]:
            points += _points(sweep, value, folder, threads, peer, tell)
    return points


def _points(
    sweep: Sweep, value: int, folder: Path, threads: int, peer: bool, tell: Tell
) -> list[Point]:
    names = [OURS, *([SWEEP_PEER] if peer and value in sweep.peer_values else [])]
    measured = measure(
        sweep.workload(value),
        [CONTENDERS[name] for name in names],
        folder=folder,
        rounds=1,
        threads=threads,
        tell=tell,
    )
    return [
        Point(
            sweep.axis,
            value,
            trial.contender,
            trial.steps[-1] if sweep.whole_run else trial.seconds / (len(trial.steps) - trial.warm),
        )
        for trial in measured.trials
        if not trial.error
    ]


def draw(points: Sequence[Point], path: Path) -> None:
    """One panel an axis, seconds upwards from zero."""
    import matplotlib

    matplotlib.use("agg")
    matplotlib.rcParams |= {"svg.hashsalt": "tunesmith", "font.size": 10}
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(SWEEPS), figsize=(11, 3.4), layout="constrained")
    for panel, sweep in zip(panels, SWEEPS, strict=True):
        for name, colour in COLOURS.items():
            mine = [p for p in points if p.axis == sweep.axis and p.contender == name]
            line = ([p.value for p in mine], [p.seconds for p in mine])
            panel.plot(*line, marker="o", color=colour, label=CONTENDERS[name].title)
        panel.set_xlabel(sweep.unit)
        panel.set_ylabel("seconds, whole run" if sweep.whole_run else "seconds a step")
        panel.set_xlim(left=0)
        panel.set_ylim(bottom=0)
        panel.grid(alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
