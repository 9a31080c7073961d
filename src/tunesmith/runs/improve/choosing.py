"""Which of the answers to a prompt are learned: the best few that the reward accepts.

RAFT keeps the best answer to each prompt (Dong et al. 2023), STaR those that are right (Zelikman
et al. 2022), ReST those above a threshold (Gulcehre et al. 2023); here it is the best few above a
threshold. As many at most to each prompt, so that easy prompts do not crowd out the hard ones, of
whose answers few are accepted; and each text once, since a model repeats what it is sure of.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tunesmith.core.records import Grade

KEPT = "kept"
NOT_GRADED = "not_graded"

REJECTED = {
    "cut_off": "reached --max-new-tokens before it ended",
    "empty": "has no words",
    "below": "reward too low",
    "duplicate": "said before to the same prompt",
    "not_trainable": "cannot be written into a row and read again",
    "enough": "accepted, but --keep better ones were there",
}
"""Why an answer is not learned."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """An answer and its grade; `ended` says that it ended of itself."""

    text: str
    tokens: int
    ended: bool
    grade: Grade

    @property
    def reward(self) -> float:
        """The number of its grade, of an answer that has one."""
        assert self.grade.value is not None
        return self.grade.value


@dataclass(frozen=True, slots=True)
class Choice:
    """What becomes of the answers to one prompt.

    `outcomes` has KEPT, NOT_GRADED or a reason of REJECTED for each, in order. `kept` are places of
    answers, the best first, `pairs` those of a better and a worse answer.
    """

    outcomes: tuple[str, ...]
    kept: tuple[int, ...]
    pairs: tuple[tuple[int, int], ...]


def choose(
    answers: Sequence[Sampled],
    keep: int,
    at_least: float | None,
    trainable: Callable[[str], bool],
    said: set[str],
) -> Choice:
    """Sort out the answers to one prompt.

    Of equal rewards the one drawn first goes before: draws are alike, so that is by chance, and
    favours no length.

    Args:
        answers: as they were drawn.
        keep: at most so many are kept.
        at_least: the reward from which an answer is accepted; None accepts any.
        trainable: whether a text can be learned.
        said: what was kept of this very question before, to which what is kept is added.
    """
    outcomes = [_unfit(each) for each in answers]
    ranked = _ranked(answers, [place for place, outcome in enumerate(outcomes) if not outcome])
    kept: list[int] = []
    others: list[int] = []
    seen = set(said)
    for place in ranked:
        text, reward = answers[place].text, answers[place].reward
        words = text.strip()
        new = words not in seen
        seen.add(words)
        if new:
            others.append(place)
        if at_least is not None and reward < at_least:
            outcomes[place] = "below"
        elif not new:
            outcomes[place] = "duplicate"
        elif not trainable(text):
            outcomes[place] = "not_trainable"
        elif len(kept) == keep:
            outcomes[place] = "enough"
        else:
            outcomes[place] = KEPT
            kept.append(place)
            said.add(words)
    pairs = _pairs(answers, kept, others[::-1], trainable)
    return Choice(tuple(outcomes), tuple(kept), pairs)


def _unfit(answer: Sampled) -> str:
    """Why an answer is out, whatever its reward; "" where it is not."""
    if answer.grade.value is None:
        return NOT_GRADED
    if not answer.ended:
        return "cut_off"
    return "" if answer.text.strip() else "empty"


def _ranked(answers: Sequence[Sampled], places: Sequence[int]) -> list[int]:
    return sorted(places, key=lambda place: (-answers[place].reward, place))


def _pairs(
    answers: Sequence[Sampled],
    kept: Sequence[int],
    worst: Sequence[int],
    trainable: Callable[[str], bool],
) -> tuple[tuple[int, int], ...]:
    """The best with the worst, the second best with the second worst, while they differ."""
    found = zip(kept, worst, strict=False)
    return tuple(
        (better, worse)
        for better, worse in found
        if answers[worse].reward < answers[better].reward and trainable(answers[worse].text)
    )
