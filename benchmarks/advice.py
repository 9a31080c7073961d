"""Whether `tunesmith advise` is right in planted cases: a table.

    python -m benchmarks.advice --out build/advice

The embedded base is first tuned on drills (see `advice_cases`), about five minutes on one core, so
that it learns from its prompt as larger bases do; then each case is advised on. Run again, it uses
the base that is there.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.advice_cases import Case, Row, drills, planted
from tunesmith.recipe import load
from tunesmith.runs.advise import advise
from tunesmith.runs.train import train

_DRILLS = 5000
_MINUTES = 2.0


def main() -> None:
    """Make the base, advise on each case, and print what was right."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True, help="a folder for base and results")
    out: Path = parser.parse_args().out
    base = _drilled(out)
    print(f"{'case':<12}{'right':<14}{'advised':<14}{'seconds':>8}  steps  evidence")
    for case in planted():
        found = _advised(case, base, out / case.name.replace(" ", "-"))
        mark = "" if found["recommend"] == case.right else "  WRONG"
        print(
            f"{case.name:<12}{case.right:<14}{found['recommend']:<14}{found['seconds']:>8.0f}  "
            f"{found['probe_steps']:>5}  {_evidence(found)}{mark}",
            flush=True,
        )


def _drilled(out: Path) -> Path:
    """The embedded base, tuned so that it learns from its prompt."""
    run = out / "base"
    if not (run / "verdict.json").exists():
        out.mkdir(parents=True, exist_ok=True)
        data = _written(out / "drills.jsonl", drills(_DRILLS))
        settings = {
            "data.train": str(data),
            "data.checks": "off",
            "model.method": "full",
            "engine.learning_rate": 1e-3,
            "engine.epochs": 1,
            "engine.batch_size": 16,
            "evaluate.level": "none",
        }
        train(None if run.exists() else load(None, (), settings), run, resume=run.exists())
    return run / "model"


def _advised(case: Case, base: Path, folder: Path) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    settings = {
        "model.base": str(base),
        "data.train": str(_written(folder / "train.jsonl", case.train)),
        "data.validation": str(_written(folder / "held_out.jsonl", case.held_out)),
        "data.checks": "off",  # the same line again and again is meant
    }
    return advise(load(None, (), settings), _MINUTES)


def _evidence(found: dict[str, Any]) -> str:
    """Loss and exact answers of each option."""
    return "; ".join(
        f"{option['name']} {option['loss']:.2f}, {option['exact_match']:.0%}"
        for option in found["options"]
    )


def _written(path: Path, rows: Iterable[Row]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


if __name__ == "__main__":
    main()
