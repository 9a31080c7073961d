"""The acts `feedback add` and `feedback export`: judgements from files, and rows to learn from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tunesmith.core.errors import DataError
from tunesmith.core.files import require_new, write_jsonl
from tunesmith.data.feedback import Feedback, FeedbackStore, Wanted
from tunesmith.data.feedback.agreement import Agreement
from tunesmith.data.feedback.learned import Form, learned
from tunesmith.data.feedback.rows import feedback_of
from tunesmith.data.feedback.settle import MEANING, USED
from tunesmith.data.formats.fields import Unusable
from tunesmith.data.sources import expand, require_distinct, require_readable, rows_of

_NAMED = 10


@dataclass(frozen=True, slots=True)
class Exported:
    """How many rows were written, and what became of the judgements: `read` = `used` and those
    `left_out`, by reason."""

    rows: int
    read: int
    used: int
    left_out: Counter[str]
    agreement: Agreement | None


def judgements_in(files: Sequence[str], person: str = "") -> list[Feedback]:
    """The judgements in files; `person` is who judged where a row does not say it.

    Raises DataError if a file cannot be read, or with the first of the rows that are none.
    """
    named = expand(files)
    require_distinct(named.files)
    require_readable(named.files)
    found: list[Feedback] = []
    wrong: list[str] = []
    for row in (row for path in named.files for row in rows_of(path)):
        try:
            feedback = feedback_of(row.fields)
        except Unusable as error:
            wrong.append(f"{row.origin}: {error}")
        else:
            found.append(replace(feedback, person=feedback.person or person))
    if wrong:
        more = f"\nand {len(wrong) - _NAMED:,} more" if len(wrong) > _NAMED else ""
        rows = "one row is" if len(wrong) == 1 else f"{len(wrong):,} rows are"
        listed = "\n".join(wrong[:_NAMED])
        raise DataError(f"Nothing was added, for {rows} no judgement:\n{listed}{more}")
    return found


def export(
    store: FeedbackStore,
    form: Form,
    out: Path,
    wanted: Wanted | None = None,
    *,
    undisputed: bool = False,
    persons: bool = False,
) -> Exported:
    """Write what the judgements teach to the new file `out`, as rows of one form.

    It appears whole or not at all; `undisputed` and `persons` as in `learned`.

    Raises DataError if `out` exists, or if there is nothing to write.
    """
    require_new(out, "the rows")
    every = list(store)
    asked = {each.id for each in store.feedback(wanted)}
    made = learned(
        (each for each in every if each.id in asked), form, undisputed=undisputed, persons=persons
    )
    fates = made.fates + Counter(not_asked_for=sum(each.id not in asked for each in every))
    left_out = Counter({reason: fates[reason] for reason in MEANING if fates[reason]})
    if not made.rows:
        reasons = (f"{count:,} {reason} ({MEANING[reason]})" for reason, count in left_out.items())
        raise DataError(
            f"No row of the form {form} can be made of the {len(every):,} judgements in "
            f"{store.path}: {', '.join(reasons) or 'there are none'}. Nothing was written."
        )
    write_jsonl(out, made.rows)
    return Exported(len(made.rows), len(every), fates[USED], left_out, made.agreement)
