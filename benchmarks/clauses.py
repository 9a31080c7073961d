"""Clauses of contracts by their type: `python -m benchmarks.clauses CSV BASE [BASE ...]`.

    python -m benchmarks.clauses cuad/master_clauses.csv anvil lm-TinyTalk-3M --method full

CSV is CUAD's master_clauses.csv (510 contracts, a column a type, in it the clauses as a list). The
types with the most clauses are the classes; all clauses of one contract stand on one side of the
split. Each base becomes a classifier; the table holds it against the ways to label without this
training: the commonest class, nearest rows and logistic regression on the frozen base, and the base
asked by a prompt.
"""

from __future__ import annotations

import argparse
import ast
import csv
from collections import Counter
from pathlib import Path

from tunesmith.core.files import write_jsonl
from tunesmith.recipe import load
from tunesmith.runs.open import Run
from tunesmith.runs.train import train

FACTS = {"Document Name", "Parties", "Agreement Date", "Effective Date", "Expiration Date"}
"""Columns whose passages are names and dates, not clauses."""


def main() -> None:
    """Train, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("csv", type=Path)
    parser.add_argument("bases", nargs="+")
    parser.add_argument("--out", type=Path, default=Path("build/clauses"))
    parser.add_argument("--types", type=int, default=12)
    parser.add_argument("--method", default="full")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    asked = parser.parse_args()
    data = asked.out / "clauses.jsonl"
    asked.out.mkdir(parents=True, exist_ok=True)
    write_jsonl(data, clauses(asked.csv, asked.types))
    for base in asked.bases:
        recipe = load(
            None,
            [
                f"model.base={base}",
                f"data.train={data}",
                "data.group_by=contract",
                "data.bad_rows=drop",
                "objective.kind=classify",
                f"model.method={asked.method}",
                *asked.set,
            ],
        )
        show(base, train(recipe, asked.out / Path(base).name))


def clauses(path: Path, types: int) -> list[dict[str, str]]:
    """A row a clause: the text, its type, and the contract it is of; the commonest `types`."""
    found = []
    with open(path, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            for name, passages in row.items():
                for text in passages_of(passages) if name not in FACTS else ():
                    found.append({"text": text, "label": name, "contract": row["Filename"]})
    kept = {name for name, _ in Counter(row["label"] for row in found).most_common(types)}
    return [row for row in found if row["label"] in kept and row["text"].strip()]


def passages_of(cell: str) -> list[str]:
    """The passages that a cell lists; none where it is no list (one cell reads "[]/[]/[][]")."""
    try:
        found = ast.literal_eval(cell) if cell.startswith("[") else []
    except (SyntaxError, ValueError):
        return []
    return list(dict.fromkeys(found))


def show(base: str, run: Run) -> None:
    """The share of right labels, by each way."""
    verdict = run.verdict
    figures = verdict["learned"]["detail"]["figures"]
    print(f"| {Path(base).name}, fine-tuned | {figures['accuracy']:.3f} | {verdict['decision']} |")
    for rival in verdict["worth"]["detail"]["rivals"]:
        gain = f"{rival['gain']:+.3f} ({rival['low']:+.3f} to {rival['high']:+.3f})"
        print(f"| {rival['title']} | {rival['figures']['accuracy']:.3f} | {gain} |", flush=True)


if __name__ == "__main__":
    main()
