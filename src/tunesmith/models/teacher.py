"""A bigger model of the same family that is learned from: what it is, before it is opened."""

from __future__ import annotations

import json
from typing import Any

from transformers import PreTrainedTokenizerFast

from tunesmith.core.errors import Unsupported
from tunesmith.models.open import Described, describe


def describe_teacher(name: str, student: Described, context: int) -> Described:
    """The model `name` as a teacher of `student` on rows of at most `context` tokens.

    Raises ModelError if there is none, and Unsupported if its tokens are others than the student's,
    or rows may be longer than what it reads.
    """
    teacher = describe(name)
    if teacher.writes_apart != student.writes_apart:
        raise Unsupported(
            f"One of objective.teacher {teacher.name} and {student.name} has an encoder beside its "
            "decoder, and the other has not, so they do not predict the same tokens. Name a "
            "teacher of the same family, or let this one answer questions behind an endpoint, with "
            "`tunesmith distil`."
        )
    if difference := _difference(student.tokenizer, teacher.tokenizer):
        raise Unsupported(
            f"objective.teacher {teacher.name} reads other tokens than {student.name}: "
            f"{difference}. Predictions can be compared over the same tokens only: name a teacher "
            "of the same family, or let this one answer questions behind an endpoint, with "
            "`tunesmith distil`."
        )
    if context > teacher.context:
        raise Unsupported(
            f"objective.teacher {teacher.name} reads at most {teacher.context} tokens, and rows "
            f"may have {context}. Set data.context to {teacher.context} or less."
        )
    return teacher


def _difference(student: PreTrainedTokenizerFast, teacher: PreTrainedTokenizerFast) -> str | None:
    """In what the teacher's tokens are others; None if they are the same."""
    ours, theirs = student.get_vocab(), teacher.get_vocab()
    unlike = {token for token, _ in ours.items() ^ theirs.items()}
    if not unlike:
        alike = _model(student) == _model(teacher)
        return None if alike else "the same text is cut into tokens otherwise"
    first = min(unlike, key=lambda token: (ours.get(token, theirs.get(token)), token))
    whole = len(ours.keys() | theirs.keys())
    return f"{len(unlike):,} of {whole:,} differ, {first!r} for one"


def _model(tokenizer: PreTrainedTokenizerFast) -> Any:
    return json.loads(tokenizer.backend_tokenizer.to_str())["model"]
