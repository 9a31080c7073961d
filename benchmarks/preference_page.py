"""The page of the benchmark of preferences, from what was found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from textwrap import fill
from typing import Any

from benchmarks.machine import describe

Found = Mapping[str, Any]

_HEAD = """\
# Does a model that learned preferences answer better?

Made by `python -m benchmarks.preferences`. The embedded base, of 8 million weights, was tuned on
the better answers of some pairs (SFT), and went on in two ways: DPO on the pairs that people
judged, and DPO on pairs of its own answers, of which a reward model put the best of 8 before the
worst (`tunesmith improve`); that reward was made from people's pairs, too. Each is held against the
SFT model on test prompts: several answers of each at temperature 1, all of one against all of the
other, ties half, with a 95 % interval over prompts. *The judge* is a reward model made from pairs
that nothing else was made from. Test prompts were in no way learned from or chosen by.

A reward model is not a person. How often the judge has people's choice right stands below, and it
shares its frozen body, if not its pairs, with the reward. So small a base, tuned on so little,
seldom writes a sensible sentence, before or after: what is shown is that what one reward learned of
people's choices carries over to another that learned of other choices, not that a reader would be
pleased. What the reward sees and the judge does not is the reward's own error, learned, too.

{machine}
"""

_WAYS = {"own": "pairs of its own answers", "people": "pairs that people judged"}
_REWARDS = ("the reward", "the judge")
_COLUMNS = (
    "learned from",
    "wins by the judge",
    "the same at equal length",
    "wins by the reward",
    "tokens of an answer",
    "KL, nats an answer",
    "self-BLEU",
)


def page(found: Sequence[Found]) -> str:
    """A part for each file of pairs."""
    parts = ("\n".join(_part(each)) for each in found)
    return "\n".join([_HEAD.format(machine=fill(describe(), 100)), *parts])


def _part(found: Found) -> Iterator[str]:
    rows, held = found["rows"], found["held_out_pairs"]
    yield f"## {found['title']}\n"
    yield _paragraph(
        f"{rows['practice']} pairs are practised on, {rows['prompts']} of their prompts answered. "
        f"{rows['reward']} make the reward, the practised ones among them, and {rows['judge']} the "
        f"judge; {rows['dev']} are `dev` and {rows['test']} `test`, whose prompts are answered "
        f"{found['drawn']} times by each model."
    )
    yield "| held-out pairs | has people's choice right |\n|---|---|"
    for name, right in zip(_REWARDS, found["right"], strict=True):
        yield f"| {name}, `test` | {_share(right)} |"
    if held:
        name = "log-probabilities after DPO on people's pairs, `dev`"
        yield f"| {name} | {_share(held['accuracy'])} |"
    yield "\n" + _paragraph(
        "Among the SFT model's answers to one prompt reward and judge agree with a correlation of "
        f"{found['agreement']:.2f}."
    )
    yield f"| {' | '.join(_COLUMNS)} |\n|{'---|' * len(_COLUMNS)}"
    for name, way in found["ways"].items():
        yield _line(_WAYS[name], way)
    yield ""


def _paragraph(text: str) -> str:
    return fill(text, 100) + "\n"


def _line(title: str, way: Found) -> str:
    before, after = way["tokens"]
    varied = way["self_bleu"]
    cells = [
        title,
        *(_share(way[by]) for by in ("judge", "at_equal_length", "reward")),
        f"{before:.0f} → {after:.0f}",
        f"{way['kl']['value']:.2f}",
        f"{varied['base']:.2f} → {varied['tuned']:.2f}",
    ]
    return f"| {' | '.join(cells)} |"


def _share(found: Found) -> str:
    value, low, high = (f"{100 * found[name]:.1f}" for name in ("value", "low", "high"))
    return f"{value} % ({low} to {high}, n = {found['n']})"
