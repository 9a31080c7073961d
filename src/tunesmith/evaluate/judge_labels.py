"""Pairs of answers that people have compared, as a file that the user names.

Each line is a JSON object:

    {"prompt": "…", "a": "one answer", "b": "another", "preferred": "a"}

`preferred` is a, b or tie; `reference`, the answer wanted, may be given. No other key is allowed,
so that a misspelt one is noticed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tunesmith.core.errors import DataError
from tunesmith.core.records import Message, Origin
from tunesmith.evaluate.judge_ask import Pair
from tunesmith.evaluate.judge_records import Preferred

_TEXTS = ("prompt", "a", "b")
_PREFERRED: dict[str, Preferred] = {"a": "one", "b": "other", "tie": "tie"}
_SHAPE = '{"prompt": "...", "a": "...", "b": "...", "preferred": "a", "b" or "tie"}'

LabelledPair = tuple[Pair, Preferred]


def read_labels(path: Path) -> list[LabelledPair]:
    """The pairs of a file, and which of each people preferred. Raises DataError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"judge.labels names {path}, which cannot be read as UTF-8 text ({error}). Give a file "
            f"of JSON lines {_SHAPE}."
        ) from error
    found = list(_pairs(path, lines))
    if not found:
        raise DataError(
            f"judge.labels names {path}, which holds no pair. Write one on each line: {_SHAPE}."
        )
    return found


def _pairs(path: Path, lines: list[str]) -> Iterator[LabelledPair]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield _pair(Origin(str(path), number), line)


def _pair(origin: Origin, line: str) -> LabelledPair:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _refused(origin, f"the line is not JSON ({error})") from None
    if not isinstance(row, dict):
        raise _refused(origin, "the line is no JSON object")
    if unknown := sorted(row.keys() - {*_TEXTS, "preferred", "reference"}):
        raise _refused(origin, f"it has the key {unknown[0]}, which means nothing here")
    for key in _TEXTS:
        if not isinstance(row.get(key), str):
            raise _refused(origin, f"{key} is {_received(row, key)} instead of a text")
    reference = row.get("reference")
    if reference is not None and not isinstance(reference, str):
        raise _refused(origin, f"reference is {_received(row, 'reference')} instead of a text")
    preferred = row.get("preferred")
    if not isinstance(preferred, str) or preferred not in _PREFERRED:
        raise _refused(origin, f"preferred is {_received(row, 'preferred')}")
    asked = (Message("user", row["prompt"]),)
    return Pair(origin, asked, reference, row["a"], row["b"]), _PREFERRED[preferred]


def _received(row: dict[str, Any], key: str) -> str:
    return json.dumps(row[key])[:60] if key in row else "not given"


def _refused(origin: Origin, what: str) -> DataError:
    return DataError(f"{origin}: {what}. A labelled pair is {_SHAPE}.")
