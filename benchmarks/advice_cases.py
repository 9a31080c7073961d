"""Planted tasks, each with one help that is right for it, and drills for a base to try them on.

All rows are generated, the same each time. The embedded base hardly learns from its prompt, as any
base of its size: what examples and search are worth cannot show on it. `drills` are chats in which
the last answer can only be copied from an earlier turn; a base tuned on them does learn from its
prompt, with lines, names and values that it never saw.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tools.anvil import word_lists

Row = dict[str, Any]

_SYLLABLES = [
    "ba",
    "do",
    "fi",
    "ga",
    "ko",
    "lu",
    "me",
    "na",
    "po",
    "ri",
    "sa",
    "te",
    "vu",
    "wi",
    "zo",
    "che",
    "del",
    "mar",
    "nor",
    "pim",
]
_THINGS = (*word_lists.ITEMS, *word_lists.FOODS, *word_lists.ANIMALS)
_SMALL = [
    "the",
    "a",
    "of",
    "in",
    "for",
    "and",
    "is",
    "are",
    "we",
    "our",
    "your",
    "at",
    "by",
    "with",
    "all",
    "no",
    "has",
    "sees",
    "wants",
    "then",
]
_TROUBLES = ("is late", "never came", "is broken", "has the wrong colour", "is too large")
_OPENERS = ("Ahoy", "Arr", "Shiver me timbers", "Yo ho", "Blow me down")
_QUESTIONS = (
    "Which {key} has {name}?",
    "What is the {key} of {name}?",
    "{name}: {key}?",
    "Tell me the {key} of {name}.",
    "I need the {key} for {name}.",
    "Look up the {key} of {name}, please.",
)
_FACTS = ("The {key} of {name} is {value}.", "{name} has {key} {value}.", "{name}: {value}.")
_KEYS = ("badge", "locker", "number", "code", "desk", "room", "key", "seat", "account", "phone")


@dataclass(frozen=True, slots=True)
class Case:
    """Rows to train on and to judge by, the advice that is right for them, and why."""

    name: str
    right: str
    why: str
    train: list[Row]
    held_out: list[Row]


def planted() -> Iterator[Case]:
    """Four cases that the rules were made on, and two that came later."""
    for make in (_few_shot, _facts, _style, _too_little, _style_of_few, _reworded):
        yield make(random.Random(make.__name__))


def drills(count: int) -> Iterator[Row]:
    """Chats whose last answer stands in an earlier turn: a fixed line, or a fact looked up."""
    draw = random.Random("drills")
    for _ in range(count):
        yield draw.choice((_line_drill, _fact_drill))(draw)


def _line_drill(draw: random.Random) -> Row:
    line = _line(draw)
    return _chat([(_complaint(draw), line) for _ in range(draw.randint(2, 5))])


def _fact_drill(draw: random.Random) -> Row:
    key, fact, asked = draw.choice(_KEYS), draw.choice(_FACTS), draw.choice(_QUESTIONS)
    pairs = [(_name(draw), _value(draw)) for _ in range(draw.randint(1, 4))]
    turns = [
        (asked.format(key=key, name=name), fact.format(key=key, name=name, value=value))
        for name, value in pairs
    ]
    name, value = draw.choice([pairs[-1], draw.choice(pairs)])
    question = draw.choice(_QUESTIONS).format(key=key, name=name)
    return _chat([*turns, (question, fact.format(key=key, name=name, value=value))])


def _few_shot(draw: random.Random) -> Case:
    """A line that could not be guessed, and that any example shows."""
    line = _line(draw)
    rows = [_row(_complaint(draw), line) for _ in range(420)]
    return Case("few-shot", "few_shot", "any example shows the one line", rows[60:], rows[:60])


def _facts(draw: random.Random) -> Case:
    """What is asked stands in one training row each, in other words."""
    names = _names(draw, 420)
    badges = {name: f"{draw.randrange(10000, 99999)}" for name in names}
    train = [_row(f"Tell me the badge of {name}.", _badge(name, badges)) for name in names]
    asked = [_row(f"{name}: badge?", _badge(name, badges)) for name in draw.sample(names, 60)]
    return Case("facts", "retrieval", "each answer stands in one training row", train, asked)


def _style(draw: random.Random) -> Case:
    """Any fact that is needed stands in the question; how it is said does not."""
    rows = []
    for _ in range(420):
        name, thing, trouble = _name(draw), draw.choice(_THINGS), draw.choice(_TROUBLES)
        answer = (
            f"{draw.choice(_OPENERS)}, {name}! So yer {thing} {trouble}, says ye. The crew be "
            "lookin' into it before the tide turns."
        )
        rows.append(_row(f"I am {name}. My {thing} {trouble}.", answer))
    return Case("style", "fine_tuning", "how it is said is new, all else is asked", *_cut(rows))


def _too_little(draw: random.Random) -> Case:
    """Words of an invented language, of which nothing can be told from other words."""
    rows = [_row(f"Translate {name}.", _name(draw, 4)) for name in _names(draw, 80)]
    return Case("too little", "more_data", "40 words say nothing of others", rows[40:], rows[:40])


def _style_of_few(draw: random.Random) -> Case:
    """Another manner of speaking, shown by forty rows: form is learned from few."""
    rows = []
    for _ in range(70):
        name, thing, trouble = _name(draw), draw.choice(_THINGS), draw.choice(_TROUBLES)
        answer = (
            f"LOG {name.upper()} // ITEM {thing} // STATE {trouble} // ACTION none as yet // "
            "END OF ENTRY"
        )
        rows.append(_row(f"My {thing} {trouble}. {name}", answer))
    why = "how it is said is new, and forty rows show it"
    return Case("style of few", "fine_tuning", why, rows[30:], rows[:30])


def _reworded(draw: random.Random) -> Case:
    """Two facts of each person, told and asked in other words each time."""
    train, asked = [], []
    for name in _names(draw, 200):
        for key in draw.sample(("locker", "desk"), 2):
            value = f"{draw.randrange(10000, 99999)}"
            told, other = draw.sample(_QUESTIONS, 2)
            answer = f"{name} has {key} {value}."
            train.append(_row(told.format(key=key, name=name), answer))
            asked.append(_row(other.format(key=key, name=name), answer))
    held_out = draw.sample(asked, 60)
    why = "each answer stands in one training row, under another question"
    return Case("reworded", "retrieval", why, train, held_out)


def _cut(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    return rows[60:], rows[:60]


def _row(prompt: str, completion: str) -> Row:
    return {"prompt": prompt, "completion": completion}


def _chat(turns: list[tuple[str, str]]) -> Row:
    """Only the last answer is learned."""
    messages: list[Row] = []
    for asked, answered in turns:
        messages.append({"role": "user", "content": asked})
        messages.append({"role": "assistant", "content": answered, "weight": 0})
    del messages[-1]["weight"]
    return {"messages": messages}


def _badge(name: str, badges: dict[str, str]) -> str:
    return f"The badge of {name} is {badges[name]}."


def _complaint(draw: random.Random) -> str:
    thing, trouble = draw.choice(_THINGS), draw.choice(_TROUBLES)
    return f"{_name(draw)} writes: my {thing} {draw.randrange(100, 999)} {trouble}."


def _line(draw: random.Random) -> str:
    """A sentence of four to eight words that mean nothing together."""
    words = [draw.choice(draw.choice((_SMALL, _THINGS))) for _ in range(draw.randint(4, 8))]
    return " ".join(words).capitalize() + "."


def _value(draw: random.Random) -> str:
    number, thing = f"{draw.randrange(100, 99999)}", draw.choice(_THINGS)
    return draw.choice((number, number, thing, _name(draw)))


def _name(draw: random.Random, syllables: int = 3) -> str:
    return "".join(draw.choice(_SYLLABLES) for _ in range(syllables)).capitalize()


def _names(draw: random.Random, count: int) -> list[str]:
    found: dict[str, None] = {}
    while len(found) < count:
        found[_name(draw)] = None
    return list(found)
