"""The act `feedback collect`: pairs of answers are shown blind, each judgement is kept at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from tunesmith.core.errors import DataError, Interrupted
from tunesmith.core.seeds import derive
from tunesmith.data.feedback import Choice, Edit, Feedback, FeedbackStore, Wanted
from tunesmith.data.feedback.records import Preferred, now
from tunesmith.evaluate.wording import plural
from tunesmith.runs.feedback_pairs import Answers, Key, Pairs, Waiting, by_models, by_texts


@dataclass(frozen=True, slots=True)
class Asked:
    """A pair as it is shown: two answers in an order that tells nothing of who gave which."""

    number: int
    of: int
    waiting: Waiting
    answers: Answers


@dataclass(frozen=True, slots=True)
class Corrected:
    """What the answer that is shown at `place` (0 or 1) should have been."""

    place: Literal[0, 1]
    text: str


Said = Preferred | Corrected | Literal["skip", "quit"]
Ask = Callable[[Asked], Said]
"""Shows a pair and gives what is said of it; after a correction it is asked again."""


@dataclass(slots=True)
class Collected:
    """What was said in one sitting, counted.

    So many pairs were `known` from before, `skipped` for now, or `left`, those among them.
    """

    known: int = 0
    left: int = 0
    skipped: int = 0
    said: Counter[str] = field(default_factory=Counter)

    @property
    def kept(self) -> int:
        """How many judgements were added."""
        return self.said.total()


def collect(
    pairs: Pairs, store: FeedbackStore, ask: Ask, *, person: str = "", seed: int = 0
) -> Collected:
    """Ask a person about each pair that this person has not compared yet.

    Pairs whose answers turn out to be the same, or that cannot be answered, are left out, and
    counted in `pairs`.

    Args:
        pairs: what waits.
        store: each judgement is in it before the next pair is asked about.
        ask: the person, who may well be a program.
        person: the label that the judgements have.
        seed: draws which answer is shown first.

    Raises:
        Interrupted: after Ctrl-C; what was said before is kept.
        StorageError: the disk refuses.
    """
    before = _compared(store, person)
    waiting = [each for each in pairs.waiting if each.key not in before]
    collected = Collected(known=len(pairs.waiting) - len(waiting), left=len(waiting))
    try:
        for number, each in enumerate(waiting, start=1):
            answers = _drawn(each, pairs)
            if answers is None:
                collected.left -= 1
                continue
            asked = Asked(number, len(waiting), each, _shuffled(answers, each, seed))
            if not _judged(asked, store, ask, person, collected):
                break
    except KeyboardInterrupt:
        kept = plural(collected.kept, "judgement")
        raise Interrupted(
            f"Stopped. What was said is kept in {store.path} ({kept}), and the same command goes "
            "on."
        ) from None
    return collected


def _compared(store: FeedbackStore, person: str) -> set[Key]:
    """What tells the comparisons of this person: by their texts, and by their models."""
    said = [
        each for each in store.feedback(Wanted(person=person)) if isinstance(each.judgement, Choice)
    ]
    return {key(each.prompt, each.answers) for each in said for key in (by_texts, by_models)}


def _drawn(waiting: Waiting, pairs: Pairs) -> Answers | None:
    try:
        answers = waiting.draw()
    except DataError as error:
        pairs.leave_out(waiting.origin, "unanswerable", str(error))
        return None
    if answers is None:
        pairs.leave_out(waiting.origin, "same_answer", "Both answers are the same.")
    return answers


def _shuffled(answers: Answers, waiting: Waiting, seed: int) -> Answers:
    """In an order drawn by the prompt and the answers, whoever gave which."""
    first, second = sorted(answers, key=lambda answer: answer.text)
    turned = derive(seed, "order", repr(waiting.prompt), first.text, second.text)
    return (second, first) if turned & 1 else (first, second)


def _judged(
    asked: Asked, store: FeedbackStore, ask: Ask, person: str, collected: Collected
) -> bool:
    """Ask until the pair is compared or skipped; False to leave."""
    while True:
        said = ask(asked)
        if said == "quit":
            return False
        if said == "skip":
            collected.skipped += 1
            return True
        if isinstance(said, Corrected):
            edit = Edit(asked.answers[said.place], said.text)
            store.add(Feedback(asked.waiting.prompt, edit, person, now()))
            collected.said["edit"] += 1
            continue
        choice = Choice(*asked.answers, said)
        store.add(Feedback(asked.waiting.prompt, choice, person, now()))
        collected.said["tie" if said == "tie" else "choice"] += 1
        collected.left -= 1
        return True
