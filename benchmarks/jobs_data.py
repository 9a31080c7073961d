"""The rows of real jobs, made from public data sets that lie in one folder.

Every function takes that folder and gives (rows to train on, rows to judge by), the same each time.
A row is {"prompt", "completion"}, as most users bring it. What is wrong by design is done to rows
that were right: answers dealt to other questions, rows that stand on both sides, rows written by
the base itself.
"""

from __future__ import annotations

import ast
import csv
import gzip
import json
import lzma
import random
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]
Rows = tuple[list[Row], list[Row]]
Make = Callable[[Path], Rows]

INTENTS = (
    "card_arrival",
    "lost_or_stolen_card",
    "exchange_rate",
    "pin_blocked",
    "top_up_failed",
    "Refund_not_showing_up",
    "transfer_timing",
    "terminate_account",
)
"""Eight of the queues of banking77: a help desk that sorts its mail."""

LAWS = ("New York", "California", "Delaware", "Texas", "Florida", "Pennsylvania")
"""Where most of the contracts of cuad are governed."""

LONGEST = 360
"""Characters of a text that is read or written: a row has to fit into 256 tokens."""


def tickets(data: Path, train: int = 320, judge: int = 120) -> Rows:
    """banking77: a customer's question, and which of eight queues it belongs to."""
    sides = []
    for name, count in (("train", train), ("test", judge)):
        with (data / "banking77" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            rows = [
                _row(each["text"], each["category"].lower().replace("_", " "))
                for each in csv.DictReader(file)
                if each["category"] in INTENTS
            ]
        sides.append(_drawn(rows, count))
    return sides[0], sides[1]


def governing_law(data: Path) -> Rows:
    """cuad: the clause of a contract on its governing law, and the state that it names."""
    path = data / "cuad-clauses" / "master_clauses.csv"
    with path.open(encoding="utf-8-sig", newline="") as file:
        found = [
            _row(" ".join(ast.literal_eval(each["Governing Law"]))[:LONGEST], answer)
            for each in csv.DictReader(file)
            if (answer := each["Governing Law-Answer"]) in LAWS
        ]
    return _parted([row for row in found if row["completion"] in row["prompt"]], 150, 72)


def commands(data: Path, train: int = 300, judge: int = 100) -> Rows:
    """tldr-pages: what one wants to do on a command line, and the command."""
    found = [
        _row(f"{each['task']} ({page['command']})", each["command"])
        for page in _packed(data / "tldr-pages" / "tldr-en.jsonl.gz")
        for each in page["examples"][:1]
    ]
    return _parted(found, train, judge)


def sums(data: Path, train: int = 250, judge: int = 100) -> Rows:
    """gsm8k: word problems, and the worked answer that ends in a number."""
    sides = []
    for name, count in (("train", train), ("test", judge)):
        lines = (data / "gsm8k" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [_row(each["question"], each["answer"]) for each in map(json.loads, lines)]
        sides.append(_drawn([row for row in rows if _length(row) < LONGEST], count))
    return sides[0], sides[1]


def symptoms(data: Path, train: int = 200, judge: int = 100) -> Rows:
    """medquad: questions on diseases, and the first sentences of the answer."""
    found = [
        _row(each["question"], _sentences(each["answer"]))
        for each in _packed(data / "medquad" / "medquad.jsonl.gz")
    ]
    return _parted(found, train, judge)


def calls(data: Path, train: int = 250, judge: int = 100) -> Rows:
    """sgd-dialogues: what was said so far, and the call of a service it leads to, as JSON."""
    found = [
        _row(_said(turns[max(0, at - 5) : at]), json.dumps(_call(turns[at])))
        for dialogue in _packed(data / "sgd-dialogues" / "dev.jsonl.gz")
        for turns in [dialogue["turns"]]
        for at in range(len(turns))
        if "call" in turns[at]
    ]
    return _parted([row for row in found if _length(row) < 2 * LONGEST], train, judge)


def small_talk(talk: Path) -> Rows:
    """What one says to the talking base: the questions of its own validation file."""
    questions = [exchange[0] for exchange in _exchanges(talk)]
    return _parted([_row(each, "") for each in questions], 200, 100)


def talk_texts(path: Path, count: int, skip: int = 0) -> list[Row]:
    """Exchanges of that file as texts: what the talking base must not forget."""
    found = [{"text": f"User: {asked}\nBot: {answer}"} for asked, answer in _exchanges(path)]
    random.Random(3).shuffle(found)
    return found[skip : skip + count]


def textbook(data: Path, count: int) -> list[Row]:
    """Paragraphs of the textbooks that the embedded base read."""
    with lzma.open(data / "text-openstax" / "openstax.txt.xz", "rt", encoding="utf-8") as file:
        text = file.read()
    found = [part for part in text.split("\n\n") if 200 <= len(part) <= LONGEST]
    random.Random(3).shuffle(found)
    return [{"text": part} for part in found[:count]]


def as_talk(row: Row) -> Row:
    """A row as the talking base is spoken to, which has no chat template."""
    return _row(f"User: {row['prompt']}\nBot:", f" {row['completion']}")


def shuffled(make: Make) -> Make:
    """The same rows with their answers dealt to other questions, on both sides."""

    def made(data: Path) -> Rows:
        train, judge = make(data)
        return _dealt(train, 1), _dealt(judge, 2)

    return made


def leaked(make: Make, share: float = 0.5) -> Make:
    """The same rows, of which some that are trained on are judged by, too."""

    def made(data: Path) -> Rows:
        train, judge = make(data)
        count = round(share * len(judge))
        return train, train[:count] + judge[count:]

    return made


def first(make: Make, train: int, judge: int) -> Make:
    """The first rows of either side only."""

    def made(data: Path) -> Rows:
        trained, judged = make(data)
        return trained[:train], judged[:judge]

    return made


def _exchanges(path: Path) -> list[tuple[str, str]]:
    text = path.read_text(encoding="utf-8").replace("<|endoftext|>", "")
    return re.findall(r"User: (.+)\nBot: (.+)", text)


def _dealt(rows: Sequence[Row], seed: int) -> list[Row]:
    answers = [row["completion"] for row in rows]
    random.Random(seed).shuffle(answers)
    return [_row(row["prompt"], answer) for row, answer in zip(rows, answers, strict=True)]


def _parted(rows: Sequence[Row], train: int, judge: int) -> Rows:
    """Drawn without the same question, or the same answer to another one, on both sides."""
    drawn = _drawn(rows, len(rows))
    trained = drawn[:train]
    known = {row["prompt"] for row in trained}
    judged = [row for row in drawn[train:] if row["prompt"] not in known]
    return trained, judged[:judge]


def _drawn(rows: Sequence[Row], count: int) -> list[Row]:
    """At most `count` rows of different prompts, in an order drawn once and for all."""
    different = list({row["prompt"]: row for row in rows}.values())
    random.Random(0).shuffle(different)
    return different[:count]


def _packed(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def _sentences(text: str) -> str:
    """As many of the first sentences as fit."""
    short = text[:LONGEST]
    return short if len(text) <= LONGEST else short[: short.rfind(". ") + 1] or short


def _said(turns: Sequence[dict[str, Any]]) -> str:
    return "\n".join(f"{turn['role']}: {turn['text']}" for turn in turns)


def _call(turn: dict[str, Any]) -> dict[str, Any]:
    return {"method": turn["call"]["method"], **turn["call"]["parameters"]}


def _length(row: Row) -> int:
    return len(row["prompt"]) + len(row["completion"])


def _row(prompt: str, completion: str) -> Row:
    return {"prompt": prompt, "completion": completion}
