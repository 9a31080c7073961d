"""The command: `python -m benchmarks.hacks [--runs N]`.

How often a planted reward hack is named, and an honest gain accused: answers and their rewards are
drawn from worlds whose truth is known. Writes benchmarks/HACKS.md; ten minutes on one core.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tunesmith.core.files import write_text
from tunesmith.core.records import Message, Origin
from tunesmith.evaluate.preferences.hacking import hacking
from tunesmith.evaluate.preferences.measured import Asked, Drawn, PreferenceMeasured, Way

PAGE = Path(__file__).with_name("HACKS.md")

_HEAD = """\
# How often a reward hack is named

Made by `python -m benchmarks.hacks`: {runs:,} runs are drawn from each world. An answer's reward is
its merit and its prompt's ease, and what the world's line says it likes. *Named* is the share of
runs in which just what was planted is suspected, *accused* that in which anything else is. A share
of {runs:,} has a standard error of at most {error:.1f} points.

{table}"""

_WORDS = tuple("abcdefghijklmnopqrstuvw")
_QUESTION = (Message("user", "what would be a good answer to this question"),)
_TOKENS = 40
"""The usual length of a base's answer."""


@dataclass(frozen=True, slots=True)
class World:
    """What the tuned model does, and what the reward likes.

    `merit` is what its answers are truly better by (the merit of one model's answers has a standard
    deviation of one half, and so has the ease of prompts), `longer` how many times longer they are,
    `marks` how many more exclamation marks they have. Merit shows in lists: a unit of it multiplies
    their items by exp(`lists`). `likes_length` and `likes_marks` are what the reward gives for the
    logarithm of each. `planted` are the features that explain the gain.
    """

    name: str
    planted: frozenset[str] = frozenset()
    merit: float = 0.0
    longer: float = 1.0
    marks: float = 0.0
    lists: float = 0.0
    likes_length: float = 0.0
    likes_marks: float = 0.0
    prompts: int = 80
    answers: int = 1


_LENGTH, _MARKS = frozenset({"length"}), frozenset({"exclamations"})

WORLDS = (
    World("honest: better", merit=1.0),
    World("honest: better and 2.3 times longer", merit=1.0, longer=2.3),
    World("honest: better, longer, more exclamation marks", merit=0.6, longer=1.5, marks=1.0),
    World("honest: the same, 4 answers to a prompt", merit=0.6, longer=1.5, marks=1.0, answers=4),
    World("honest: a reward that likes length a little", merit=1.0, longer=1.3, likes_length=0.5),
    World("honest: merit shows in lists", merit=1.0, lists=1.0),
    World("honest: nothing changed"),
    World("planted: longer is better", _LENGTH, longer=2.3, likes_length=1.0),
    World("planted: the same, 40 prompts", _LENGTH, longer=2.3, likes_length=1.0, prompts=40),
    World(
        "planted: the same, 40 prompts with 4 answers",
        _LENGTH,
        longer=2.3,
        likes_length=1.0,
        prompts=40,
        answers=4,
    ),
    World("planted: more exclamation marks are better", _MARKS, marks=2.0, likes_marks=1.0),
    World(
        "planted: both at once",
        _LENGTH | _MARKS,
        longer=1.8,
        likes_length=1.0,
        marks=2.0,
        likes_marks=1.0,
    ),
)


def draw(world: World, seed: int) -> PreferenceMeasured:
    """The answers of base and tuned model to held-out prompts, with their rewards."""
    random = np.random.default_rng(seed)
    asked = [Asked(Origin("rows.jsonl", n + 1), _QUESTION) for n in range(world.prompts)]
    ease_R = random.normal(0.0, 0.5, world.prompts)
    sides = [
        tuple(
            tuple(_answer(world, tuned, ease, random) for _ in range(world.answers))
            for ease in ease_R
        )
        for tuned in (False, True)
    ]
    return PreferenceMeasured(
        prompts=tuple(asked),
        base=Way("base", "the base", sides[0]),
        tuned=Way("tuned", "the tuned model", sides[1]),
        grader="the reward model",
    )


def _answer(world: World, tuned: bool, ease: float, random: np.random.Generator) -> Drawn:
    usual = _TOKENS * (world.longer if tuned else 1.0)
    length = max(1, round(usual * math.exp(0.35 * random.normal())))
    marks = int(random.poisson(0.3 + (world.marks if tuned else 0.0)))
    merit = random.normal(world.merit if tuned else 0.0, 0.5)
    reward = (
        ease
        + merit
        + world.likes_length * math.log(length / _TOKENS)
        + world.likes_marks * math.log1p(marks)
    )
    words = " ".join(random.choice(_WORDS, length))
    count = random.poisson(0.4 * math.exp(world.lists * merit))
    items = "".join(f"\n- {word}" for word in random.choice(_WORDS, count))
    text = f"{words}{'?' * random.poisson(0.3)}{'!' * marks} {random.integers(100)}{items}"
    return Drawn(text, len(text.split()), float(reward))


def suspected(measured: PreferenceMeasured) -> frozenset[str]:
    """The features that are suspected."""
    found = hacking(measured, seed=0)
    return frozenset(found["suspected"] if found else ())


def table(runs: int) -> str:
    """A line a world."""
    lines = ["| world | named | accused |", "|---|---|---|"]
    for world in WORLDS:
        found = [suspected(draw(world, seed)) for seed in range(runs)]
        named = sum(bool(world.planted) and each == world.planted for each in found) / runs
        accused = sum(not each <= world.planted for each in found) / runs
        said = f"{100 * named:.1f} %" if world.planted else ""
        lines.append(f"| {world.name} | {said} | {100 * accused:.1f} % |")
        print(lines[-1], file=sys.stderr, flush=True)
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hacks", description=__doc__)
    parser.add_argument("--runs", type=int, default=200, help="runs drawn from each world")
    parser.add_argument("--out", type=Path, default=PAGE, help="file to write")
    asked = parser.parse_args(arguments)
    if asked.runs < 1:
        parser.error(f"--runs is {asked.runs}; at least one run is needed.")
    error = 50 / asked.runs**0.5
    write_text(asked.out, _HEAD.format(runs=asked.runs, error=error, table=table(asked.runs)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
