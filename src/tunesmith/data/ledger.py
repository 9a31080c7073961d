"""The account of every input row: trained, held out, or dropped and why."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunesmith.core.errors import TunesmithError
from tunesmith.core.records import Canary

TRAINED, HELD_OUT, DROPPED = range(3)
_OUTCOMES = ("trained", "held_out", "dropped")
_BLOCK = 1 << 14


@dataclass(frozen=True, slots=True)
class Account:
    """What became of each row, one array element a row.

    `outcomes` are TRAINED, HELD_OUT or DROPPED; `reasons` index `reason_names` from 1 (0 for rows
    that were not dropped); `supervised` is how many of its tokens are predicted. `contents` (uint8,
    rows by 32) are the digests by which the same row is known again without its file, and `known`
    is false where the row could not be understood, so that it has none.
    """

    outcomes: np.ndarray
    reasons: np.ndarray
    reason_names: Sequence[str]
    supervised: np.ndarray
    contents: np.ndarray
    known: np.ndarray


@dataclass(frozen=True, slots=True)
class Places:
    """Where each row came from: `files` index `paths`, `items` are 0 in JSON lines."""

    paths: Sequence[str]
    files: np.ndarray
    lines: np.ndarray
    items: np.ndarray


class Ledger:
    """The account of the input rows in their order, and its totals.

    `rows_in` is counted where the files are read, independently of the account, so that a row lost
    on the way is noticed.
    """

    def __init__(self, rows_in: int, places: Places, account: Account) -> None:
        self.rows_in = rows_in
        self._places = places
        self._account = account

    def texts(self) -> Iterator[str]:
        """`ledger.jsonl`, some thousand lines at a time."""
        for start in range(0, len(self._account.outcomes), _BLOCK):
            yield "".join(self._lines(slice(start, start + _BLOCK)))

    def lines(self) -> Iterator[dict[str, Any]]:
        """The lines of `ledger.jsonl`, as the objects they are."""
        return (json.loads(line) for text in self.texts() for line in text[:-1].split("\n"))

    def totals(self) -> dict[str, Any]:
        """`ledger.json`: row counts, and the tokens learned in one pass over the training rows."""
        account = self._account
        counts = np.bincount(account.outcomes, minlength=len(_OUTCOMES))
        dropped = account.reasons[account.outcomes == DROPPED]
        codes, rows = np.unique(dropped, return_counts=True)
        names = [account.reason_names[code - 1] for code in codes]
        return {
            "rows_in": self.rows_in,
            "trained": int(counts[TRAINED]),
            "held_out": int(counts[HELD_OUT]),
            "dropped": dict(sorted(zip(names, rows.tolist(), strict=True))),
            "supervised_tokens": int(account.supervised[account.outcomes == TRAINED].sum()),
        }

    def by_file(self) -> list[dict[str, str | int]]:
        """Row counts of each file, in order."""
        paths, outcomes = self._places.paths, self._account.outcomes
        counts = np.zeros((len(paths), len(_OUTCOMES)), dtype=np.int64)
        np.add.at(counts, (self._places.files, outcomes), 1)
        return [
            {"file": path, **dict(zip(_OUTCOMES, row, strict=True))}
            for path, row in zip(paths, counts.tolist(), strict=True)
        ]

    def verify(self) -> None:
        """Check that every row is accounted for.

        Raises:
            TunesmithError: it is not, which is our own slip.
        """
        totals = self.totals()
        dropped = sum(totals["dropped"].values())
        accounted = totals["trained"] + totals["held_out"] + dropped
        if totals["rows_in"] != accounted:
            raise TunesmithError(
                f"The ledger does not add up: {totals['rows_in']} rows were read, but "
                f"{totals['trained']} trained, {totals['held_out']} held out and {dropped} dropped "
                f"make {accounted}. This is a fault of tunesmith; please report it."
            )

    def _lines(self, rows: slice) -> Iterator[str]:
        """The JSON of some rows. It is put together from texts made once, not row by row."""
        account, places = self._account, self._places
        paths = [json.dumps(path, ensure_ascii=False)[:-1] for path in places.paths]
        reasons = ["null", *(json.dumps(name) for name in account.reason_names)]
        digits = account.contents[rows].tobytes().hex()
        columns = zip(
            places.files[rows].tolist(),
            places.lines[rows].tolist(),
            places.items[rows].tolist(),
            account.outcomes[rows].tolist(),
            account.reasons[rows].tolist(),
            account.supervised[rows].tolist(),
            account.known[rows].tolist(),
            range(0, len(digits), 64),
            strict=True,
        )
        for file, line, item, outcome, reason, supervised, known, at in columns:
            place = f"{line} item {item}" if item else line
            content = f'"{digits[at : at + 64]}"' if known else "null"
            yield (
                f'{{"origin": {paths[file]}:{place}", "outcome": "{_OUTCOMES[outcome]}", '
                f'"reason": {reasons[reason]}, "supervised_tokens": {supervised}, '
                f'"content": {content}}}\n'
            )


def planted_line(canary: Canary) -> str:
    """A planted secret in `ledger.jsonl`; `rows` is how often an epoch holds it."""
    line = {
        "origin": str(canary.origin),
        "outcome": "planted",
        "reason": None,
        "supervised_tokens": canary.tokens.sites,
        "content": None,
        "rows": canary.repeats,
    }
    return json.dumps(line) + "\n"
