"""Files in, rows out: JSON lines and JSON arrays, each row with the place it came from.

The form is told from the content, not from the file's ending: a file that begins with ``[`` is a
JSON array, one object ``{"data": [...]}`` is an array in a wrapper, everything else is JSON lines.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from io import BufferedReader
from itertools import islice
from pathlib import Path

from tunesmith.core.errors import DataError
from tunesmith.core.records import Origin, Row
from tunesmith.data.json_rows import FORMS, Placed, array, line_row, object_row, wrapped_array

_ENDINGS = (".jsonl", ".json")
_MARK = "\ufeff"
_BLOCK_BYTES = 1 << 20
_BLOCK_ITEMS = 1000


def read(paths: Iterable[str]) -> list[Row]:
    """All rows of the files, in order, at once; see `blocks` for what a row and an error are."""
    return [placed.row for path in paths for block in blocks(path) for placed in block.rows()]


def blocks(path: str) -> Iterator[Block]:
    """The rows of one file, in order, a block at a time, and a block about a megabyte.

    JSON lines are read as they are asked for, so the memory needed does not grow with the file; a
    JSON array is held in memory. The origin of a row is the 1-based line on which its object
    starts, and in JSON arrays its place there too; the path is kept as it was given. Blank lines
    are skipped and still counted.

    Raises (here, or where a block makes its rows):
        DataError: a file that is missing, a folder, empty, not UTF-8 or not JSON, or that holds
            something other than objects. The sentence names file and line.
    """
    with _open(path) as handle:
        head = _next_lines(handle)
        while not head.strip() and (more := _next_lines(handle)):
            head += more
        rest = handle.peek(1)
        if _holds_lines(head, bool(rest)):
            yield from _line_blocks(path, head, handle)
        else:
            yield from _whole(path, head + handle.read())


def row_at(origin: Origin, start: int, size: int) -> Row:
    """The row whose object stands in `size` bytes of its file from byte `start`.

    Raises:
        DataError: there is no such object any more.
    """
    with _open(origin.path) as handle:
        handle.seek(start)
        text = handle.read(size)
    try:
        return object_row(origin, json.loads(text.decode()))
    except (ValueError, DataError):
        raise DataError(changed(origin)) from None


def changed(origin: Origin) -> str:
    """The sentence about a row that is no longer what it was when its file was first read."""
    return (
        f"{origin}: the row is no longer what it was when the run read it, so the file was changed "
        "meanwhile. Put it back, or start again with the file as it is now."
    )


@dataclass(frozen=True, slots=True)
class LineBlock:
    """Whole lines of a JSON-lines file, not yet read: the first is line `line`, at byte `start`."""

    path: str
    line: int
    start: int
    data: bytes

    def rows(self) -> Iterator[Placed]:
        """The rows of the lines that are not blank."""
        _decode(self.path, self.data, self.line, self.start)
        start = self.start
        # Not splitlines: JSON strings may hold U+2028 and others that it takes for line ends.
        for number, data in enumerate(self.data.split(b"\n"), start=self.line):
            line = data.decode()
            if line.strip():
                yield Placed(line_row(Origin(self.path, number), line), start, len(data))
            start += len(data) + 1


@dataclass(frozen=True, slots=True)
class ItemBlock:
    """Some objects of a JSON array."""

    placed: tuple[Placed, ...]

    def rows(self) -> Iterator[Placed]:
        """The objects."""
        return iter(self.placed)


Block = LineBlock | ItemBlock


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


def require_readable(paths: Iterable[str]) -> None:
    """Raises DataError for the first path that cannot be opened or is no file; see `blocks`."""
    for path in paths:
        with _open(path) as handle:
            if not stat.S_ISREG(os.fstat(handle.fileno()).st_mode):
                raise DataError(
                    f"{path} is a pipe or a device. Rows are read more than once, so save them in "
                    "a file and name that."
                )


def _identity(file: Path) -> Hashable:
    """What two names of one file have in common, links included."""
    try:
        found = file.stat()
    except OSError:
        return file.absolute()
    return found.st_dev, found.st_ino


def _open(path: str) -> BufferedReader:
    file = Path(path)
    try:
        return open(file, "rb")
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


def _next_lines(handle: BufferedReader) -> bytes:
    """About a megabyte, to the end of a line; empty at the end of the file."""
    return handle.read(_BLOCK_BYTES) + handle.readline()


def _holds_lines(head: bytes, more: bool) -> bool:
    """Whether a file that begins with the whole lines `head` is certainly no array.

    It is not if it begins with a brace and its first object ends on its line, with others behind
    it (in `head`, or as there is `more`), or is broken there: only an object that goes on, or that
    is alone, can be an array in a wrapper.
    """
    text = head.decode("utf-8", "ignore").removeprefix(_MARK).lstrip()
    if text.startswith("["):
        return False
    first, _, others = text.partition("\n")
    if not (more or others.strip()):
        return False
    try:
        json.loads(first)
    except json.JSONDecodeError as error:
        return error.pos < len(first.rstrip())
    except (ValueError, RecursionError):
        return True
    return True


def _line_blocks(path: str, head: bytes, handle: BufferedReader) -> Iterator[Block]:
    line, start = 1, len(head) - len(head.removeprefix(_MARK.encode()))
    data = head[start:]
    while data:
        yield LineBlock(path, line, start, data)
        line, start = line + data.count(b"\n"), start + len(data)
        data = _next_lines(handle)


def _whole(path: str, data: bytes) -> Iterator[Block]:
    """A file that may be an array, and must therefore be seen whole."""
    mark = len(data) - len(data.removeprefix(_MARK.encode()))
    text = _decode(path, data[mark:], 1, mark)
    if not text.strip():
        raise DataError(f"{path} is empty: it holds no rows. {FORMS}")
    opening = len(text) - len(text.lstrip())
    if text[opening] != "[":
        wrapped = wrapped_array(text)
        if wrapped is None:
            yield LineBlock(path, 1, mark, data[mark:])
            return
        opening = wrapped
    items = array(path, text, opening, mark)
    empty = True
    while placed := tuple(islice(items, _BLOCK_ITEMS)):
        empty = False
        yield ItemBlock(placed)
    if empty:
        raise DataError(f"{path} holds an empty list: there are no rows in it. {FORMS}")


def _decode(path: str, data: bytes, line: int, start: int) -> str:
    """The text of `data`, which stands in the file from `line` and byte `start` on."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line += data.count(b"\n", 0, error.start)
        raise DataError(
            f"{path}:{line}: the file is not UTF-8: byte {data[error.start]:#04x} at offset "
            f"{start + error.start} cannot be decoded. Save the file as UTF-8."
        ) from None
