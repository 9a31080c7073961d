"""Writes N rows of made-up data as JSON lines: chats, prompts with completions, and documents.

    python benchmarks/generate_rows.py 3000000 rows.jsonl

The same N and seed give the same bytes on every machine. A row has about 680 bytes, so three
million make a file of 2 GB; no two are alike, as each names its own number.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_SUBJECTS = [
    "the blue kettle",
    "a late parcel",
    "our night train",
    "the garden gate",
    "this rented bicycle",
    "the second invoice",
    "a quiet printer",
    "the kitchen scale",
    "her winter coat",
    "the library card",
]
_VERBS = [
    "arrived without",
    "still waits for",
    "was repaired with",
    "is listed under",
    "came back because of",
    "costs more than",
    "should be sent with",
    "was swapped for",
    "cannot be found near",
    "belongs beside",
]
_OBJECTS = [
    "its small brass key",
    "the order of last Tuesday",
    "a note in green ink",
    "the wrong address",
    "two spare batteries",
    "the café on the corner",
    "half of the usual deposit",
    "an older warranty",
    "the customs form 12-B",
    "someone else's umbrella",
]
_ENDS = [
    "which nobody expected",
    "so we wrote to the depot",
    "and that settled the matter",
    "as the receipt shows",
    "before the shop had opened",
    "though the weather was fine",
    "until a colleague noticed",
    "and a refund of 14.50 followed",
]


def rows(count: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """The first `count` rows of a seed, in turns of the three formats (chats twice as often)."""
    draw = random.Random(seed)
    makers = (_chat, _completion, _chat, _document)
    for number in range(count):
        yield makers[number % len(makers)](draw, number)


def write(path: Path, count: int, seed: int = 0) -> None:
    """Write `count` rows as JSON lines."""
    with open(path, "w", encoding="utf-8") as handle:
        for row in rows(count, seed):
            handle.write(json.dumps(row, ensure_ascii=False) + "\n")


def _chat(draw: random.Random, number: int) -> dict[str, Any]:
    turns = [{"role": "user", "content": f"Case {number}. {_sentences(draw, 1, 4)} Why?"}]
    turns.append({"role": "assistant", "content": _sentences(draw, 2, 6)})
    if number % 8 == 0:
        turns.append({"role": "user", "content": f"And then? {_sentences(draw, 1, 1)}"})
        turns.append({"role": "assistant", "content": _sentences(draw, 1, 3)})
    return {"messages": turns}


def _completion(draw: random.Random, number: int) -> dict[str, Any]:
    prompt = f"Note {number}: {_sentences(draw, 1, 5)} In short:"
    return {"prompt": prompt, "completion": _sentences(draw, 2, 6)}


def _document(draw: random.Random, number: int) -> dict[str, Any]:
    return {"text": f"Page {number}. {_sentences(draw, 4, 10)}"}


def _sentences(draw: random.Random, least: int, most: int) -> str:
    return " ".join(_sentence(draw) for _ in range(draw.randint(least, most)))


def _sentence(draw: random.Random) -> str:
    parts = (draw.choice(_SUBJECTS), draw.choice(_VERBS), draw.choice(_OBJECTS), draw.choice(_ENDS))
    subject, verb, object_, end = parts
    return f"{subject[0].upper()}{subject[1:]} {verb} {object_}, {end}."


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("count", type=int, metavar="N")
    parser.add_argument("path", type=Path, metavar="FILE")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    write(asked.path, asked.count, asked.seed)
