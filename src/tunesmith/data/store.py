"""Tokenised rows as tables, in memory or on disk, and the tokens read from them when asked.

    rows        one record an input row: where it stood, what it is, why it was dropped
    looks       one record an input row: what the checks of whole data sets keep of it
    near        one record an input row: which other rows say nearly the same
    marks       one record a finding of the checks of single rows
    sequences   one record a sequence of tokens: which row's, where its tokens are, a checksum
    tokens      int32, one a token: `id` where it is context, `~id` (below zero) where it is learned
    labels      int64, one a label or picture of a sequence: a hash, whose text the summary has

On disk, all but one are memory-mapped. `tokens`, the long one, is read by position: the
pages of a map would count as memory of this process, and grow with every epoch, while the system's
own file cache serves such reads as fast.
"""

from __future__ import annotations

import os
import weakref
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from tunesmith.core.errors import StorageError
from tunesmith.core.records import Content, Finding, Origin, Tokens
from tunesmith.data import kinds
from tunesmith.data.quality.columns import NEAR
from tunesmith.data.quality.looks import LOOK, Looks

ROW = np.dtype(
    [
        ("file", "<i4"),
        ("line", "<i8"),  # in Parquet the number of the row
        ("item", "<i4"),  # 0 but in JSON arrays
        ("start", "<i8"),  # bytes of the unpacked file
        ("size", "<i8"),  # bytes
        ("kind", "u1"),  # index into KINDS; 0 if the row was not understood
        ("reason", "u1"),  # index into `Summary.reasons`, from 1; 0 if the row can be trained
        ("content", "u1", (32,)),  # split.content_hash
        ("group", "<u8"),  # rows with the same stay on one side of the split; 0 is no group
    ]
)
MARK = np.dtype([("row", "<i8"), ("check", "u1")])  # an index into `Summary.checks`
SEQUENCE = np.dtype(
    [
        ("row", "<i8"),
        ("start", "<i8"),  # index of the first token in `tokens`
        ("length", "<i4"),
        ("sites", "<i4"),
        ("bytes", "<i8"),  # Tokens.learned_bytes
        ("part", "<i4"),
        ("checksum", "<u4"),  # CRC-32 of its tokens as stored
        ("first_label", "<i8"),  # index of its first label in `labels`
        ("labels", "<i4"),  # how many it has
        ("images", "<i4"),  # how many pictures, whose files follow its labels
    ]
)
TOKEN = np.dtype("<i4")
CODE = np.dtype("<i8")
TABLES = {
    "rows": ROW,
    "looks": LOOK,
    "near": NEAR,
    "marks": MARK,
    "sequences": SEQUENCE,
    "tokens": TOKEN,
    "labels": CODE,
}
KINDS: tuple[type[Content] | None, ...] = (None, *kinds.KINDS)

FINDINGS_KEPT = 500
"""Bad rows whose sentence is kept. The ledger has the reason of each."""

MARKS_KEPT = 100
"""Findings of each check of single rows whose sentence is kept."""

LABELS_KEPT = 10_000
"""Labels whose text is kept."""


