"""The command: `python -m benchmarks [WORKLOAD ...] [--peers ...] [--rounds N] [--quick]`.

Each workload's results are kept under build/bench as soon as they are there, and RESULTS.md is
written from all that are kept, so a long benchmark can be run in pieces.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.machine import describe
from benchmarks.measure import ROOT, Measured, Trial, chosen, measure
from benchmarks.report import Section, results, table
from benchmarks.statistics import OURS, disagreements, errors
from benchmarks.sweeps import Point, draw, sweep_all
from benchmarks.workloads import PEERS, SCALING, WORKLOADS
from tunesmith.core.files import read_json, write_json, write_text

KEPT = ROOT / "build" / "bench"
PAGE = Path(__file__).with_name("RESULTS.md")
PLOT = "cost.svg"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was asked for. 1 where a loss differs or ours did not run."""
    asked = _parse(arguments)
    folder = KEPT / "quick" if asked.quick else KEPT
    folder.mkdir(parents=True, exist_ok=True)
    failed = False
    for name in asked.workloads or [*WORKLOADS, SCALING]:
        if name == SCALING:
            _scale(asked, folder)
        else:
            failed |= _compare(name, asked, folder)
        page = folder / "RESULTS.md" if asked.quick else PAGE
        write_page(folder, page)
        _tell(f"Wrote {page}")
    return int(failed)


def _compare(name: str, asked: argparse.Namespace, folder: Path) -> bool:
    """One workload. Returns whether it failed."""
    workload = WORKLOADS[name].quick() if asked.quick else WORKLOADS[name]
    measured = measure(
        workload,
        chosen(workload, asked.peers),
        folder=folder,
        rounds=1 if asked.quick else asked.rounds,
        threads=asked.threads,
        tell=_tell,
    )
    write_json(folder / f"{name}.json", {"machine": describe(), **asdict(measured)})
    print(table(measured), flush=True)
    wrong = disagreements(measured)
    if wrong:
        _tell(f"{name}: the losses of {', '.join(wrong)} differ from those of {OURS}.")
    return bool(wrong) or OURS in errors(measured)


def _scale(asked: argparse.Namespace, folder: Path) -> None:
    points = sweep_all(
        folder=folder,
        threads=asked.threads,
        quick=asked.quick,
        peer=asked.peers is None or bool(asked.peers),
        tell=_tell,
    )
    write_json(folder / f"{SCALING}.json", [asdict(point) for point in points])


def write_page(folder: Path, page: Path) -> None:
    """RESULTS.md and its plot, from all results kept in `folder`."""
    sections = kept_sections(folder)
    kept = folder / f"{SCALING}.json"
    points = [Point(**point) for point in read_json(kept)] if kept.exists() else []
    if points:
        draw(points, page.with_name(PLOT))
    write_text(page, results(sections, points, PLOT if points else None))


def kept_sections(folder: Path) -> list[Section]:
    """The results kept in `folder`, in the order of the workloads."""
    return [
        _section(name, read_json(folder / f"{name}.json"))
        for name in WORKLOADS
        if (folder / f"{name}.json").exists()
    ]


def _section(name: str, kept: dict[str, Any]) -> Section:
    machine = kept.pop("machine")
    trials = tuple(_trial(trial) for trial in kept.pop("trials"))
    rates = tuple(kept.pop("matrix_rates"))
    return Section(WORKLOADS[name], Measured(**kept, trials=trials, matrix_rates=rates), machine)


def _trial(kept: dict[str, Any]) -> Trial:
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in kept.items()}
    return Trial(**values)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure tunesmith beside its peers, and write benchmarks/RESULTS.md.",
    )
    names = [*WORKLOADS, SCALING]
    parser.add_argument(
        "workloads", nargs="*", metavar="WORKLOAD", help=f"{', '.join(names)}; by default all"
    )
    parser.add_argument(
        "--peers", nargs="*", choices=PEERS, help="by default all; with no name, ours alone"
    )
    parser.add_argument("--rounds", type=int, default=3, help="turns each contender has")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument(
        "--quick", action="store_true", help="two steps, one round, results under build/bench/quick"
    )
    asked = parser.parse_args(arguments)
    for name in asked.workloads:
        if name not in names:
            parser.error(f"There is no workload {name!r}. There are: {', '.join(names)}.")
    return asked


def _tell(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
