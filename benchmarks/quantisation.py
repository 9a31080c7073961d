"""What a base in 4 bits costs, and what training makes up for: `python -m benchmarks.quantisation`.

    python -m benchmarks.quantisation --base BASE --data ROWS.jsonl [--out OUT] [SETTING ...]

The same LoRA run in bfloat16, with the base as it is and with `model.quantize=nf4`, for three
seeds, on the same held-out rows. The table of docs/quantisation.md is made of it. A call with the
same `--out` goes on with the runs that are not finished. SETTING is `key=value`, as behind `--set`.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from tunesmith.core.files import read_json
from tunesmith.recipe import load
from tunesmith.runs.open import Run, open_run
from tunesmith.runs.train import train

SEEDS = (0, 1, 2)
SETTINGS = {
    "model.dtype": "bfloat16",
    "evaluate.level": "quick",
    "evaluate.examples": 0,
    "evaluate.max_new_tokens": 8,
}
HEAD = """\
| | bfloat16 | nf4 | nf4, adapter on the base in bfloat16 |
|---|---|---|---|
"""


def compare(base: str, data: str, out: Path, settings: Sequence[str]) -> str:
    """Train what is not trained yet; returns the table."""
    runs = {
        quantize: [_run(base, data, out, quantize, seed, settings) for seed in SEEDS]
        for quantize in ("none", "nf4")
    }
    return HEAD + "".join(_rows(runs["none"], runs["nf4"]))


def _run(base: str, data: str, out: Path, quantize: str, seed: int, settings: Sequence[str]) -> Run:
    folder = out / f"{quantize}-{seed}"
    if (folder / "verdict.json").exists():
        return open_run(folder)
    asked: dict[str, Any] = {
        **SETTINGS,
        "model.base": base,
        "model.quantize": quantize,
        "data.train": data,
        "engine.seed": seed,
    }
    return train(load(None, settings, asked), folder)


def _rows(whole: list[Run], packed: list[Run]) -> list[str]:
    """The base's loss, the tuned model's over the seeds, and what a step took."""
    ours, theirs = ([run.verdict["learned"] for run in runs] for runs in (whole, packed))
    unit = ours[0]["unit"]
    merged = [each["detail"]["rounding"]["tuned"]["unquantised"] for each in theirs]
    before = [f"{mean(each['detail']['base'] for each in side):.3f}" for side in (ours, theirs)]
    after = [_spread([each["detail"]["tuned"] for each in side]) for side in (ours, theirs)]
    speed = [_spread([_speed(run) for run in runs], digits=0) for runs in (whole, packed)]
    return [
        f"| base, {unit} | {before[0]} | {before[1]} | |\n",
        f"| tuned, {unit} | {after[0]} | {after[1]} | {_spread(merged)} |\n",
        f"| tokens a second | {speed[0]} | {speed[1]} | |\n",
    ]


def _speed(run: Run) -> float:
    return float(read_json(run.folder.plan)["measured"]["tokens_per_second"])


def _spread(values: Sequence[float], digits: int = 3) -> str:
    """Mean and standard deviation over the seeds."""
    return f"{mean(values):.{digits}f} ± {stdev(values):.{digits}f}"


def main() -> None:
    """Parse the arguments, train, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--base", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", type=Path, help="folder of the runs, by default a temporary one")
    parser.add_argument("settings", nargs="*", metavar="SETTING")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(compare(asked.base, asked.data, asked.out or Path(folder), asked.settings))


if __name__ == "__main__":
    main()