@dataclass(slots=True)
class Summary:
    """What is known of a store beside its tables.

    `rows_in` is counted where the files are read, `reasons` are the keys of findings in the order
    in which they were first met, `messages` the sentences of the first bad rows, by row number;
    `extras` counts unused fields by file, and `formats` the rows of each format by file. `checks`
    names the checks that found something, `says` has the sentences of the first rows that each
    found, and `labels` the texts of the labels of rows by their hash; `names` has those of all
    sequences, and the files of their pictures.
    """

    rows_in: int = 0
    reasons: list[str] = field(default_factory=list)
    messages: dict[int, str] = field(default_factory=dict)
    extras: dict[int, Counter[str]] = field(default_factory=dict)
    formats: dict[int, Counter[str]] = field(default_factory=dict)
    checks: list[str] = field(default_factory=list)
    says: dict[str, dict[int, str]] = field(default_factory=dict)
    labels: dict[int, str] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As it is written beside the tables."""
        return {
            "rows_in": self.rows_in,
            "reasons": self.reasons,
            "messages": list(self.messages.items()),
            "extras": list(self.extras.items()),
            "formats": list(self.formats.items()),
            "checks": self.checks,
            "says": [[check, list(says.items())] for check, says in self.says.items()],
            "labels": list(self.labels.items()),
            "names": list(self.names.items()),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Summary:
        """The reverse of `to_json`."""
        extras, formats = (
            {file: Counter(counts) for file, counts in value[name]}
            for name in ("extras", "formats")
        )
        return cls(
            rows_in=value["rows_in"],
            reasons=list(value["reasons"]),
            messages=dict(value["messages"]),
            extras=extras,
            formats=formats,
            checks=list(value["checks"]),
            says={check: dict(says) for check, says in value["says"]},
            labels=dict(value["labels"]),
            names=dict(value["names"]),
        )


@dataclass(frozen=True, slots=True)
class Portion:
    """The tables of some rows, numbered from 0, with their findings.

    `rows_in` is how many were read, `reasons` has one key a row, empty for one that can be trained;
    `messages` are the sentences of the first FINDINGS_KEPT bad rows; `extras` counts unused fields,
    and `formats` the rows of each format. `looks` is what the checks of whole data sets keep.
    `labels` are hashes, of which `names` has the texts.
    """

    rows_in: int
    rows: np.ndarray
    sequences: np.ndarray
    tokens: np.ndarray
    labels: np.ndarray
    names: Mapping[int, str]
    reasons: Sequence[str]
    messages: Mapping[int, str]
    extras: Counter[str]
    formats: Counter[str]
    looks: Looks


class Writer:
    """Lays portions end to end into one open file a table."""

    def __init__(self, files: Mapping[str, BinaryIO]) -> None:
        self._files = files
        self.summary = Summary()
        self._rows = self._tokens = self._labels = 0

    def append(self, file: int, portion: Portion) -> None:
        """Add rows of file number `file`, which come next."""
        rows, sequences, summary = portion.rows, portion.sequences, self.summary
        names = dict.fromkeys(["", *summary.reasons, *portion.reasons])
        codes = {reason: code for code, reason in enumerate(names)}
        summary.reasons = list(names)[1:]
        rows["file"] = file
        rows["reason"] = [codes[reason] for reason in portion.reasons]
        sequences["row"] += self._rows
        sequences["start"] += self._tokens
        sequences["first_label"] += self._labels
        for row, message in portion.messages.items():
            if len(summary.messages) < FINDINGS_KEPT:
                summary.messages[self._rows + row] = message
        summary.rows_in += portion.rows_in
        summary.extras.setdefault(file, Counter()).update(portion.extras)
        summary.formats.setdefault(file, Counter()).update(portion.formats)
        for name, table in (
            ("rows", rows),
            ("looks", portion.looks.records),
            ("marks", self._marks(portion.looks)),
            ("sequences", sequences),
            ("tokens", portion.tokens),
            ("labels", portion.labels),
        ):
            self._files[name].write(table.tobytes())
        self._rows += len(rows)
        self._tokens += len(portion.tokens)
        self._labels += len(portion.labels)
        summary.names |= portion.names

    def _marks(self, looks: Looks) -> np.ndarray:
        """The records of the findings, whose first sentences go into the summary."""
        summary = self.summary
        summary.checks = list(dict.fromkeys([*summary.checks, *(m.reason for m in looks.marks)]))
        codes = {check: code for code, check in enumerate(summary.checks)}
        records = np.zeros(len(looks.marks), MARK)
        records["row"] = [self._rows + mark.row for mark in looks.marks]
        records["check"] = [codes[mark.reason] for mark in looks.marks]
        for mark in looks.marks:
            says = summary.says.setdefault(mark.reason, {})
            if len(says) < MARKS_KEPT:
                says[self._rows + mark.row] = mark.says
        room = LABELS_KEPT - len(summary.labels)
        summary.labels |= islice(looks.labels.items(), max(room, 0))
        return records


class Store:
    """Open tables. `paths` are the files' names as they were given, by number."""

    def __init__(
        self,
        paths: Sequence[str],
        tables: Mapping[str, np.ndarray],
        read: Callable[[int, int], np.ndarray],
        summary: Summary,
    ) -> None:
        self.paths = tuple(paths)
        self.rows, self.looks = tables["rows"], tables["looks"]
        self.near, self.marks = tables["near"], tables["marks"]
        self.sequences, self.labels = tables["sequences"], tables["labels"]
        self.summary = summary
        self._places = tuple(self.rows[name] for name in ("file", "line", "item"))
        self._read = read

    @classmethod
    def in_memory(
        cls, paths: Sequence[str], tables: Mapping[str, bytes], summary: Summary
    ) -> Store:
        """From the bytes of each table."""
        arrays = {name: np.frombuffer(tables[name], dtype) for name, dtype in TABLES.items()}
        tokens = arrays["tokens"]
        return cls(paths, arrays, lambda start, length: tokens[start : start + length], summary)

    @classmethod
    def on_disk(cls, paths: Sequence[str], folder: Path, summary: Summary) -> Store:
        """From the files of a folder, which may be removed while the store is in use."""
        tables = {name: mapped(folder, name) for name in TABLES if name != "tokens"}
        descriptor = os.open(folder / "tokens", os.O_RDONLY)

        def read(start: int, length: int) -> np.ndarray:
            size = TOKEN.itemsize
            found = os.pread(descriptor, length * size, start * size)
            return np.frombuffer(found, TOKEN, count=len(found) // size)

        store = cls(paths, tables, read, summary)
        weakref.finalize(store, os.close, descriptor)
        return store

    def origin(self, row: int) -> Origin:
        """Where a row came from."""
        file, line, item = (int(column[row]) for column in self._places)
        return Origin(self.paths[file], line, item or None)

    def tokens(self, sequence: int) -> Tokens:
        """One sequence.

        Raises:
            StorageError: its tokens are not those that were written.
        """
        row, start, length, _, size, part, checksum, first, labels, images = self.sequences[
            sequence
        ].item()
        stored_N, origin = self._read(start, length), self.origin(row)
        if len(stored_N) != length or zlib.crc32(stored_N.data) != checksum:
            raise StorageError(
                f"The tokens of {origin} were damaged in the token cache after it was opened, so "
                "they are not used. Check the disk, remove the cache's folder, and start again."
            )
        learned_N = stored_N < 0
        return Tokens(
            origin,
            np.where(learned_N, ~stored_N, stored_N),
            learned_N.astype(np.float32),
            size,
            part,
            self._names(first, labels),
            self._names(first + labels, images),
        )

    def _names(self, first: int, count: int) -> tuple[str, ...]:
        codes = self.labels[first : first + count].tolist()
        return tuple(self.summary.names[code] for code in codes)

    def images(self) -> list[str]:
        """The files of all pictures, each once."""
        shown = self.sequences[self.sequences["images"] > 0]
        starts_S = shown["first_label"] + shown["labels"]
        found = (
            self._names(int(start), int(count))
            for start, count in zip(starts_S, shown["images"], strict=True)
        )
        return list(dict.fromkeys(path for paths in found for path in paths))

    def finding(self, row: int) -> Finding | None:
        """Why a row was dropped, if its sentence was kept."""
        message = self.summary.messages.get(row)
        if message is None:
            return None
        reason = self.summary.reasons[self.rows[row]["reason"] - 1]
        return Finding(reason, message, "drop", self.origin(row))

    def sites_of_rows(self, counted_S: np.ndarray) -> np.ndarray:
        """How many tokens of each row are predicted in these sequences (int64, one a row)."""
        sequences = self.sequences[counted_S]
        sites = np.bincount(sequences["row"], sequences["sites"], minlength=len(self.rows))
        return sites.astype(np.int64)


def mapped(folder: Path, name: str) -> np.ndarray:
    """One table of a folder, memory-mapped."""
    if not (folder / name).stat().st_size:
        return np.empty(0, TABLES[name])
    return np.memmap(folder / name, TABLES[name], "r").view(np.ndarray)


def table_of(parts: Sequence[tuple[int, Tokens]]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """The records, the tokens, and the labels and pictures of (row number, Tokens) pairs."""
    records = np.zeros(len(parts), SEQUENCE)
    stored = [_stored(tokens) for _, tokens in parts]
    lengths = [len(stored_N) for stored_N in stored]
    records["row"] = [row for row, _ in parts]
    records["start"] = np.cumsum([0, *lengths])[:-1]
    records["length"] = lengths
    records["sites"] = [tokens.sites for _, tokens in parts]
    records["bytes"] = [tokens.learned_bytes for _, tokens in parts]
    records["part"] = [tokens.part for _, tokens in parts]
    records["checksum"] = [zlib.crc32(stored_N.data) for stored_N in stored]
    records["labels"] = [len(tokens.labels) for _, tokens in parts]
    records["images"] = [len(tokens.images) for _, tokens in parts]
    records["first_label"] = np.cumsum([0, *(records["labels"] + records["images"])])[:-1]
    labels = [name for _, tokens in parts for name in (*tokens.labels, *tokens.images)]
    return records, np.concatenate([np.empty(0, TOKEN), *stored]), labels


def coded(labels: Sequence[str]) -> tuple[np.ndarray, dict[int, str]]:
    """The hash of each label (int64), the same in every process, and the text of each hash."""
    codes = {label: _code(label) for label in dict.fromkeys(labels)}
    numbers = np.array([codes[label] for label in labels], CODE)
    return numbers, {code: label for label, code in codes.items()}


def _code(label: str) -> int:
    return int.from_bytes(blake2b(label.encode(), digest_size=8).digest(), "little", signed=True)


def _stored(tokens: Tokens) -> np.ndarray:
    learned_N = tokens.weights_N > 0
    if not np.array_equal(tokens.weights_N, learned_N):
        raise ValueError(f"{tokens.origin}: the store holds weights of 0 and 1 only.")
    return np.where(learned_N, ~tokens.ids_N, tokens.ids_N).astype(TOKEN)
