"""What the checks of `tunesmith data check` say at the start of a run: sentences, or a refusal."""

from __future__ import annotations

from collections.abc import Iterator

from tunesmith.core.errors import DataError
from tunesmith.data.quality import CHECKS, Found
from tunesmith.data.sources import expand, size_of
from tunesmith.recipe import Recipe
from tunesmith.runs.check import check_data

MOST_BYTES = 4 << 20
"""Of data that is checked at every start: some seconds. More is for `tunesmith data check`."""

# Found where the rows are read and split, too, with what data.bad_rows says of it.
_SEEN_ELSEWHERE = ("in_both_splits", "empty_answer")


def require_checked(recipe: Recipe) -> tuple[str, ...]:
    """Look at the texts of the data files; returns a sentence for each thing worth a warning.

    Raises:
        DataError: a finding of the grade "stop", where data.checks is "refuse".
    """
    data = recipe.data
    if data.checks == "off":
        return ()
    named = [*data.require_train(), *([] if data.validation is None else [data.validation])]
    size = sum(map(size_of, expand(named).files))
    if size > MOST_BYTES:
        return (
            f"The data is large ({size / 1e6:,.0f} MB), so its texts were not checked at this "
            "start for copies, damage and personal data: `tunesmith data check` does that.",
        )
    report = check_data(data.require_train(), validation=data.validation, mapping=data.mapping)
    found = [each for each in report.found if each.reason in CHECKS]
    found = [each for each in found if each.reason not in _SEEN_ELSEWHERE]
    stops = [each for each in found if each.check.grade == "stop"]
    if stops and data.checks == "refuse":
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
