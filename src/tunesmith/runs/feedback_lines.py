"""The acts of a service on a feedback store: judgements in, as lines; rows to learn from out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tunesmith.core.errors import DataError
from tunesmith.data.feedback import Feedback, FeedbackStore
from tunesmith.data.feedback.learned import learned
from tunesmith.data.feedback.rows import feedback_of, fields_of
from tunesmith.data.feedback.settle import MEANING
from tunesmith.data.formats.fields import Unusable

Form = Literal["preference", "rating", "sft"]


@dataclass(frozen=True, slots=True)
class Learned:
    """Rows of one form, and how many judgements made none, by reason."""

    rows: Sequence[Mapping[str, Any]]
    left_out: Mapping[str, int]


def add_lines(store: Path, lines: Sequence[Mapping[str, Any]]) -> int:
    """Keep judgements, all of them or none; how many the store had not.

    Raises DataError naming the line that is no judgement.
    """
    return FeedbackStore(store).add_all([*_judgements(lines)])


def _judgements(lines: Sequence[Mapping[str, Any]]) -> Iterator[Feedback]:
    for number, fields in enumerate(lines, start=1):
        try:
            yield feedback_of(fields)
        except Unusable as error:
            raise DataError(f"Judgement {number}: {error}") from None


def lines_of(store: Path) -> list[dict[str, Any]]:
    """All judgements, in the order in which they came; none where there is no store."""
    return [fields_of(each) for each in FeedbackStore(store)] if store.exists() else []


def rows_learned(store: Path, form: Form, *, undisputed: bool, persons: bool) -> Learned:
    """What the judgements teach; `undisputed` and `persons` as in `learned`."""
    given: Iterable[Feedback] = FeedbackStore(store) if store.exists() else ()
    made = learned(given, form, undisputed=undisputed, persons=persons)
    left_out = {reason: made.fates[reason] for reason in MEANING if made.fates[reason]}
    return Learned(made.rows, left_out)
