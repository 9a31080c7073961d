"""RESULTS.md: every table, how it was measured, and on what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.contenders import CONTENDERS
from benchmarks.measure import Measured
from benchmarks.statistics import (
    EXACT,
    FIRST_LOSS,
    MEAN_GRADE,
    MEAN_LOSS,
    OURS,
    Line,
    errors,
    lines,
)
from benchmarks.sweeps import Point
from benchmarks.workloads import STANDARD, SWEEPS, WORKLOADS, Objective, Workload

LOSSES: dict[Objective, str] = {
    "sft": "loss: first, mean",
    "dpo": "loss: first, mean",
    "grpo": "grade: first, mean",
}


@dataclass(frozen=True, slots=True)
class Section:
    """A workload's results and the machine they are from."""

    workload: Workload
    measured: Measured
    machine: str


def results(sections: Sequence[Section], points: Sequence[Point], plot: str | None) -> str:
    """The whole page."""
    shown = [line for section in sections for line in [*_section(section), ""]]
    scaling = [*_scaling(points, plot), ""] if points else []
    return "\n".join([*_opening(sections), "", *shown, *scaling, *_method(sections), ""])


def table(measured: Measured) -> str:
    """The table of one workload, as Markdown."""
    workload = WORKLOADS[measured.workload]
    rows = [_row(line, workload) for line in lines(measured)]
    head = list(rows[0]) if rows else [""]
    shown = [_cells(list(row.values())) for row in rows]
    shown += [
        f"| {CONTENDERS[name].title} | did not run: {error} |" + " |" * (len(head) - 2)
        for name, error in errors(measured).items()
    ]
    return "\n".join([_cells(head), "|---" + "|---:" * (len(head) - 1) + "|", *shown])


def _row(line: Line, workload: Workload) -> dict[str, str]:
    """The cells of a line under the heads of the table."""
    agreement = " **differs**" if line.agrees is False else ""
    rates = [_rate(rate) for rate in (line.rate, line.slowest, line.fastest)]
    return {
        "": CONTENDERS[line.contender].title,
        f"{workload.unit}/s (lowest to highest)": f"{rates[0]} ({rates[1]} to {rates[2]})",
        "tunesmith is": _times(line, line.slower),
        **(_with_reference(line) if workload.objective == "dpo" else {}),
        "peak memory": f"{line.peak_bytes / 1e9:.2f} GB",
        "of the matrix rate": f"{line.share:.2f}",
        "to the end of step 1": f"{line.first_step:.0f} s",
        LOSSES[workload.objective]: f"{line.first_loss:.3f}, {line.mean_loss:.3f}{agreement}",
    }


def _with_reference(line: Line) -> dict[str, str]:
    """What the base's view of all pairs took, once, and the speed of one epoch that it precedes."""
    apart = f"{line.reference:.1f} s" if line.reference else "in each step"
    return {
        "reference pass": apart,
        "pairs/s of an epoch with it": _rate(line.rate_with_reference),
        "then tunesmith is": _times(line, line.slower_with_reference),
    }


def _times(line: Line, slower: float | None) -> str:
    return "" if slower is None or line.contender == OURS else f"{slower:.2f} × as fast"


def _rate(rate: float) -> str:
    return f"{rate:.0f}" if rate >= 10 else f"{rate:.3f}"


def _cells(values: Sequence[str]) -> str:
    return "| " + " | ".join(values) + " |"


def _opening(sections: Sequence[Section]) -> list[str]:
    machines = dict.fromkeys(section.machine for section in sections)
    return [
        "# Benchmarks",
        "",
        "Written by `make bench` (`python -m benchmarks`); do not edit by hand.",
        "",
        f"The model is {STANDARD.shape}.",
        "Everyone trains the same weights on the same token ids in the same order,",
        f"{STANDARD.batch_size} examples to an optimiser step.",
        "",
        *(f"Machine: {machine}." for machine in machines),
    ]


def _section(section: Section) -> list[str]:
    measured, rounds = section.measured, len(section.measured.matrix_rates)
    rates = [rate / 1e9 for rate in measured.matrix_rates]
    spread = f"{min(rates):.0f}" if rounds == 1 else f"{min(rates):.0f} to {max(rates):.0f}"
    return [
        f"## {section.workload.title}",
        "",
        f"`python -m benchmarks {section.workload.name}`: {rounds} "
        f"{'round' if rounds == 1 else 'rounds'}, threads: {measured.threads}, "
        f"{section.workload.rows} rows; bfloat16 matrix products ran at {spread} GFLOP/s.",
        "",
        table(measured),
        "",
        *_against_fastest(measured),
    ]


