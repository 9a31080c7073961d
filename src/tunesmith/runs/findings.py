"""What the checks of `tunesmith data check` say at the start of a run: sentences, or a refusal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from tunesmith.core.errors import DataError
from tunesmith.data.quality import Found, Report

# Found where the rows are read and split, too, with what data.bad_rows says of it.
_SEEN_ELSEWHERE = ("in_both_splits", "empty_answer")


def require_checked(checks: Literal["refuse", "warn", "off"], report: Report) -> tuple[str, ...]:
    """A sentence for each thing worth a warning in what the checks found.

    Raises:
        DataError: a finding of the grade "stop", where `checks` (data.checks) is "refuse".
    """
    if checks == "off":
        return ()
    found = [each for each in report.found if each.reason not in _SEEN_ELSEWHERE]
    stops = [each for each in found if each.check.grade == "stop"]
    if stops and checks == "refuse":
        raise DataError(_refusal(stops))
    return tuple(_warnings(found))


def _warnings(found: list[Found]) -> Iterator[str]:
    grave = [each for each in found if each.check.grade != "note"]
    for each in grave:
        yield f"{each.counted}, first {each.places[0].origin}."
    if grave:
        yield "`tunesmith data check` names all of these rows and says what can be done."


def _refusal(stops: list[Found]) -> str:
    lines = [
        f"{each.places[0].origin}: {each.places[0].says} In all {each.counted}. {each.check.advice}"
        for each in stops
    ]
    return "\n".join(
        [
            *lines,
            "`tunesmith data check` names all of these rows, and its --fix OUT.jsonl writes a "
            "cleaned copy. To train on them as they are, set data.checks=warn.",
        ]
    )
