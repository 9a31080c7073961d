"""Judgements as rows to learn from: pairs of answers, rated answers, or answers to imitate.

An edited answer is better than what it was made of. A choice says which answer is better and not
that it is good, so it makes pairs and nothing else; a rating compares nothing, so it makes none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from tunesmith.core.records import (
    Chat,
    Completion,
    Content,
    Message,
    Preference,
    Rating,
    Spoken,
)
from tunesmith.data.feedback.agreement import Agreement, agreement
from tunesmith.data.feedback.records import Answer, Choice, Edit, Feedback, Rated
from tunesmith.data.feedback.rows import described
from tunesmith.data.feedback.settle import TIE, USED, Settled, Vote, settle
from tunesmith.data.formats.rows import PROVENANCE
from tunesmith.data.formats.write import WRITERS

Form = Literal["preference", "rating", "sft"]

_LIKED, _DISLIKED = "liked", "disliked"
_MIRRORED = {"first": "second", "second": "first"}
_PERSON = "a person"
"""What stands for the model of an answer that a person has written."""

Cast = list[Vote] | str
"""The votes of a judgement, or the reason why it has none."""


@dataclass(frozen=True, slots=True)
class Learned:
    """Rows, and how many judgements became what: `fates` are those of `settle.MEANING`, and USED.

    `agreement` is how far several people agreed who judged the same.
    """

    rows: list[dict[str, Any]]
    fates: Counter[str]
    agreement: Agreement | None


class _Rows(NamedTuple):
    """How a form is made: votes of judgements, and the row of what they decide.

    `only` is the one value of which rows are made, "" for any; `mirrored` as in `agreement`.
    """

    cast: Callable[[Feedback], Cast]
    content: Callable[[Spoken, Settled], Content]
    only: str = ""
    mirrored: Mapping[str, str] | None = None


def learned(
    feedback: Iterable[Feedback], form: Form, *, undisputed: bool = False, persons: bool = False
) -> Learned:
    """The rows that judgements make; each row says in `provenance` where it comes from.

    Args:
        feedback: each with its id, as a store gives them.
        form: what the rows shall teach.
        undisputed: whether rows that somebody would have otherwise are left out.
        persons: whether the provenance names those who judged.
    """
    how = _FORMS[form]
    votes: list[Vote] = []
    fates: dict[str, str] = {}
    for each in feedback:
        cast = how.cast(each)
        if isinstance(cast, str):
            fates[each.id] = cast
        else:
            votes += cast
    settlement = settle(votes, undisputed=undisputed)
    kept = [each for each in settlement.settled if how.only in ("", each.value)]
    imitated = {vote.feedback.id for each in kept for vote in each.votes}
    for id, fate in settlement.fates.items():
        fates[id] = fate if fate != USED or id in imitated else "disliked"
    return Learned(
        [_row(each, how, form, persons) for each in kept],
        Counter(fates.values()),
        agreement(settlement.values, how.mirrored),
    )


def _comparison(feedback: Feedback) -> Cast:
    said = feedback.judgement
    if isinstance(said, Rated):
        return "rating"
    if isinstance(said, Edit):
        corrected = Answer(said.corrected, _PERSON)
        return _compared(feedback, corrected, said.answer, "unchanged")
    better, worse = said.first, said.second
    if said.preferred == "second":
        better, worse = worse, better
    return _compared(feedback, better, worse, "same_answer", tie=said.preferred == TIE)


def _compared(
    feedback: Feedback, better: Answer, worse: Answer, same: str, tie: bool = False
) -> Cast:
    if better.text == worse.text:
        return same
    if not (better.text.strip() and worse.text.strip()):
        return "empty_answer"
    texts = sorted((better.text, worse.text))
    value = TIE if tie else "first" if texts[0] == better.text else "second"
    return [Vote((feedback.prompt, *texts), value, feedback, (better, worse))]


def _opinion(feedback: Feedback) -> Cast:
    said = feedback.judgement
    if isinstance(said, Choice):
        return "choice"
    if isinstance(said, Edit) and said.corrected == said.answer.text:
        return "unchanged"
    rated = [(said.answer, said.liked)] if isinstance(said, Rated) else [(said.answer, False)]
    rated += [(Answer(said.corrected, _PERSON), True)] if isinstance(said, Edit) else []
    votes = [
        Vote((feedback.prompt, answer.text), _LIKED if liked else _DISLIKED, feedback, (answer,))
        for answer, liked in rated
        if answer.text.strip()
    ]
    return votes or "empty_answer"


def _preference(prompt: Spoken, settled: Settled) -> Preference:
    better, worse = (_answered(prompt, each.text) for each in settled.votes[0].answers)
    return Preference(prompt, better, worse)


def _rating(prompt: Spoken, settled: Settled) -> Rating:
    answer = _answered(prompt, settled.votes[0].answers[0].text)
    return Rating(prompt, answer, settled.value == _LIKED)


def _demonstration(prompt: Spoken, settled: Settled) -> Chat | Completion:
    text = settled.votes[0].answers[0].text
    if isinstance(prompt, str):
        return Completion(prompt, text)
    return Chat((*prompt, Message("assistant", text)))


_FORMS: Mapping[Form, _Rows] = {
    "preference": _Rows(_comparison, _preference, mirrored=_MIRRORED),
    "rating": _Rows(_opinion, _rating),
    "sft": _Rows(_opinion, _demonstration, only=_LIKED),
}
_WRITERS = {Preference: "preference", Rating: "rating", Completion: "completion", Chat: "chat"}


def _answered(prompt: Spoken, text: str) -> Spoken:
    """An answer in the form of its prompt."""
    return text if isinstance(prompt, str) else (Message("assistant", text),)


def _row(settled: Settled, how: _Rows, form: Form, persons: bool) -> dict[str, Any]:
    votes = settled.votes
    content = how.content(votes[0].feedback.prompt, settled)
    fields = WRITERS[_WRITERS[type(content)]](content)
    assert fields is not None  # each of them holds all that there is here
    names = ("chosen", "rejected") if form == "preference" else ("answer",)
    return {
        **fields,
        PROVENANCE: {
            **dict(zip(names, map(described, votes[0].answers), strict=True)),
            "for": len(votes),
            "of": settled.cast,
            "time": max(vote.feedback.time for vote in votes),
            **({"persons": sorted({vote.feedback.person for vote in votes})} if persons else {}),
        },
    }
