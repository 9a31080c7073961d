"""Measures image classification: fine-tuning against what is to be had without it.

    python -m benchmarks.images BASE TRAIN VALIDATION --work DIR [--parts full,scratch,head,curve]

TRAIN and VALIDATION are folders of classes. `full` trains every weight on all images, `scratch` the
same model from random weights as long, `head` the head alone, and `curve` every weight on 5, 10 and
25 images a class. Each is an ordinary run below DIR, whose verdict holds it against logistic
regression on the frozen trunk; one that is there is not run again. Writes DIR/images.json, and
prints it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from tunesmith.core.files import read_json, read_jsonl, write_json, write_jsonl
from tunesmith.evaluate.labels.measured import LabelMeasured
from tunesmith.evaluate.labels.scores import row_scores
from tunesmith.recipe import load
from tunesmith.runs.train import train

SIZE = 160
EPOCHS = {5: 16, 10: 10, 25: 8}
"""Of each size of the curve, in images a class: fewer images are seen more often."""

WHOLE_EPOCHS = 8
_COMMON = [
    "objective.kind=image",
    f"data.image_size={SIZE}",
    "model.dtype=float32",
    "engine.checkpoint_every=1000",
]


def runs(parts: set[str]) -> Iterator[tuple[str, int | None, list[str]]]:
    """Name, images a class (None: all) and settings of each run."""
    whole = [f"engine.epochs={WHOLE_EPOCHS}"]
    if "full" in parts:
        yield "full", None, ["model.method=full", *whole]
    if "scratch" in parts:
        yield "scratch", None, ["model.method=full", "model.from_scratch=true", *whole]
    if "head" in parts:
        yield "head", None, ["model.method=head", *whole]
    if "curve" in parts:
        for each, epochs in EPOCHS.items():
            yield f"full-{each}", each, ["model.method=full", f"engine.epochs={epochs}"]


def rows_of(root: Path, each: int | None, out: Path) -> str:
    """The first `each` images of every class as rows; the folder itself for all of them."""
    if each is None:
        return str(root)
    rows = [
        {"image": str(image.resolve()), "label": folder.name}
        for folder in sorted(root.iterdir())
        if folder.is_dir()
        for image in sorted(folder.iterdir())[:each]
    ]
    write_jsonl(out, rows)
    return str(out)


def figures(folder: Path) -> dict[str, Any]:
    """What a finished run and its rivals reached; and the seconds of an epoch."""
    measured = LabelMeasured.from_json(read_json(folder / "measured.json"))
    worth = read_json(folder / "verdict.json")["worth"]["detail"]
    against = {each["name"]: each for each in worth.get("rivals", [])}
    seconds: dict[int, float] = {}
    for line in read_jsonl(folder / "metrics.jsonl"):
        if "lr" in line:
            epoch = int(line["epoch"] - 1e-9)
            seconds[epoch] = seconds.get(epoch, 0.0) + line["seconds"]
    return {
        "accuracy": _accuracy(measured, measured.held_out),
        "rows": len(measured.held_out),
        "rivals": {rival.name: _accuracy(measured, rival.rows) for rival in measured.rivals},
        "over_linear": [against.get("linear", {}).get(key) for key in ("gain", "low", "high")],
        "epoch_seconds": median(seconds.values()),
        "trunk_seconds": read_json(folder / "plan.json").get("trunk_seconds", 0.0),
        "calibration_error": measured.calibration and measured.calibration.after,
    }


def _accuracy(measured: LabelMeasured, rows: Any) -> float:
    return float(row_scores(rows, measured.problem).mean())


def main() -> None:
    """See the head of this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("base", "train", "validation"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--parts", default="full,scratch,head,curve")
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    for name, each, settings in runs(set(asked.parts.split(","))):
        folder = asked.work / name
        if not (folder / "verdict.json").exists():
            data = rows_of(asked.train, each, asked.work / f"{name}.jsonl")
            named = [f"model.base={asked.base}", f"data.train={data}"]
            named += [f"data.validation={asked.validation}"]
            train(load(None, [*named, *_COMMON, *settings]), folder)
    found = {path.parent.name: figures(path.parent) for path in asked.work.glob("*/verdict.json")}
    write_json(asked.work / "images.json", found)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
