"""Measures the search for near duplicates and leaks.

    python -m benchmarks.duplicates leaks DATA [--out JSON]     recall and false alarms
    python -m benchmarks.duplicates write N FILE                N short rows, some of them copies
    python -m benchmarks.duplicates check FILE                  time and memory of a whole check

DATA holds banking77/train.csv, banking77/test.csv and medquad/*.jsonl.gz. Rows are planted into the
validation side that are edited copies of training rows; a planted row that is not found is a miss.
Of the other validation rows some are copies, too, which nobody planted: those that differ from a
training row by no more than the planted edits do, found by looking at every pair (`copies`). Any
other that is found is a false alarm.
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

from benchmarks.copies import copied
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

    A row is a question and its answer, or with `labels` a text and its class.
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


def slip(text: str, draw: random.Random, words: Sequence[str]) -> str:
    """Two letters that stand beside each other change places."""
    at = draw.randrange(len(text) - 1)
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def all_three(text: str, draw: random.Random, words: Sequence[str]) -> str:
    """Reworded, greeted and recased."""
    return recase(greet(reword(text, draw, words), draw, words), draw, words)


EDITS: dict[str, Edit] = {
    "greeting": greet,
    "case": recase,
    "words": reword,
    "letters": slip,
    "greeting, case and words": all_three,
}


def leaks(pool: Pool, seed: int = 0) -> Iterator[dict[str, object]]:
    """Recall of each edit over `PLANTED` rows of at least four words, and what else was found."""
    draw = random.Random(seed)
    words = [word for row in pool.train[:2000] for word in row[0].split()]
    long = [row for row in pool.train if len(row[0].split()) >= 4]
    held = [*pool.others]
    for edit in EDITS.values():
        rows = draw.sample(long, PLANTED)
        held += [(edit(row[0], draw, words), row[1]) for row in rows]
    began = time.process_time()
    twins = _columns(pool, held).twins_FR[TRAIN][len(pool.train) :]
    seconds = time.process_time() - began
    found, untouched = twins >= 0, len(pool.others)
    for number, name in enumerate(EDITS):
        planted = found[untouched + number * PLANTED :][:PLANTED]
        yield {"set": pool.name, "edit": name, "recall": float(planted.mean())}
    found, copies = found[:untouched], copied(pool.others, pool.train)
    for at in np.flatnonzero(found & ~copies).tolist():
        print(f"    {pool.others[at][0]!r} ~ {pool.train[twins[at]][0]!r}", file=sys.stderr)
    yield {
        "set": pool.name,
        "untouched": untouched,
        "found": float(found.mean()),
        "copies": float(copies.mean()),
        "copies_found": float((found & copies).mean()),
        "false_alarms": float((found & ~copies).mean()),
        "processor_seconds": round(seconds, 1),
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
    """A whole check of one file: seconds, processor seconds, peak memory, findings.

    Processor seconds are those of all processes; memory is that of this one, and of the largest of
    the others.
    """
    began = time.perf_counter()
    report = check_data([str(path)])
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    used, helped = map(resource.getrusage, whose)
    return {
        "rows": report.rows[TRAIN],
        "megabytes": path.stat().st_size / 1e6,
        "seconds": time.perf_counter() - began,
        "processor_seconds": sum(u.ru_utime + u.ru_stime for u in (used, helped)),
        "peak_gigabytes": used.ru_maxrss * 1024 / 1e9,
        "peak_gigabytes_of_a_worker": helped.ru_maxrss * 1024 / 1e9,
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
