"""Finding the answers of medical questions: what training adds to an encoder's search.

    python -m benchmarks.embeddings DATA BASE OUT [--rows N] [--held-out N] [--set KEY=VALUE]

DATA is medquad.jsonl.gz (questions, answers, and the disease that each is about). Held-out
questions are about diseases of which no row is trained. What is searched are the answers of both
sides; the run's own verdict judges, and its report is written to OUT.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tunesmith.core.files import read_json, write_json, write_jsonl
from tunesmith.recipe import load
from tunesmith.runs.train import train


def main(arguments: Sequence[str] | None = None) -> int:
    """Prepare the rows, train, and print what the verdict says."""
    asked = _parser().parse_args(arguments)
    asked.out.mkdir(parents=True, exist_ok=True)
    sides = divided(asked.data, asked.rows, asked.held_out)
    files = [asked.out / f"{name}.jsonl" for name in ("train", "held_out")]
    for file, rows in zip(files, sides, strict=True):
        write_jsonl(file, rows)
    settings = {
        "model.base": str(asked.base),
        "model.method": "full",
        "objective.kind": "embed",
        "data.train": str(files[0]),
        "data.validation": str(files[1]),
        "data.context": asked.context,
        "data.too_long": "cut",
        "data.bad_rows": "drop",
        "data.most_dropped": 0.2,  # answers that are empty, and a few that stand twice
        "data.checks": "warn",
        "engine.learning_rate": 5e-5,
        "engine.batch_size": 64,
    }
    run = train(load(None, asked.settings, settings), asked.out / "run")
    print(run.verdict["sentence"])
    write_json(asked.out / "figures.json", _figures(run.path))
    print(json.dumps(read_json(asked.out / "figures.json"), indent=2))
    return 0


def divided(
    data: Path, rows: int, held_out: int
) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """So many rows to train and to hold out, no disease on both sides, drawn with a fixed seed."""
    by_disease: defaultdict[str, list[dict[str, str]]] = defaultdict(list)
    with gzip.open(data, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            if row["answer"].strip():
                pair = {"anchor": row["question"], "positive": row["answer"]}
                by_disease[row["focus"].casefold()].append(pair)
    diseases = sorted(by_disease)
    random.Random(0).shuffle(diseases)
    sides: tuple[list[dict[str, str]], list[dict[str, str]]] = ([], [])
    for disease in diseases:
        sides[len(sides[1]) < held_out].extend(by_disease[disease])
    return sides[0][:rows], sides[1][:held_out]


def _figures(run: Path) -> dict[str, Any]:
    verdict = read_json(run / "verdict.json")
    kept = ("value", "low", "high", "n")
    return {
        question: {name: verdict[question][name] for name in kept}
        | {
            name: verdict[question]["detail"][name]
            for name in ("figures", "candidates", "rivals", "likeness")
            if name in verdict[question]["detail"]
        }
        for question in ("learned", "kept", "memorised", "worth", "parity")
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.embeddings")
    parser.add_argument("data", type=Path)
    parser.add_argument("base", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rows", type=int, default=2400)
    parser.add_argument("--held-out", type=int, default=600)
    parser.add_argument("--context", type=int, default=96)
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="KEY=VALUE")
    return parser


if __name__ == "__main__":
    sys.exit(main())