def _against_fastest(measured: Measured) -> list[str]:
    found = {line.contender: line for line in lines(measured)}
    ours = found.get(OURS)
    peers = [line for name, line in found.items() if CONTENDERS[name].environment]
    epoch = ""
    if ours is None or not peers:
        return []
    fastest = min(peers, key=lambda line: line.slower or 0.0)
    leanest = min(peers, key=lambda line: line.peak_bytes)
    if fastest.reference:
        epoch = f" ({fastest.slower_with_reference:.2f} in an epoch with the reference pass)"
    return [
        f"Against the fastest peer ({CONTENDERS[fastest.contender].title}) tunesmith is "
        f"{fastest.slower:.2f} times as fast{epoch}; against the leanest "
        f"({CONTENDERS[leanest.contender].title}) it takes "
        f"{ours.peak_bytes / leanest.peak_bytes:.2f} of the memory."
    ]


def _scaling(points: Sequence[Point], plot: str | None) -> list[str]:
    """One small table an axis, and the plot."""
    shown = [
        "## Cost against work",
        "",
        "The standard workload with one number changed. By rows: seconds of the whole run from",
        "the start of the process, set-up included. By length and prefix: seconds of a step.",
        "",
        *([f"![Cost against rows, length and prefix]({plot})", ""] if plot else []),
    ]
    for sweep in SWEEPS:
        mine = [point for point in points if point.axis == sweep.axis]
        names = list(dict.fromkeys(point.contender for point in mine))
        if not mine:
            continue
        shown += [_cells((sweep.unit, *(CONTENDERS[name].title for name in names)))]
        shown += ["|---:" * (len(names) + 1) + "|"]
        for value in dict.fromkeys(point.value for point in mine):
            cost = {p.contender: f"{p.seconds:.1f} s" for p in mine if p.value == value}
            shown += [_cells((str(value), *(cost.get(name, "") for name in names)))]
        shown += [""]
    return shown[:-1]


def _method(sections: Sequence[Section]) -> list[str]:
    """How everything was measured and who was configured how."""
    used = dict.fromkeys(name for s in sections for name in s.workload.contenders)
    return [
        "## How it is measured",
        "",
        "- Each contender runs in its own process, the peers in environments of their own with",
        "  pinned versions (`benchmarks/environments`) and one build of torch. They take turns for",
        "  several rounds; figures are medians, ratios are of the same round.",
        "- Tokens are those of the data, without padding, a shared prefix counted in every row.",
        "  The first step is warm-up and not counted; what it took from the start of the process",
        "  has its own column. Of the top layers, tunesmith is measured from its second epoch on.",
        "- Peak memory is the most that the process has held, set-up included (VmHWM).",
        "- The share of the matrix rate counts the work that the gradients need: 4 FLOPs a token",
        "  for each parameter of the body under LoRA, 6 for a trained one, and 4 (frozen) or 6 for",
        "  each parameter of the head where a token is learned; a shared prefix once a step, no",
        "  attention. The rate is that of 2048 × 2048 products, taken in each round.",
        "- Of pairs the unit is the pair: the prompt is shared, and the reference pass, which both",
        "  make once a run, has its own columns; the share of the matrix rate leaves it out. Of",
        "  prompts to be answered the unit is the optimiser step: sampling, grading and learning.",
        "  Everyone samples answers of its own, so their mean grade is compared; random weights",
        "  hardly ever end one before its last token.",
        f"- Losses of pairs in float32 must agree within {EXACT:g} nats in every step, from one",
        f"  adapter drawn with one seed; mean grades within {MEAN_GRADE:.0%}.",
        f"- Losses must agree within {FIRST_LOSS:.1%} in the first step and, in the mean over the",
        f"  steps that both made, within {MEAN_LOSS:.0%}; the command fails where they do not.",
        "",
        *(f"- **{CONTENDERS[name].title}**: {_how(name, sections)}" for name in used),
        *(f"- {workload.name}: not measured yet." for workload in _missing(sections)),
    ]


def _missing(sections: Sequence[Section]) -> list[Workload]:
    there = {section.workload.name for section in sections}
    return [workload for name, workload in WORKLOADS.items() if name not in there]


def _how(name: str, sections: Sequence[Section]) -> str:
    found = [line for s in sections for line in lines(s.measured) if line.contender == name]
    if not found:
        return CONTENDERS[name].how
    versions = ", ".join(f"{package} {number}" for package, number in found[0].versions.items())
    return f"{CONTENDERS[name].how} {versions}."
