"""A data file opened for reading, unpacked where it is packed, and why one cannot be opened."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from io import BufferedReader, BytesIO
from pathlib import Path

from tunesmith.core.errors import DataError
from tunesmith.data.sources import limits
from tunesmith.data.sources.packed import PACKINGS, Packing, packing_of, unpacked


@dataclass(frozen=True, slots=True)
class Content:
    """What stands in an open data file.

    `path` is as it was given, `stream` stands at the first byte of the unpacked content, and `size`
    is how many bytes the file has on disk.
    """

    path: str
    stream: BufferedReader
    packing: Packing | None
    size: int

    @property
    def ending(self) -> str:
        """The ending of the name in small letters, without that of its packing: ".csv"."""
        return ending_of(self.path)

    def next_lines(self) -> bytes:
        """About a block, to the end of a line or to more than a row; empty at the end."""
        return self.stream.read(limits.BLOCK) + self.stream.readline(limits.ROW + 1)

    def at_most(self, size: int) -> bytes | None:
        """The rest of it; None if that is more than `size` bytes, of which about as many are read.

        It is read by blocks, for a single large read would take its memory beforehand.
        """
        parts, left = [], size
        while part := self.stream.read(limits.BLOCK):
            parts.append(part)
            left -= len(part)
            if left < 0:
                return None
        return b"".join(parts)

    def whole(self, what: str) -> bytes:
        """All of it, for `what`, a form that must be seen whole.

        Raises:
            DataError: it is larger than `limits.WHOLE`.
        """
        data = self.at_most(limits.WHOLE)
        if data is None:
            raise DataError(
                f"{self.path} holds more than {limits.told(limits.WHOLE)}, and {what} must be held "
                "in memory whole. Save it as JSON lines, which are read as a stream."
            )
        return data

    def seekable(self, what: str) -> BufferedReader | BytesIO:
        """The content for readers that go back and forth; `what` as in `whole`."""
        return self.stream if self.packing is None else BytesIO(self.whole(what))


@contextmanager
def opened(path: str) -> Iterator[Content]:
    """A data file, open.

    Raises:
        DataError: it is missing or a folder, cannot be read, or is not packed as its name says.
            Where it is damaged, reading it raises that.
    """
    with _open(path) as file:
        packing = packing_of(path, file)
        size = os.fstat(file.fileno()).st_size
        if packing is None:
            yield Content(path, file, None, size)
            return
        with unpacked(path, file, packing, size) as stream:
            yield Content(path, stream, packing, size)


def ending_of(path: str) -> str:
    """The ending of a name in small letters, without that of its packing: ".csv"."""
    name = Path(path)
    if name.suffix.lower() in (packing.ending for packing in PACKINGS):
        name = name.with_suffix("")
    return name.suffix.lower()


def size_of(path: str) -> int:
    """About how many bytes of text a file holds: a packed one several times its size."""
    packed = Path(path).suffix.lower() in (packing.ending for packing in PACKINGS)
    return os.path.getsize(path) * (4 if packed else 1)


def require_readable(paths: Iterable[str]) -> None:
    """Raises DataError for the first path that cannot be opened or is no file; see `opened`."""
    for path in paths:
        with _open(path) as handle:
            if not stat.S_ISREG(os.fstat(handle.fileno()).st_mode):
                raise DataError(
                    f"{path} is a pipe or a device. Rows are read more than once, so save them in "
                    "a file and name that."
                )


def _open(path: str) -> BufferedReader:
    try:
        return open(path, "rb")
    except FileNotFoundError:
        raise DataError(_missing(Path(path))) from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder where a data file is needed; name a file.") from None
    except (OSError, ValueError) as error:  # a NUL in the name is a ValueError
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path} cannot be read ({reason}).") from None


def _missing(file: Path) -> str:
    if not file.parent.is_dir():
        return f"There is no file {file}: the folder {file.parent} does not exist."
    names = [each.name for each in file.parent.iterdir() if each.is_file()]
    close = get_close_matches(file.name, names, n=1)
    hint = f" Did you mean {file.parent / close[0]}?" if close else " Check the path."
    return f"There is no file {file}.{hint}"
