"""Files in, rows out: JSON lines and JSON arrays, each row with the place it came from.

The form is told from the content, not from the file's ending: a file that begins with ``[`` is a
JSON array, one object ``{"data": [...]}`` is an array in a wrapper, everything else is JSON lines.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from tunesmith.core.errors import DataError
from tunesmith.core.records import Origin, Row

_ENDINGS = (".jsonl", ".json")
_SHOWN = 60
_FORMS = "Give a file of JSON lines (one object a line) or a JSON array of objects."


def read(paths: Iterable[str]) -> list[Row]:
    """All rows of the files, in order.

    The origin of a row is the 1-based line on which its object starts, and in JSON arrays its
    place there too; the path is kept as it was given. Blank lines are skipped and still counted.

    Raises:
        DataError: a file that is missing, a folder, empty, not UTF-8 or not JSON, or that holds
            something other than objects. The sentence names file and line.
    """
    return [row for path in paths for row in read_file(path)]


def read_file(path: str) -> list[Row]:
    """The rows of one file; see `read`."""
    text = _decode(path, _bytes(path))
    if not text.strip():
        raise DataError(f"{path} is empty: it holds no rows. {_FORMS}")
    rows = list(_rows(path, text))
    if not rows:
        raise DataError(f"{path} holds an empty list: there are no rows in it. {_FORMS}")
    return rows


def require_distinct(paths: Iterable[str]) -> None:
    """Check that no two paths lead to one file, however they are spelled.

    Raises:
        DataError: two do, so rows would be trained on twice or stand on both sides of the split.
    """
    seen: dict[Hashable, str] = {}
    for path in paths:
        identity = _identity(Path(path))
        if identity in seen:
            spelled = f" (also as {seen[identity]})" if seen[identity] != path else ""
            raise DataError(
                f"The file {path} is named more than once{spelled} under data.train and "
                "data.validation: its rows would be trained on twice, or stand on both sides of "
                "the split. Name it once; to train on it for longer, raise engine.epochs."
            )
        seen[identity] = path


def _identity(file: Path) -> Hashable:
    """What two names of one file have in common, links included."""
    try:
        found = file.stat()
    except OSError:
        return file.absolute()
    return found.st_dev, found.st_ino


def _bytes(path: str) -> bytes:
    file = Path(path)
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise DataError(_missing(file)) from None
    except IsADirectoryError:
        raise DataError(_folder(file)) from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}).") from error


def _missing(file: Path) -> str:
    if not file.parent.is_dir():
        return f"There is no file {file}: the folder {file.parent} does not exist."
    names = [each.name for each in file.parent.iterdir() if each.is_file()]
    close = get_close_matches(file.name, names, n=1)
    hint = f" Did you mean {file.parent / close[0]}?" if close else " Check the path."
    return f"There is no file {file}.{hint}"


def _folder(folder: Path) -> str:
    inside = sorted(file for file in folder.iterdir() if file.suffix in _ENDINGS)
    named = ", ".join(str(file) for file in inside[:3])
    hint = f"name its files instead, such as {named}" if inside else "name a JSON or JSONL file"
    return f"{folder} is a folder, not a data file; {hint}."


def _decode(path: str, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The codec counts from behind the byte order mark when there is one.
        offset = error.start + len(data) - len(error.object)
        line = data.count(b"\n", 0, offset) + 1
        raise DataError(
            f"{path}:{line}: the file is not UTF-8: byte {data[offset]:#04x} at offset {offset} "
            "cannot be decoded. Save the file as UTF-8."
        ) from None


def _rows(path: str, text: str) -> Iterator[Row]:
    start = len(text) - len(text.lstrip())
    if text[start] == "[":
        return _array(path, text, start)
    wrapped = _wrapped_array(text)
    if wrapped is not None:
        return _array(path, text, wrapped)
    return _lines(path, text)


def _lines(path: str, text: str) -> Iterator[Row]:
    # Not splitlines: JSON strings may hold U+2028 and other characters that it takes for line ends.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            origin = Origin(path, number)
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(_not_json(origin, line.rstrip("\r"), error)) from None
            yield _object(origin, value)


def _array(path: str, text: str, start: int) -> Iterator[Row]:
    """The objects of the JSON array that opens at `start`."""
    decoder = json.JSONDecoder()
    at, line, counted, index = _skip(text, start + 1), 1, 0, 0
    while not text.startswith("]", at):
        line, counted, index = line + text.count("\n", counted, at), at, index + 1
        origin = Origin(path, line, index)
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise DataError(_not_json(origin, text[at:].split("\n", 1)[0], error)) from None
        yield _object(origin, value)
        at = _skip(text, end)
        if text.startswith(",", at):
            at = _skip(text, at + 1)
        elif not text.startswith("]", at):
            raise DataError(
                f"{origin}: the list is broken after the object that starts here: a comma or a "
                f"closing bracket should follow, not {_start(text[at:]) or 'the end of the file'}."
            )


def _wrapped_array(text: str) -> int | None:
    """Where the array opens if the whole text is one object ``{"data": [...]}``, else None."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or not isinstance(value.get("data"), list):
        return None
    return _opening(text)


def _opening(text: str) -> int | None:
    """The position of the bracket that opens the value of the outermost key "data"."""
    decoder = json.JSONDecoder()
    at = _skip(text, text.index("{") + 1)
    while not text.startswith("}", at):
        key, at = decoder.raw_decode(text, at)
        at = _skip(text, _skip(text, at) + 1)
        if key == "data" and text.startswith("[", at):
            return at
        at = _skip(text, decoder.raw_decode(text, at)[1])
        if text.startswith(",", at):
            at = _skip(text, at + 1)
    return None


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def _object(origin: Origin, value: Any) -> Row:
    if not isinstance(value, dict):
        received = _start(json.dumps(value, ensure_ascii=False))
        raise DataError(
            f"{origin}: a row must be a JSON object in braces; received {received}. {_FORMS}"
        )
    return Row(origin, value)


def _not_json(origin: Origin, line: str, error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        column = f" (column {error.colno}: {error.msg})" if error.lineno == 1 else f" ({error.msg})"
    else:
        column = f" ({error})"
    return f"{origin}: this is not JSON{column}; it begins {_start(line)}. {_FORMS}"


def _start(text: str) -> str:
    text = text.strip()
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
