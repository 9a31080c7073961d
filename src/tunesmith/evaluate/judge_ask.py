"""Pairs of answers go to a judge, each in both orders; duels come back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from tunesmith.core.errors import EndpointError
from tunesmith.core.ports import Respondent
from tunesmith.core.records import Message, Origin, Reply
from tunesmith.evaluate.judge_prompt import better, conversation
from tunesmith.evaluate.judge_records import Choice, Duel
from tunesmith.evaluate.measure import Answered

MOST_UNREAD = 0.1
"""If more than this share of the replies cannot be read, what is left is no fair sample of the
rows, and the judge has not understood what it was asked."""

CHARACTERS_PER_TOKEN = 4
"""Of English text, as the tokenizers of large models cut it; other text has more tokens."""

_QUOTED = 60

Request = tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to one question. `reference` is the answer wanted, None where none is known."""

    origin: Origin
    messages: tuple[Message, ...]
    reference: str | None
    one: str
    other: str

    @property
    def same(self) -> bool:
        """Whether there is nothing to compare."""
        return self.one.strip() == self.other.strip()


def pairs_of(one: Sequence[Answered], other: Sequence[Answered]) -> list[Pair]:
    """The questions that both sides answered, in the order of the first."""
    others = {each.origin: each.answer for each in other}
    return [
        Pair(each.origin, each.messages, each.reference, each.answer, others[each.origin])
        for each in one
        if each.origin in others
    ]


def requests_of(pairs: Sequence[Pair], rubric: str) -> list[Request]:
    """Two for each pair that differs: straight, then swapped."""
    return [
        conversation(pair.messages, pair.reference, *answers, rubric)
        for pair in pairs
        if not pair.same
        for answers in ((pair.one, pair.other), (pair.other, pair.one))
    ]


def tokens_of(requests: Sequence[Request]) -> int:
    """About how many tokens they are, to two digits; the judge's tokenizer is not known here."""
    characters = sum(len(message.content) for request in requests for message in request)
    tokens = math.ceil(characters / CHARACTERS_PER_TOKEN)
    return round(tokens, 2 - len(str(tokens)))


def duels_of(respondent: Respondent, pairs: Sequence[Pair], rubric: str) -> tuple[Duel, ...]:
    """Each pair as the judge sees it, in order.

    Raises EndpointError when the judge does not answer, and as soon as more than MOST_UNREAD of
    its replies cannot be read: nothing further is asked then.
    """
    requests = requests_of(pairs, rubric)
    found: list[Choice] = ["unread"] * len(requests)
    unread = _Unread(len(requests))
    with closing(respondent.replies(requests)) as replies:
        for place, reply in replies:
            found[place] = _choice(reply, swapped=place % 2 == 1)
            unread.see(found[place], reply)
    said = iter(found)
    return tuple(
        Duel(
            pair.origin,
            *(("same", "same") if pair.same else (next(said), next(said))),
            length_one=len(pair.one),
            length_other=len(pair.other),
        )
        for pair in pairs
    )


def _choice(reply: Reply, swapped: bool) -> Choice:
    preferred = better(reply.text)
    if preferred is None:
        return "unread"
    if preferred == "tie":
        return "tie"
    return "one" if (preferred == "first") != swapped else "other"


class _Unread:
    """Counts the replies that cannot be read, and ends the asking when there are too many."""

    def __init__(self, requests: int) -> None:
        self._requests = requests
        self._count = 0
        self._first = ""

    def see(self, choice: Choice, reply: Reply) -> None:
        """Raises EndpointError when this reply is one too many."""
        if choice != "unread":
            return
        self._count += 1
        self._first = self._first or _told(reply)
        if self._count > MOST_UNREAD * self._requests:
            raise EndpointError(
                f"{self._count} of the judge's replies could not be read, of {self._requests} that "
                f"were wanted; the first {self._first}. At most {MOST_UNREAD:.0%} may be such. "
                "Take a model that follows instructions, or give it more judge.max_tokens."
            )


def _told(reply: Reply) -> str:
    if reply.refused is not None:
        return f"was a refusal: {reply.refused}"
    text = " ".join(reply.text.split())
    if not text:
        return "was empty"
    return f'was "{text[:_QUOTED]}…"' if len(text) > _QUOTED else f'was "{text}"'
