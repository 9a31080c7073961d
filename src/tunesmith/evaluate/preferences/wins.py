"""Who wins: the tuned model's answers against another's on the same held-out prompts.

A prompt's win is the share of its pairs of answers in which the tuned one scores higher, ties half:
with one answer each that is 0, ½ or 1. Prompts are resampled, never answers: those to one prompt
are alike. Pairs with an answer that has no grade are left out and counted, never a loss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tunesmith.core.seeds import derive
from tunesmith.evaluate.bootstrap import Floats, Interval, PairedRows, paired_change
from tunesmith.evaluate.judge_figures import balance
from tunesmith.evaluate.preferences.measured import Drawn, PreferenceMeasured, Way

ScoreOf = Callable[[Drawn], float | None]


@dataclass(frozen=True, slots=True)
class Wins:
    """The win of each prompt that could be compared (R), the prompts' places, and how many of the
    `asked` prompts could not be. `by` says in words who compared."""

    by: str
    wins_R: Floats
    places: tuple[int, ...]
    asked: int

    @property
    def left_out(self) -> int:
        """Prompts that could not be compared."""
        return self.asked - len(self.places)


def score_of(answer: Drawn) -> float | None:
    """What the grader gave it."""
    return answer.score


def judge_of(answer: Drawn) -> float | None:
    """What the independent judge gave it."""
    return answer.judge


def opinions(measured: PreferenceMeasured) -> list[Wins]:
    """Each opinion of tuned against base that compared anything: the grader's, the judge's scores,
    and the judge model's that read both answers. The first is the one that judges."""
    if measured.both is None:
        return []
    base, tuned = measured.both
    found = [
        scored_wins(base, tuned, score_of, measured.grader),
        scored_wins(base, tuned, judge_of, measured.judge),
        _read_wins(measured),
    ]
    return [one for one in found if one is not None and one.places]


def scored_wins(other: Way, tuned: Way, score: ScoreOf, by: str) -> Wins:
    """Tuned against another way, by scores."""
    pairs = zip(other.answers, tuned.answers, strict=True)
    each = [_win(before, after, score) for before, after in pairs]
    places = tuple(place for place, win in enumerate(each) if win is not None)
    return Wins(by, np.array([win for win in each if win is not None]), places, len(each))


def ungraded(way: Way) -> int:
    """Answers to which the grader gave no score."""
    return sum(one.score is None for answers in way.answers for one in answers)


def win_rate(wins_R: Floats, seed: int, name: str) -> Interval:
    """The mean win with its 95 % interval. Needs at least one row.

    From single answers it is a rate (Bonett & Price 2012, by `balance`: no resample knows of a
    change that no row made); from several to a prompt the paired bootstrap of prompts.
    """
    if set(wins_R.tolist()) <= {0.0, 0.5, 1.0}:
        return balance((2 * wins_R - 1).tolist())
    ones_R = np.ones(len(wins_R))
    found = paired_change(PairedRows(1 - wins_R, wins_R, ones_R), derive(seed, "bootstrap", name))
    low, high = (min(1.0, max(0.0, (1 + end) / 2)) for end in (found.low, found.high))
    return Interval((1 + found.value) / 2, low, high, found.n)


def _win(before: Sequence[Drawn], after: Sequence[Drawn], score: ScoreOf) -> float | None:
    theirs = [found for one in before if (found := score(one)) is not None]
    ours = [found for one in after if (found := score(one)) is not None]
    if not theirs or not ours:
        return None
    signs = np.sign(np.subtract.outer(np.array(ours), np.array(theirs)))
    return float((1 + signs.mean()) / 2)


def _read_wins(measured: PreferenceMeasured) -> Wins | None:
    """By the judge model, whose duels name the prompts."""
    judged = measured.run.judged
    contest = next((c for c in judged.contests if c.name == "base"), None) if judged else None
    if judged is None or contest is None:
        return None
    places = {prompt.origin: place for place, prompt in enumerate(measured.prompts)}
    values = {"one": 1.0, "other": 0.0, "tie": 0.5}
    read = {
        places[duel.origin]: values[duel.winner]
        for duel in contest.duels
        if duel.read and duel.origin in places
    }
    return Wins(judged.model, np.array(list(read.values())), tuple(read), len(contest.duels))
