"""The act `data convert`: the rows of data files in another format. No torch."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tunesmith.core.errors import DataError
from tunesmith.core.files import require_new, write_texts
from tunesmith.core.records import Finding
from tunesmith.data.formats import all_recognised, read_row
from tunesmith.data.formats.write import WRITERS
from tunesmith.data.sources import expand, require_distinct, require_readable, rows_of

_NAMED = 5


@dataclass(slots=True)
class Converted:
    """What became of the rows: `written`, and those left out, counted by reason.

    `recognised` says of each file which formats its rows have, `notes` what should be known of the
    files; `first` are the sentences about the first rows that were left out.
    """

    written: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    recognised: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    first: list[str] = field(default_factory=list)

    def leave_out(self, origin: object, reason: str, sentence: str) -> None:
        """Count a row that is not written."""
        self.left_out[reason] += 1
        if len(self.first) < _NAMED:
            self.first.append(f"{origin}: {sentence}")


def convert(
    files: Sequence[str], out: Path, form: str, mapping: Mapping[str, str] | None = None
) -> Converted:
    """Write the rows of data files to `out` as JSON lines in the format `form`.

    Rows that cannot be read, or that the format cannot hold, are left out and counted. The file
    appears whole or not at all.

    Args:
        files: the data files, folders of them, and patterns.
        out: a new file.
        form: a name in `formats.write.WRITERS`.
        mapping: as `data.mapping` in the recipe.

    Raises:
        DataError: there is no such format, `out` exists, a file cannot be read, or no row can be
            written.
        StorageError: the disk refuses.
    """
    if form not in WRITERS:
        raise DataError(f"There is no format {form}; formats are {', '.join(WRITERS)}.")
    require_new(out, "the converted rows")
    named = expand(files)
    require_distinct(named.files)
    require_readable(named.files)
    converted = Converted(notes=[finding.message for finding in named.findings])
    write_texts(out, _lines(named.files, form, mapping or {}, converted))
    return converted


def _lines(
    files: Sequence[str], form: str, mapping: Mapping[str, str], converted: Converted
) -> Iterator[str]:
    read: list[tuple[str, int, Counter[str]]] = []
    for path in files:
        rows, titles = 0, Counter[str]()
        for row in rows_of(path):
            rows += 1
            reading = read_row(row, mapping)
            titles.update([reading.title] if reading.title else [])
            outcome = reading.outcome
            if isinstance(outcome, Finding):
                converted.leave_out(outcome.origin, outcome.reason, outcome.message)
                continue
            fields = WRITERS[form](outcome.content)
            if fields is None:
                kind = type(outcome.content).__name__.lower()
                sentence = f"a row of the kind {kind} has more than the format {form} can hold."
                converted.leave_out(outcome.origin, "cannot_hold", sentence)
                continue
            converted.written += 1
            yield json.dumps(fields, ensure_ascii=False) + "\n"
        read.append((path, rows, titles))
    converted.recognised = all_recognised(read)
    if not converted.written:
        counts = ", ".join(f"{reason} {rows}" for reason, rows in converted.left_out.items())
        raise DataError(
            f"No row can be written as {form} ({counts or 'there are none'}). "
            f"{converted.first[0] if converted.first else 'Name files that hold rows.'}"
        )
