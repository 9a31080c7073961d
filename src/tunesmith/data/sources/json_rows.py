"""JSON values to rows, and the sentences about text that holds none."""

from __future__ import annotations

import json
from typing import Any

from tunesmith.core.errors import DataError
from tunesmith.core.records import Origin, Row
from tunesmith.data.sources.rows import start_of

FORMS = (
    "Give a file of JSON lines (one object a line) or a JSON array of objects; a table ends in "
    ".csv, .tsv or .parquet, a text in .txt or .md."
)


def line_row(origin: Origin, line: str) -> Row:
    """The row on one line. Raises DataError if it is not a JSON object."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise not_json(origin, line.rstrip("\r"), error) from None
    return object_row(origin, value)


def object_row(origin: Origin, value: Any) -> Row:
    """The row that a JSON value is. Raises DataError if it is no object."""
    if not isinstance(value, dict):
        raise DataError(
            f"{origin}: a row must be a JSON object in braces; received {_written(value)}. {FORMS}"
        )
    return Row(origin, value)


def not_json(origin: Origin, line: str, error: Exception) -> DataError:
    """The error about a line that `error` was raised for."""
    if isinstance(error, json.JSONDecodeError):
        column = f" (column {error.colno}: {error.msg})" if error.lineno == 1 else f" ({error.msg})"
    else:
        column = f" ({error})"
    return DataError(f"{origin}: this is not JSON{column}; it begins {start_of(line)}. {FORMS}")


def _written(value: Any) -> str:
    try:
        return start_of(json.dumps(value, ensure_ascii=False))
    except (RecursionError, ValueError):  # nested more deeply than can be written
        return f"a {type(value).__name__}"
