"""Measures the search for near duplicates and leaks.

    python -m benchmarks.duplicates leaks DATA [--out JSON]     recall and false alarms
    python -m benchmarks.duplicates write N FILE                N short rows, some of them copies
    python -m benchmarks.duplicates check FILE                  time and memory of a whole check

DATA holds banking77/train.csv, banking77/test.csv and medquad/*.jsonl.gz. Rows are planted into the
validation side that are edited copies of training rows; a planted row that is not found is a miss,
and any other validation row that is found is an alarm.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import random
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from tunesmith.core.records import Completion, Example, Label, Origin
from tunesmith.data.quality import TRAIN, VALIDATION, Survey, seen
from tunesmith.data.quality.columns import Columns
from tunesmith.runs.check import check_data

PLANTED = 500
_GREETINGS = ("Hello, {}", "Hi there! {}", "Good morning. {}", "{} Thanks!", "Dear team, {}")
_CASES = (str.upper, str.swapcase, str.title, str.lower)

Edit = Callable[[str, random.Random, Sequence[str]], str]


@dataclass(frozen=True, slots=True)
class Pool:
    """Rows of one data set: those to train on, and others that stand in no known relation to them.

    `key` is what two rows share that mean the same: an alarm between such is a paraphrase found.
    """

    name: str
    train: Sequence[tuple[str, str]]
    others: Sequence[tuple[str, str]]
    labels: bool


def banking77(folder: Path) -> Pool:
    """Questions and their intents, split as published."""
    sides = []
    for side in ("train", "test"):
        with open(folder / "banking77" / f"{side}.csv", encoding="utf-8", newline="") as handle:
            sides.append([(row["text"], row["category"]) for row in csv.DictReader(handle)])
    return Pool("banking77", sides[0], sides[1], labels=True)


def medquad(folder: Path) -> Pool:
    """Questions and answers; every fifth held out."""
    [file] = (folder / "medquad").glob("*.jsonl.gz")
    with gzip.open(file, "rt", encoding="utf-8") as handle:
        rows = [(row["question"], row["answer"]) for row in map(json.loads, handle)]
    held = [row for number, row in enumerate(rows) if number % 5 == 0]
    return Pool("medquad", [r for n, r in enumerate(rows) if n % 5], held, labels=False)


def greet(text: str, draw: random.Random, words: Sequence[str]) -> str:
    """A greeting in front, or thanks behind."""
    return draw.choice(_GREETINGS).format(text)


def recase(text: str, draw: random.Random, words: Sequence[str]) -> str:
    """Other letters large and small."""
    return draw.choice(_CASES)(text)


def reword(text: str, draw: random.Random, words: Sequence[str]) -> str:
    """One word of ten, and at least one, replaced by another of the data set."""
    parts = text.split()
    for at in draw.sample(range(len(parts)), max(1, len(parts) // 10)):
        parts[at] = draw.choice(words)
    return " ".join(parts)


def all_three(text: str, draw: random.Random, words: Sequence[str]) -> str:
    """Reworded, greeted and recased."""
    return recase(greet(reword(text, draw, words), draw, words), draw, words)


EDITS: dict[str, Edit] = {"greeting": greet, "case": recase, "words": reword, "all": all_three}


def leaks(pool: Pool, seed: int = 0) -> Iterator[dict[str, object]]:
    """Recall of each edit over `PLANTED` rows of at least four words, and the alarms."""
    draw = random.Random(seed)
    words = [word for row in pool.train[:2000] for word in row[0].split()]
    long = [row for row in pool.train if len(row[0].split()) >= 4]
    planted = {name: draw.sample(long, PLANTED) for name in EDITS}
    held = [*pool.others]
    for name, rows in planted.items():
        held += [(EDITS[name](row[0], draw, words), row[1]) for row in rows]
    began = time.perf_counter()
    columns = _columns(pool, held)
    seconds = time.perf_counter() - began
    found = columns.twins_FR[TRAIN][len(pool.train) :] >= 0
    others = len(pool.others)
    for number, name in enumerate(EDITS):
        start = others + number * PLANTED
        yield {"set": pool.name, "edit": name, "recall": float(found[start:][:PLANTED].mean())}
    twins = columns.twins_FR[TRAIN][len(pool.train) :][:others]
    alarms = [(at, int(twins[at])) for at in np.flatnonzero(found[:others])]
    for at, twin in draw.sample(alarms, min(12, len(alarms))):
        print(f"    {pool.others[at][0]!r} ~ {pool.train[twin][0]!r}", file=sys.stderr)
    same = sum(pool.others[at][1] == pool.train[twin][1] for at, twin in alarms)
    yield {
        "set": pool.name,
        "rows": others,
        "alarms": len(alarms) / others,
        "alarms_of_other_meaning": (len(alarms) - same) / others,
        "seconds": round(seconds, 1),
    }


def _columns(pool: Pool, held: Iterable[tuple[str, str]]) -> Columns:
    survey = Survey()
    for side, rows in ((TRAIN, pool.train), (VALIDATION, held)):
        contents = [
            Label(text, (answer,)) if pool.labels else Completion(text, answer)
            for text, answer in rows
        ]
        examples = [Example(Origin(pool.name, at + 1), each) for at, each in enumerate(contents)]
        survey.take(pool.name, seen(examples, {}), side)
    return survey.columns()


def short_rows(count: int, seed: int = 0) -> Iterator[dict[str, str]]:
    """Questions and answers of 4 to 12 words each; of 100 rows one is a copy and two are edited."""
    draw = random.Random(seed)
    syllables = [a + b for a in "bcdfghklmnprstvw" for b in ("a", "e", "i", "o", "u", "an", "er")]
    words = ["".join(draw.choices(syllables, k=draw.randint(1, 4))) for _ in range(20000)]
    odds = [1 / (rank + 10) for rank in range(len(words))]  # as words of a language are (Zipf)
    stream = _forever(draw, words, odds)
    kept: list[dict[str, str]] = []
    for number in range(count):
        row = {name: _sentence(draw, stream) for name in ("prompt", "completion")}
        if kept and number % 100 == 7:
            row = dict(draw.choice(kept))
        elif kept and number % 100 in (23, 61):
            copied = draw.choice(kept)
            row = {**copied, "prompt": all_three(copied["prompt"], draw, words)}
        elif number % 1000 == 0:
            kept.append(row)
        yield row


def _forever(draw: random.Random, words: Sequence[str], odds: Sequence[float]) -> Iterator[str]:
    while True:
        yield from draw.choices(words, odds, k=100_000)


def _sentence(draw: random.Random, stream: Iterator[str]) -> str:
    return " ".join(islice(stream, draw.randint(4, 12))).capitalize() + "."


def checked(path: Path) -> dict[str, object]:
    """A whole check of one file: seconds, processor seconds, peak memory, findings."""
    began = time.perf_counter()
    report = check_data([str(path)])
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "rows": report.rows[TRAIN],
        "megabytes": path.stat().st_size / 1e6,
        "seconds": time.perf_counter() - began,
        "processor_seconds": used.ru_utime + used.ru_stime,
        "peak_gigabytes": used.ru_maxrss * 1024 / 1e9,
        "found": {each.reason: len(each.rows) for each in report.found},
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command line, and print a line of JSON for each result."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.duplicates")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("leaks").add_argument("data", type=Path)
    commands.add_parser("check").add_argument("file", type=Path)
    write = commands.add_parser("write")
    write.add_argument("count", type=int)
    write.add_argument("file", type=Path)
    asked = parser.parse_args(arguments)
    if asked.command == "write":
        with open(asked.file, "w", encoding="utf-8") as handle:
            handle.writelines(json.dumps(row) + "\n" for row in short_rows(asked.count))
    elif asked.command == "check":
        print(json.dumps(checked(asked.file)))
    else:
        for pool in (banking77(asked.data), medquad(asked.data)):
            for result in leaks(pool):
                print(json.dumps(result), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
