"""What an endpoint answered, as rows to train on: what can be learned, and what is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunesmith.core.errors import DataError
from tunesmith.core.files import write_jsonl
from tunesmith.core.records import Chat, Message, Reply
from tunesmith.data.formats.rows import PROVENANCE
from tunesmith.data.formats.write import chat
from tunesmith.data.questions import Question

_NAMED = 5

_ENDED = (None, "stop", "eos", "end_turn")
"""How an answer ends that is whole; endpoints that say nothing of it are believed."""

_UNUSED = {
    "length": ("cut_off", "The answer was cut off. Allow longer ones with --max-tokens."),
    "content_filter": ("refused", "The endpoint's filter withheld the answer."),
    "refusal": ("refused", "The model refused to answer."),
    "tool_calls": ("tools", "The model called a tool instead of answering."),
}


@dataclass(frozen=True, slots=True)
class Source:
    """A row that came in: its question, or why it has none."""

    origin: str
    question: Question | None
    reason: str = ""
    sentence: str = ""


@dataclass(slots=True)
class Distilled:
    """The rows of `out`: how many were `written`, and those left out, counted by reason.

    `notes` are what should be known of the files, `first` the sentences about the first rows that
    were left out.
    """

    out: Path
    rows_in: int = 0
    written: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    first: list[str] = field(default_factory=list)

    def write(
        self,
        sources: Sequence[Source],
        replies: Mapping[Question, Reply],
        provenance: Mapping[str, Any],
    ) -> None:
        """Write ledger and rows, each whole or not at all.

        Raises DataError, and writes nothing, if there is no row to write.
        """
        rows: list[dict[str, Any]] = []
        ledger = [self._line(source, replies, provenance, rows) for source in sources]
        self.rows_in, self.written = len(sources), len(rows)
        if not rows:
            raise DataError(
                f"No answer can be learned ({self._counts()}); all replies are kept in "
                f"{replies_of(self.out)}. {self.first[0]}"
            )
        write_jsonl(ledger_of(self.out), ledger)
        try:
            write_jsonl(self.out, rows)
        except BaseException:
            ledger_of(self.out).unlink()
            raise

    def reasons(self, sources: Iterable[Source]) -> str:
        """How many rows ask nothing, by reason, and what the first of them is told."""
        for source in sources:
            self._leave_out(source.origin, source.reason, source.sentence)
        return f"{self._counts()}. {self.first[0]}" if self.first else "there are none"

    def _line(
        self,
        source: Source,
        replies: Mapping[Question, Reply],
        provenance: Mapping[str, Any],
        rows: list[dict[str, Any]],
    ) -> dict[str, Any]:
        """The ledger's line of one row, which is added to `rows` if it can be learned."""
        if source.question is None:
            return self._leave_out(source.origin, source.reason, source.sentence)
        reply = replies[source.question]
        if unused := _unused(reply):
            return self._leave_out(source.origin, *unused)
        rows.append(_row(source, reply, provenance))
        return {"origin": source.origin, "outcome": "written", "reason": None, "line": len(rows)}

    def _leave_out(self, origin: str, reason: str, sentence: str) -> dict[str, Any]:
        self.left_out[reason] += 1
        if len(self.first) < _NAMED:
            self.first.append(f"{origin}: {sentence}")
        return {"origin": origin, "outcome": "left_out", "reason": reason, "line": None}

    def _counts(self) -> str:
        return ", ".join(f"{reason} {rows:,}" for reason, rows in self.left_out.most_common())


def ledger_of(out: Path) -> Path:
    """Where every row that came in is listed."""
    return out.with_name(f"{out.name}.ledger.jsonl")


def replies_of(out: Path) -> Path:
    """Where replies are kept as they come."""
    return out.with_name(f"{out.name}.replies.jsonl")


def _unused(reply: Reply) -> tuple[str, str] | None:
    """Why an answer is not to be learned, as (reason, sentence); None if it is."""
    if reply.refused is not None:
        return "refused", f"The endpoint refused the request ({reply.refused})."
    if reply.finish in _UNUSED:
        return _UNUSED[reply.finish]
    if reply.finish not in _ENDED:
        return (
            "not_ended",
            f'The answer ended with "{reply.finish}", which says not that it is whole.',
        )
    if not reply.text.strip():
        return "empty", "The answer is empty."
    return None


def _row(source: Source, reply: Reply, provenance: Mapping[str, Any]) -> dict[str, Any]:
    assert source.question is not None
    said = Chat((*source.question, Message("assistant", reply.text)))
    fields = chat(said)
    assert fields is not None  # a chat can always be written as one
    return {**fields, PROVENANCE: {**provenance, "date": reply.date, "origin": source.origin}}
