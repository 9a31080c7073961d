"""The command: `python -m benchmarks.coverage [--sets N]`.

How often the intervals of the verdict cover a change that is known, because the rows were drawn
from it. Writes benchmarks/COVERAGE.md; minutes on one core.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.worlds import WORLDS, World
from tunesmith.core.files import write_text
from tunesmith.evaluate.bootstrap import RESAMPLES, Interval, PairedRows, resampled_sums

ROWS = (8, 12, 20, 48, 256)
LOWEST, HIGHEST = 0.93, 0.97
PAGE = Path(__file__).with_name("COVERAGE.md")

_HEAD = """\
# How often the intervals are right

Made by `python -m benchmarks.coverage`: {sets:,} data sets are drawn from each world, whose change
is known, and the table says how many of the stated 95 % intervals cover it. A share of {sets:,} has
a standard error of {error:.1f} points. In brackets is the plain percentile bootstrap on the same
rows, for comparison. Bold is {low:.0%} to {high:.0%}, and more where more is right.

{table}
- **loss** and **mean**: held-out loss, forgetting, and means of numbers. Where rows are very
  skewed, few of them know nothing of the tail, and the interval is some points short.
- **rate**: true or false of each answer. Near 0 and 1 and on few rows only a few intervals are
  possible, so they cover more than 95 %.
- **corpus**: macro-F1 and chrF, computed from sums over rows.
- **no change**: base and tuned are equally good, and the share is that of "no difference". Two
  measurements of the *same* model differ by rounding only, which never counts as a gain.

Each interval is from {resamples:,} resamples; that of a rate needs none.
"""


@dataclass(frozen=True, slots=True)
class Cell:
    """The share of intervals that cover the truth, by ours and by plain percentiles."""

    ours: float
    percentile: float | None


def coverage(world: World, rows: int, sets: int, seed: int = 0) -> Cell:
    """Draw data sets of so many rows, and count."""
    generator = np.random.default_rng([seed, rows])
    hits, plain = 0, 0
    drawn: PairedRows | None = None
    for number in range(sets):
        sample = world.draw(generator, rows)
        hits += _covers(sample.interval(number), world.truth)
        drawn = sample.rows
        if drawn is not None:
            plain += _covers(percentile(drawn, number), world.truth)
    return Cell(hits / sets, None if drawn is None else plain / sets)


def percentile(rows: PairedRows, seed: int) -> Interval:
    """The plain percentile bootstrap, which the verdict does not use."""
    columns_RK = np.stack([rows.tuned_R - rows.base_R, rows.size_R], axis=1)
    sums_BK = resampled_sums(columns_RK, seed)
    low, high = np.percentile(sums_BK[:, 0] / sums_BK[:, 1], [2.5, 97.5])
    return Interval(rows.tuned - rows.base, float(low), float(high), len(rows))


def table(found: dict[str, list[Cell]]) -> str:
    """A line a world, a column a number of rows; bold where the interval is as it says."""
    head = " | ".join(f"{rows} rows" for rows in ROWS)
    lines = [f"| world | {head} |", f"|---|{'---|' * len(ROWS)}"]
    for world in WORLDS:
        cells = found[world.name]
        texts = [_text(cell, _holds(world, cell)) for cell in cells]
        lines.append(f"| {world.name} | {' | '.join(texts)} |")
    return "\n".join(lines) + "\n"


def _holds(world: World, cell: Cell) -> bool:
    return cell.ours >= LOWEST and (cell.ours <= HIGHEST or world.may_cover_more)


def _text(cell: Cell, bold: bool) -> str:
    ours = f"{100 * cell.ours:.1f} %"
    said = f"**{ours}**" if bold else ours
    return said if cell.percentile is None else f"{said} ({100 * cell.percentile:.1f} %)"


def _covers(interval: Interval, truth: float) -> bool:
    return interval.low - 1e-9 <= truth <= interval.high + 1e-9


def measured(sets: int, tell: Callable[[str], None]) -> dict[str, list[Cell]]:
    """All worlds at all numbers of rows."""
    found: dict[str, list[Cell]] = {}
    for world in WORLDS:
        found[world.name] = [coverage(world, rows, sets) for rows in ROWS]
        tell(f"{world.name}: {', '.join(_text(cell, False) for cell in found[world.name])}")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage", description=__doc__)
    parser.add_argument("--sets", type=int, default=1000, help="data sets for each figure")
    parser.add_argument("--out", type=Path, default=PAGE, help="file to write")
    asked = parser.parse_args(arguments)
    if asked.sets < 1:
        parser.error(f"--sets is {asked.sets}; at least one data set is needed.")
    found = measured(asked.sets, lambda line: print(line, file=sys.stderr, flush=True))
    page = _HEAD.format(
        sets=asked.sets,
        error=100 * (0.05 * 0.95 / asked.sets) ** 0.5,
        table=table(found),
        low=LOWEST,
        high=HIGHEST,
        resamples=RESAMPLES,
    )
    write_text(asked.out, page)
    print(table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
