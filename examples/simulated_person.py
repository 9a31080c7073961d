"""Who is asked in feedback_loop.py: persons with known preferences, and what they are shown.

Each run loads `grade` from this file in a process of its own, so it imports little.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

KIND = ("Gladly", "With pleasure", "Of course")
RUDE = ("Not again", "So what", "Whatever")
USEFUL = ("it is on its way", "it left our house today", "it comes tomorrow")
USELESS = ("nobody knows", "look for it yourself", "that is not my job")
FILLER = ("We work all day.", "Many parcels are sent.", "The weather is fine.", "Trucks are slow.")

Likes = Callable[[str], float]


def merit(answer: str) -> float:
    """What the person wants: kind and useful answers, 0 to 2, however long they are."""
    return float(answer.startswith(KIND)) + any(each in answer for each in USEFUL)


def length(answer: str) -> float:
    """What someone else likes."""
    return float(len(answer.split()))


def grade(sample: dict[str, Any], item: dict[str, Any]) -> float:
    """`merit` as a grader of recipes (docs/rewards.md)."""
    return merit(sample["output_text"])


def question(number: int) -> str:
    """No two are the same."""
    return f"Where is parcel {number}?"


def examples(count: int) -> list[dict[str, str]]:
    """Rows to tune on, in which each quality comes as often as its opposite."""
    draw, rows = random.Random(0), []
    for number in range(count):
        manner, news = draw.choice((KIND, RUDE)), draw.choice((USEFUL, USELESS))
        said = f"{draw.choice(manner)}, {draw.choice(news)}."
        padding = draw.sample(FILLER, draw.randrange(4))
        rows.append({"prompt": question(number), "completion": " ".join([said, *padding])})
    return rows
