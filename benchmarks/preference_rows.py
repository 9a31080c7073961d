"""The pairs of the benchmark of preferences, dealt into parts that share no conversation.

    practice  the model is tuned on the better answers, learns from the pairs, and answers the
              prompts; the reward that orders these answers is made from the pairs, too
    judge     the pairs of the reward that judges, and of nothing else
    dev       prompts by which is chosen how to learn
    test      prompts that judge what was chosen

Rows that begin with the same message are one conversation. Pairs with long prompts are dealt to
the two rewards alone: what is answered thousands of times had better be short.
"""

from __future__ import annotations

import gzip
import json
import random
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tunesmith.core.files import write_jsonl
from tunesmith.core.records import Example, Message, Origin, Preference, Row
from tunesmith.data.formats import read_row
from tunesmith.data.formats.write import preference, spoken
from tunesmith.models.open import describe

Fields = dict[str, Any]
Pairs = list[Preference]

TURN = 4
"""Tokens that a template writes around a turn, about."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """A file of pairs in the data folder, and how it is dealt.

    Prompts of at most `short` tokens are answered, in at most `answer` tokens; no row is longer
    than `longest`. Answers are kept as far as the last sentence that ends within `letters`.
    `practice`, `judge` and `dev` are how many rows each has; the others are `test`. Of the
    practised ones the model answers the first `asked` prompts. Models learn for `epochs`, and are
    judged by `drawn` answers to each prompt.
    """

    name: str
    title: str
    path: str
    short: int
    longest: int
    letters: int
    answer: int
    practice: int
    judge: int
    asked: int
    dev: int
    epochs: int
    drawn: int


HARMLESS = Corpus(
    name="harmless",
    title="hh-rlhf-harmless-test",
    path="hh-rlhf-harmless-test/test.jsonl.gz",
    short=192,
    longest=700,
    letters=10_000,
    answer=48,
    practice=700,
    judge=500,
    asked=400,
    dev=200,
    epochs=1,
    drawn=2,
)
DEMO = Corpus(
    name="demo",
    title="dpo_en_demo, the DPO demo file",
    path="llamafactory-demos/dpo_en_demo.json.gz",
    short=400,
    longest=1000,
    letters=200,
    answer=64,
    practice=60,
    judge=45,
    asked=60,
    dev=10,
    epochs=3,
    drawn=8,
)


def deal(corpus: Corpus, data: Path, folder: Path) -> dict[str, int]:
    """Write the rows of each part to `folder`; returns how many there are of each."""
    folder.mkdir(parents=True, exist_ok=True)
    short, long = _conversations(corpus, data / corpus.path)
    queue = iter(_shuffled(short, seed=0))
    parts = {name: _filled(queue, getattr(corpus, name)) for name in ("practice", "judge", "dev")}
    parts["test"] = [pair for pairs in queue for pair in pairs]
    parts["prompts"] = parts["practice"][: corpus.asked]
    more = _shuffled(long, seed=1)
    half = len(more) // 2
    parts["reward"] = parts["practice"] + [pair for pairs in more[:half] for pair in pairs]
    parts["judge"] += [pair for pairs in more[half:] for pair in pairs]
    for name, pairs in parts.items():
        write_jsonl(folder / f"{name}.jsonl", map(preference, pairs))
    write_jsonl(folder / "chosen.jsonl", map(_chosen, parts["practice"]))
    return {name: len(pairs) for name, pairs in parts.items()}


def read_pairs(path: Path) -> Pairs:
    """The pairs of a file, those left out that no run would take."""
    packed = path.suffix == ".gz"
    text = gzip.decompress(path.read_bytes()).decode() if packed else path.read_text("utf-8")
    rows = json.loads(text) if text.startswith("[") else map(json.loads, text.splitlines())
    found = (read_row(Row(Origin(path.name, n), row)).outcome for n, row in enumerate(rows, 1))
    return [
        each.content
        for each in found
        if isinstance(each, Example) and isinstance(each.content, Preference)
    ]


def _conversations(corpus: Corpus, path: Path) -> tuple[list[Pairs], list[Pairs]]:
    """Pairs by how their conversations begin: those with short prompts, and of the others those
    that begin otherwise."""
    tokenizer = describe("anvil").tokenizer
    short: defaultdict[str, Pairs] = defaultdict(list)
    long: defaultdict[str, Pairs] = defaultdict(list)
    cut = (_cut(pair, corpus.letters) for pair in read_pairs(path))
    for pair in (each for each in cut if each.chosen != each.rejected):
        prompt, *answers = (
            sum(len(tokenizer(turn.content).input_ids) + TURN for turn in _turns(said))
            for said in (pair.prompt, pair.chosen, pair.rejected)
        )
        if prompt + max(answers) <= corpus.longest:
            side = short if prompt <= corpus.short else long
            side[_turns(pair.prompt)[0].content].append(pair)
    others = [pairs for opening, pairs in sorted(long.items()) if opening not in short]
    return [pairs for _, pairs in sorted(short.items())], others


def _cut(pair: Preference, letters: int) -> Preference:
    """With as much of both answers."""
    chosen, rejected = (
        (replace(turn, content=_sentences(turn.content, letters)),)
        for said in (pair.chosen, pair.rejected)
        for turn in _turns(said)[-1:]
    )
    return replace(pair, chosen=chosen, rejected=rejected)


def _sentences(text: str, letters: int) -> str:
    """The text as far as the last sentence that ends within so many letters; at least one."""
    if len(text) <= letters:
        return text
    ends = [each.end() for each in re.finditer(r"[.!?:](?=\s)", text)]
    within = [end for end in ends if end <= letters]
    return text[: (within or ends or [len(text)])[-1 if within else 0]]


def _turns(said: str | tuple[Message, ...]) -> tuple[Message, ...]:
    return (Message("user", said),) if isinstance(said, str) else said


def _shuffled(conversations: list[Pairs], seed: int) -> list[Pairs]:
    shuffled = list(conversations)
    random.Random(seed).shuffle(shuffled)
    return shuffled


def _filled(queue: Iterator[Pairs], most: int) -> Pairs:
    """Whole conversations, until there are so many pairs."""
    found: Pairs = []
    while len(found) < most:
        found += next(queue)
    return found


def _chosen(pair: Preference) -> Fields:
    """The better answer alone, to be learned as it stands."""
    asked = [
        {**turn, "weight": 0} if turn["role"] == "assistant" else turn
        for turn in _said(pair.prompt)
    ]
    return {"messages": [*asked, *_said(pair.chosen)]}


def _said(said: str | tuple[Message, ...]) -> list[Fields]:
    turns = spoken(_turns(said))
    assert not isinstance(turns, str)  # a text is spoken as a text, turns as turns
    return turns
