"""The account of every input row: trained, held out, or dropped and why."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

from tunesmith.core.errors import TunesmithError
from tunesmith.core.records import Origin

Outcome = Literal["trained", "held_out", "dropped"]


@dataclass(frozen=True, slots=True)
class Entry:
    """What became of one row. `reason` is set for dropped rows only; `supervised_tokens` is how
    many of its tokens are predicted (0 for dropped rows). `content` is the `split.content_hash` by
    which the same row is known again without its file; None if the row could not be understood."""

    origin: Origin
    outcome: Outcome
    reason: str | None = None
    supervised_tokens: int = 0
    content: str | None = None

    def line(self) -> dict[str, Any]:
        """The entry as one line of `ledger.jsonl`."""
        return {
            "origin": str(self.origin),
            "outcome": self.outcome,
            "reason": self.reason,
            "supervised_tokens": self.supervised_tokens,
            "content": self.content,
        }


class Ledger:
    """Entries in the order of the input rows, and their totals.

    `rows_in` is counted where the files are read, independently of the entries, so that a row
    lost on the way is noticed.
    """

    def __init__(self, rows_in: int, entries: list[Entry]) -> None:
        self.rows_in = rows_in
        self.entries = entries

    def lines(self) -> list[dict[str, Any]]:
        """The lines of `ledger.jsonl`."""
        return [entry.line() for entry in self.entries]

    def totals(self) -> dict[str, Any]:
        """`ledger.json`: row counts, and the tokens learned in one pass over the training rows."""
        outcomes = Counter(entry.outcome for entry in self.entries)
        dropped = Counter(e.reason or "unknown" for e in self.entries if e.outcome == "dropped")
        return {
            "rows_in": self.rows_in,
            "trained": outcomes["trained"],
            "held_out": outcomes["held_out"],
            "dropped": dict(sorted(dropped.items())),
            "supervised_tokens": sum(
                entry.supervised_tokens for entry in self.entries if entry.outcome == "trained"
            ),
        }

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
