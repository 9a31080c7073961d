"""One answer to each question that judgements are about, and what became of each judgement.

Of what one person said of the same more than once, the latest counts. The majority decides, and
ties decide nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field

from tunesmith.data.feedback.records import Answer, Feedback

USED = "used"
TIE = "tie"

MEANING = {
    TIE: "both answers were found equally good",
    "judged_again": "the same person judged the same again later, which counts",
    "outvoted": "more people said otherwise",
    "no_majority": "as many people said otherwise",
    "disputed": "somebody said otherwise, and --agreed asks for what nobody disputes",
    "disliked": "there is nothing to imitate in an answer that was disliked",
    "same_answer": "the two answers are the same",
    "unchanged": "the corrected answer is the answer",
    "empty_answer": "an answer is empty",
    "rating": "a rating compares nothing",
    "choice": "the better answer of two need not be a good one",
    "not_asked_for": "it is not of the person, the model or the time asked for",
}
"""Why a judgement is left out, by the reason that is counted."""


@dataclass(frozen=True, slots=True)
class Vote:
    """What a judgement says of one question (`value`; TIE decides nothing), and of which answers,
    the better one first."""

    question: Hashable
    value: str
    feedback: Feedback
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Settled:
    """What a question was decided to be, and by which `votes`, of so many that were `cast`."""

    value: str
    votes: Sequence[Vote]
    cast: int


@dataclass(slots=True)
class Settlement:
    """All questions that have an answer, and of each judgement, by its id, what became of it."""

    settled: list[Settled] = field(default_factory=list)
    fates: dict[str, str] = field(default_factory=dict)
    values: list[list[str]] = field(default_factory=list)
    """What was said of each question."""

    def fate(self, feedback: Feedback, what: str) -> None:
        """What became of a judgement; one that was used once is used."""
        if self.fates.get(feedback.id) != USED:
            self.fates[feedback.id] = what


def settle(votes: Iterable[Vote], *, undisputed: bool = False) -> Settlement:
    """Let the votes decide; with `undisputed` only where there is none for anything else."""
    questions: dict[Hashable, list[Vote]] = defaultdict(list)
    for vote in votes:
        questions[vote.question].append(vote)
    settlement = Settlement()
    for cast in questions.values():
        _decide(_latest(cast, settlement), settlement, undisputed)
    return settlement


def _latest(cast: Sequence[Vote], settlement: Settlement) -> list[Vote]:
    """The last word of each person. Those without a name may be many people."""
    last: dict[tuple[str, str], Vote] = {}
    for vote in sorted(cast, key=lambda vote: vote.feedback.time):
        named = vote.feedback.person
        key = (named, "") if named else ("", vote.feedback.id)
        if (before := last.get(key)) is not None:
            settlement.fate(before.feedback, "judged_again")
        last[key] = vote
    return list(last.values())


def _decide(votes: Sequence[Vote], settlement: Settlement, undisputed: bool) -> None:
    settlement.values.append([vote.value for vote in votes])
    counts = Counter(vote.value for vote in votes if vote.value != TIE)
    winners = [value for value, count in counts.items() if count == max(counts.values())]
    disputed = len({vote.value for vote in votes}) > 1
    won = len(winners) == 1 and not (undisputed and disputed)
    against = "outvoted" if len(winners) == 1 else "no_majority"
    against = "disputed" if undisputed and counts and disputed else against
    for vote in votes:
        used = won and vote.value == winners[0]
        settlement.fate(vote.feedback, USED if used else TIE if vote.value == TIE else against)
    if won:
        agreeing = [vote for vote in votes if vote.value == winners[0]]
        settlement.settled.append(Settled(winners[0], agreeing, len(votes)))
