"""Diversity: how different the answers are that a model gives to one prompt when it is asked again.

- distinct-n: of all n-grams in a model's answers to one prompt the share that are different (Li et
  al. 2016, A Diversity-Promoting Objective Function for Neural Conversation Models).
- self-BLEU: the BLEU of each answer to one prompt with the others as its references (Zhu et al.
  2018, Texygen), by sacrebleu; 0 to 1, and 1 is the same answer each time.

Only prompts with several answers by both models count; without any, the share of different answers
over all prompts is told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tunesmith.core.seeds import derive
from tunesmith.evaluate.bootstrap import Interval, PairedRows, paired_change
from tunesmith.evaluate.preferences.measured import Drawn, PreferenceMeasured, Way
from tunesmith.evaluate.wording import number, percent, plural

COLLAPSED = 0.5
"""A model has collapsed where less than half of the base's diversity (1 − self-BLEU, or the share
of different answers) is left."""

_MOST = 4
"""Answers to a prompt that are compared with each other."""


def diversity(measured: PreferenceMeasured, seed: int) -> dict[str, Any] | None:
    """The figures of both models with the interval of their change; None without answers.

    `collapsed` says that self-BLEU surely rose and less than half of the base's diversity is left.
    """
    ways = measured.as_it_is
    if ways is None or not measured.prompts:
        return None
    pairs = zip(*(way.answers for way in ways), strict=True)
    several = [pair for pair in pairs if all(len(answers) > 1 for answers in pair)]
    return _within(several, seed) if several else _across(*ways)


def distinct(texts: Sequence[str], n: int) -> float:
    """The share of different n-grams of words among all; 0 where there are none."""
    words = [text.split() for text in texts]
    grams = [gram for each in words for gram in zip(*(each[k:] for k in range(n)), strict=False)]
    return len(set(grams)) / len(grams) if grams else 0.0


def self_bleu(texts: Sequence[str]) -> float:
    """The mean BLEU (0 to 1) of each text with the others as its references."""
    from sacrebleu.metrics.bleu import BLEU

    bleu = BLEU(effective_order=True)
    others = [[*texts[:place], *texts[place + 1 :]] for place in range(len(texts))]
    scores = [
        bleu.sentence_score(text, rest).score for text, rest in zip(texts, others, strict=True)
    ]
    return sum(scores) / len(scores) / 100


def _within(pairs: Sequence[tuple[Sequence[Drawn], ...]], seed: int) -> dict[str, Any]:
    base, tuned = (
        [[one.text for one in pair[place][:_MOST]] for pair in pairs] for place in (0, 1)
    )
    kinds: dict[str, Callable[[Sequence[str]], float]] = {
        "distinct-1": lambda texts: distinct(texts, 1),
        "distinct-2": lambda texts: distinct(texts, 2),
        "self-BLEU": self_bleu,
    }
    found = {
        name: _change(list(map(of, base)), list(map(of, tuned)), derive(seed, name))
        for name, of in kinds.items()
    }
    bleu = found["self-BLEU"]
    left = 1 - bleu["tuned"] < COLLAPSED * (1 - bleu["base"])
    collapsed = bool(bleu["low"] > 0 and left)
    said = (
        f"asked again, the tuned model repeats itself with a self-BLEU of {number(bleu['tuned'])} "
        f"(the base {number(bleu['base'])}; change {number(bleu['change'])}, 95 % interval "
        f"{number(bleu['low'])} to {number(bleu['high'])}, on {plural(len(pairs), 'prompt')})"
    )
    return {"figures": found, "collapsed": collapsed, "summary": _named(said, collapsed)}


def _across(base: Way, tuned: Way) -> dict[str, Any] | None:
    """With one answer to each prompt: how many of them are different."""
    texts = [[answers[0].text for answers in way.answers if answers] for way in (base, tuned)]
    if not all(texts):
        return None
    before, after = (len(set(side)) / len(side) for side in texts)
    collapsed = after < COLLAPSED * before
    said = (
        f"{percent(after)} of the tuned model's answers to {plural(len(texts[1]), 'prompt')} are "
        f"different from each other, and {percent(before)} of the base's"
    )
    return {"figures": {}, "collapsed": collapsed, "summary": _named(said, collapsed)}


def _named(said: str, collapsed: bool) -> str:
    return f"its answers have collapsed to fewer than there were: {said}" if collapsed else said


def _change(base: Sequence[float], tuned: Sequence[float], seed: int) -> dict[str, Any]:
    rows = PairedRows(np.array(base), np.array(tuned), np.ones(len(base)))
    found: Interval = paired_change(rows, seed)
    return {
        "base": rows.base,
        "tuned": rows.tuned,
        "change": found.value,
        "low": found.low,
        "high": found.high,
        "n": found.n,
    }
