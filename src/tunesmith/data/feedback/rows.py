"""Judgements as lines of a file: read, with a sentence about all else, and written.

    {"prompt": …, "answers": [{"text": …}, {"text": …}], "preferred": 1}      2 or "tie"
    {"prompt": …, "answer": {"text": …}, "liked": true}
    {"prompt": …, "answer": {"text": …}, "corrected": "…"}

An answer may also be a plain text; else `model`, `version` and `sampling` may stand beside its
`text`. `person`, `time` and `id` may stand in each line. `prompt` is a text, or messages.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from tunesmith.core.records import Spoken
from tunesmith.data.feedback.records import (
    Answer,
    Choice,
    Edit,
    Feedback,
    Judgement,
    Preferred,
    Rated,
    utc,
)
from tunesmith.data.formats.fields import (
    fail,
    filled,
    kind_of,
    optional,
    packed,
    string,
    told,
    whole,
)
from tunesmith.data.formats.messages import check_filled, check_order, listed
from tunesmith.data.formats.write import spoken

_PREFERRED: Mapping[Any, Preferred] = {1: "first", 2: "second", "tie": "tie"}
_WRITTEN = {meant: written for written, meant in _PREFERRED.items()}
_BESIDE = frozenset({"prompt", "person", "time", "id"})
_MARKS: Mapping[str, frozenset[str]] = {
    "preferred": frozenset({"answers", "preferred"}),
    "liked": frozenset({"answer", "liked"}),
    "corrected": frozenset({"answer", "corrected"}),
}
_ANSWER = frozenset({"text", "model", "version", "sampling"})


def feedback_of(fields: Mapping[str, Any]) -> Feedback:
    """The judgement that a line holds. Raises Unusable with the sentence about any other."""
    marks = [mark for mark in _MARKS if mark in fields]
    if len(marks) != 1:
        fail(
            "unknown_judgement",
            'A line of feedback has one of "preferred" (beside "answers"), "liked" and "corrected" '
            f'(beside "answer"); received {", ".join(fields) or "no field"}.',
        )
    mark = marks[0]
    _require_known(fields, _MARKS[mark] | _BESIDE, "line")
    for name in ("prompt", *_MARKS[mark] - {mark}):
        if name not in fields:
            fail("missing_field", f'"{mark}" stands alone: "{name}" is missing.')
    return Feedback(
        prompt_of(fields),
        _judgement(fields, mark),
        optional(fields, "person"),
        _time(optional(fields, "time")),
        optional(fields, "id"),
    )


def pair_of(fields: Mapping[str, Any]) -> tuple[Spoken, Answer, Answer]:
    """A prompt with its two `answers`, not judged yet. Raises Unusable for anything else."""
    _require_known(fields, frozenset({"prompt", "answers"}), "line")
    for name in ("prompt", "answers"):
        if name not in fields:
            fail("missing_field", f'Two answers wait to be judged here, but "{name}" is missing.')
    return prompt_of(fields), *_answers(fields)


def prompt_of(fields: Mapping[str, Any]) -> Spoken:
    """What was asked: a text, or a conversation that waits for its answer."""
    if isinstance(fields["prompt"], str):
        return filled(fields, "prompt", "empty_prompt", "; give it a text.")
    said = listed(fields["prompt"], "prompt")
    if not said or said[-1].role == "assistant":
        fail(
            "no_prompt", '"prompt" must end with what waits for an answer, as a message of "user".'
        )
    check_order([message.role for message in said])
    check_filled(said)
    return said


def fields_of(feedback: Feedback) -> dict[str, Any]:
    """The line of a judgement, from which `feedback_of` reads the same again."""
    beside = {"person": feedback.person, "time": feedback.time, "id": feedback.id}
    return {
        "prompt": spoken(feedback.prompt),
        **_said(feedback.judgement),
        **{name: value for name, value in beside.items() if value},
    }


def identity(feedback: Feedback) -> str:
    """A name for what was said, the same whenever the same is said (SHA-256, hexadecimal)."""
    text = json.dumps(fields_of(feedback), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def described(answer: Answer) -> dict[str, Any]:
    """Where an answer came from, as far as it is known."""
    named = {"model": answer.model, "version": answer.version}
    return {
        **{name: value for name, value in named.items() if value},
        **({} if answer.sampling == "{}" else {"sampling": json.loads(answer.sampling)}),
    }


def _judgement(fields: Mapping[str, Any], mark: str) -> Judgement:
    if mark == "preferred":
        return Choice(*_answers(fields), _preferred(fields["preferred"]))
    answer = _answer(fields["answer"], '"answer"')
    if mark == "corrected":
        return Edit(answer, filled(fields, "corrected", "empty_answer", "; give it a text."))
    if not isinstance(fields["liked"], bool):
        fail("wrong_type", f'"liked" must be true or false; received {told(fields["liked"])}.')
    return Rated(answer, fields["liked"])


def _preferred(value: Any) -> Preferred:
    if isinstance(value, bool) or not isinstance(value, int | str) or value not in _PREFERRED:
        fail("wrong_type", f'"preferred" must be 1, 2 or "tie"; received {told(value)}.')
    return _PREFERRED[value]


def _answers(fields: Mapping[str, Any]) -> tuple[Answer, Answer]:
    value = fields["answers"]
    if not isinstance(value, list) or len(value) != 2:
        received = f"{len(value)}" if isinstance(value, list) else kind_of(value)
        fail("wrong_type", f'"answers" must be a list of two answers; received {received}.')
    return _answer(value[0], "answer 1"), _answer(value[1], "answer 2")


def _answer(value: Any, where: str) -> Answer:
    if isinstance(value, str):
        return Answer(whole(value, where))
    if not isinstance(value, dict) or "text" not in value:
        fail("wrong_type", f'{where} must be a text, or an object with "text"; {_received(value)}.')
    _require_known(value, _ANSWER, where)
    sampling = value.get("sampling") or {}
    if not isinstance(sampling, dict):
        fail("wrong_type", f'{where}: "sampling" must be an object; received {kind_of(sampling)}.')
    text, model, version = (
        string(value, "text"),
        optional(value, "model"),
        optional(value, "version"),
    )
    return Answer(text, model, version, packed(sampling, f'{where}: "sampling"'))


def _received(value: Any) -> str:
    return (
        f"received one with {', '.join(value) or 'nothing'}"
        if isinstance(value, dict)
        else (f"received {kind_of(value)}")
    )


def _require_known(fields: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    """Nothing that somebody wrote down is left out in silence."""
    if unknown := sorted(fields.keys() - known):
        fail(
            "unknown_field",
            f"The {where.strip(':')} has {', '.join(map(told, unknown))}, which feedback has no "
            f"place for; it has {', '.join(sorted(known))}. Leave it out.",
        )


def _time(text: str) -> str:
    try:
        return utc(text) if text else ""
    except (ValueError, OverflowError):
        fail("wrong_type", f'"time" must be as in 2026-05-04T12:30:00Z; received {told(text)}.')


def _said(judgement: Judgement) -> dict[str, Any]:
    if isinstance(judgement, Choice):
        answers = [_object(judgement.first), _object(judgement.second)]
        return {"answers": answers, "preferred": _WRITTEN[judgement.preferred]}
    if isinstance(judgement, Rated):
        return {"answer": _object(judgement.answer), "liked": judgement.liked}
    return {"answer": _object(judgement.answer), "corrected": judgement.corrected}


def _object(answer: Answer) -> dict[str, Any]:
    return {"text": answer.text, **described(answer)}
