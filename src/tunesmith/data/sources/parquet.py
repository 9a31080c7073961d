"""Parquet files, a batch of rows at a time; other processes make the rows of a batch.

A row is what JSON could hold: text, numbers, true and false, null, lists and objects. Times and
decimals become the text they are written as; bytes must be UTF-8. A row's "line" is its number.
"""

from __future__ import annotations

import datetime
import decimal
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tunesmith.core.errors import DataError
from tunesmith.core.records import Origin, Row
from tunesmith.data.sources import limits
from tunesmith.data.sources.opened import Content
from tunesmith.data.sources.rows import Block, Place, Placed, changed, start_of
from tunesmith.data.sources.tables import require_names

_WRITTEN = (datetime.date, datetime.time, datetime.timedelta, decimal.Decimal, uuid.UUID)
"""What is kept as text. A datetime is a date."""


@dataclass(frozen=True, slots=True)
class BatchBlock:
    """Rows from number `first` on (1 is the first of the file), as columns."""

    path: str
    first: int
    batch: pa.RecordBatch

    def rows(self) -> Iterator[Placed]:
        """The rows. Raises DataError for a value that is nothing JSON could hold."""
        for number, row in enumerate(_rows(self.path, self.first, self.batch)):
            yield Placed(Row(Origin(self.path, self.first + number), row), 0, 0)


class _Table:
    """An open Parquet file."""

    def __init__(self, content: Content) -> None:
        self._path, self._size = content.path, content.size
        source = content.seekable("a packed Parquet file")
        with _said(self._path):
            self._file = pq.ParquetFile(
                source, buffer_size=limits.BLOCK, page_checksum_verification=True
            )
            names = list(self._file.schema_arrow.names)
        if not names:
            raise DataError(f"{self._path} has no columns, so there are no rows in it.")
        require_names(self._path, names)

    @cached_property
    def rows(self) -> int:
        """How many there are."""
        return int(self._file.metadata.num_rows)

    def batches(self, groups: Sequence[int] | None = None) -> Iterator[pa.RecordBatch]:
        """The rows of some row groups, of all by default.

        Raises:
            DataError: the file is damaged, or out of proportion to what it holds.
        """
        left = most = max(limits.FREE, limits.RATIO * self._size)
        with _said(self._path):
            found = self._file.iter_batches(
                self._batch_rows(),
                row_groups=list(range(self.groups) if groups is None else groups),
                use_threads=False,
            )
        while True:
            with _said(self._path):
                batch = next(found, None)
            if batch is None:
                return
            left -= batch.nbytes
            if left < 0:
                raise DataError(
                    f"{self._path} unpacks to more than {limits.told(most)}, {limits.RATIO} times "
                    "its size and more, as files do that are made to fill a disk. If you trust it, "
                    "save its rows as JSON lines."
                )
            yield batch

    @property
    def groups(self) -> int:
        """How many row groups there are."""
        return int(self._file.metadata.num_row_groups)

    def rows_in(self, group: int) -> int:
        """How many rows a row group has."""
        with _said(self._path):
            return int(self._file.metadata.row_group(group).num_rows)

    def _batch_rows(self) -> int:
        """As many as make about a block."""
        metadata = self._file.metadata
        size = sum(metadata.row_group(group).total_byte_size for group in range(self.groups))
        return max(1, min(limits.ITEMS, limits.BLOCK * self.rows // max(size, 1)))


def parquet_blocks(content: Content) -> Iterator[Block]:
    """The rows, a batch at a time."""
    number = 1
    for batch in _Table(content).batches():
        if batch.num_rows:
            yield BatchBlock(content.path, number, batch)
            number += batch.num_rows
    if number == 1:
        raise DataError(f"{content.path} holds columns and no rows. Give it rows, or leave it out.")


def parquet_again(content: Content, places: Sequence[Place]) -> Iterator[Row]:
    """The rows in these places, ascending; only the row groups that hold them are read.

    Raises:
        DataError: there are not so many any more.
    """
    table, end = _Table(content), 0
    waiting = list(reversed(places))
    for group in range(table.groups):
        start, end = end, end + table.rows_in(group)
        if not waiting or waiting[-1].origin.line > end:
            continue
        for batch in table.batches([group]):
            while waiting and waiting[-1].origin.line <= start + batch.num_rows:
                origin = waiting.pop().origin
                one = batch.slice(origin.line - start - 1, 1)
                yield Row(origin, _rows(content.path, origin.line, one)[0])
            start += batch.num_rows
    if waiting:
        raise DataError(changed(waiting[-1].origin))


def _rows(path: str, first: int, batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """The rows of a batch, the first of which has number `first`, as JSON could hold them."""
    with _said(path):
        rows: list[dict[str, Any]] = batch.to_pylist(maps_as_pydicts="strict")
    for field in batch.schema:
        if not _is_plain(field.type):
            for number, row in enumerate(rows, start=first):
                row[field.name] = _plain(row[field.name], Origin(path, number), field)
    return rows


def _is_plain(kind: pa.DataType) -> bool:
    """Whether Python's value of a type is always one that JSON could hold."""
    types = pa.types
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return _is_plain(kind.value_type)
    if types.is_struct(kind):
        names = [field.name for field in kind]
        return len(set(names)) == len(names) and all(_is_plain(field.type) for field in kind)
    return bool(
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_boolean(kind)
        or types.is_null(kind)
    )


def _plain(value: Any, origin: Origin, field: pa.Field) -> Any:
    """A value as JSON could hold it. Raises DataError if JSON could not."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, _WRITTEN):
        return str(value)
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise DataError(_no_text(origin, field)) from None
    if isinstance(value, list):
        return [_plain(each, origin, field) for each in value]
    if isinstance(value, dict) and all(isinstance(name, str) for name in value):
        return {name: _plain(each, origin, field) for name, each in value.items()}
    raise DataError(_no_text(origin, field))


def _no_text(origin: Origin, field: pa.Field) -> str:
    return (
        f'{origin}: the column "{start_of(field.name)}" ({start_of(str(field.type))}) holds what '
        "is neither text nor number, list or object of them. Leave the column out, or save it as "
        "text."
    )


@contextmanager
def _said(path: str) -> Iterator[None]:
    """Turns what pyarrow raises into what to do about it."""
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, KeyError, OverflowError, MemoryError) as error:
        reason = start_of(str(error).split("\n", 1)[0]).rstrip(".")
        raise DataError(
            f"{path} is damaged, or no Parquet file that can be read ({reason}). Fetch or write it "
            "again."
        ) from None
