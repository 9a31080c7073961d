"""The act `data convert --agent`: exported chat logs to conversations, each message accounted for.

No torch.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunesmith.core.errors import DataError, TunesmithError
from tunesmith.core.files import require_new, write_jsonl, write_texts
from tunesmith.core.records import Chat, Message
from tunesmith.data.formats.logs import Columns
from tunesmith.data.formats.write import WRITERS
from tunesmith.data.logs import (
    Conversation,
    Grouped,
    NotUsed,
    Said,
    group,
    messages_of,
    require_known,
)
from tunesmith.data.sources import expand, require_distinct, require_readable, rows_of

_NAMED = 5


@dataclass(slots=True)
class ConvertedLog:
    """What became of a log's messages: messages = trained + context + Σ left_out.

    `conversations` were written, in which `merged` messages went on the one before them. `ledger`
    lists every message. `recognised` says of each file how it was read, `first` are the sentences
    about the first messages that were left out.
    """

    ledger: Path
    messages: int = 0
    conversations: int = 0
    trained: int = 0
    context: int = 0
    merged: int = 0
    branched: bool = False
    left_out: Counter[str] = field(default_factory=Counter)
    recognised: list[str] = field(default_factory=list)
    first: list[str] = field(default_factory=list)

    def leave_out(self, place: str, reason: str, sentence: str) -> dict[str, Any]:
        """Count a message that is in no conversation; returns its line of the ledger."""
        self.left_out[reason] += 1
        if sentence and len(self.first) < _NAMED:
            self.first.append(f"{place}: {sentence}")
        return _entry(place, "dropped", reason, ())

    def verify(self) -> None:
        """Raises TunesmithError, our own slip, if a message is not accounted for."""
        accounted = self.trained + self.context + self.left_out.total()
        if accounted != self.messages:
            raise TunesmithError(
                f"The account of the log does not add up: {self.messages} messages were read, and "
                f"{accounted} accounted for. This is a fault of tunesmith; please report it."
            )


def convert_log(
    files: Sequence[str],
    out: Path,
    form: str,
    agents: Sequence[str],
    *,
    skipped: Sequence[str] = (),
    mapping: Mapping[str, str] | None = None,
) -> ConvertedLog:
    """Write the conversations of chat logs to `out` as JSON lines, and `out`.ledger.jsonl.

    Both files appear whole or not at all. Rows have a field `conversation_id` beside their format.

    Args:
        files: the logs, one row a message or with replies nested in each other.
        out: a new file.
        form: a name in `formats.write.WRITERS`, of a format that holds chats.
        agents: names of authors, or of their roles, whose messages are learned.
        skipped: names whose messages are left out.
        mapping: fields that are read under another name.

    Raises:
        DataError: the format holds no chats, `out` exists, a file cannot be read, a name is
            nobody's, or no conversation is left.
        StorageError: the disk refuses.
    """
    _require_chats(form)
    converted = ConvertedLog(ledger_of(out))
    for path in (out, converted.ledger):
        require_new(path, "the conversations")
    files = expand(files).files
    require_distinct(files)
    require_readable(files)
    read = [*_read(files, mapping or {}, converted)]
    said = [each for each in read if isinstance(each, Said)]
    require_known(said, [*agents, *skipped])
    grouped = group(said, agents, skipped)
    converted.branched = grouped.branched
    rows = _rows(grouped, form, converted)
    ledger = [*_ledger(read, grouped, rows, converted)]
    converted.verify()
    if not rows:
        raise DataError(_nothing(converted))
    write_texts(out, (json.dumps(row, ensure_ascii=False) + "\n" for _, row in rows))
    write_jsonl(converted.ledger, ledger)
    return converted


def _require_chats(form: str) -> None:
    shortest = Chat((Message("user", "?"), Message("assistant", "!")))
    chats = [name for name, write in WRITERS.items() if write(shortest) is not None]
    if form not in chats:
        raise DataError(
            f"A chat log becomes conversations, which the format {form} cannot hold; formats that "
            f"can are {', '.join(chats)}."
        )


def ledger_of(out: Path) -> Path:
    """Where every message of a log is listed."""
    return out.with_name(f"{out.name}.ledger.jsonl")


Written = list[tuple[Conversation, dict[str, Any]]]


def _read(
    files: Sequence[str], mapping: Mapping[str, str], converted: ConvertedLog
) -> Iterator[Said | NotUsed]:
    for path in files:
        kinds: Counter[Columns] = Counter()
        for row in rows_of(path):
            for message, columns in messages_of(row, mapping):
                converted.messages += 1
                kinds[columns] += 1
                yield message
        converted.recognised += [
            f"{path}: {count:,} messages, read by {_told(columns)}."
            for columns, count in kinds.most_common()
        ]


def _told(columns: Columns) -> str:
    """`author from "sender", text from "body"`."""
    named = ", ".join(f'{part} from "{name}"' for part, name in columns.named())
    return named or "no field that is known"


def _rows(grouped: Grouped, form: str, converted: ConvertedLog) -> Written:
    """The rows of the conversations; those that the format cannot hold are left out."""
    rows: Written = []
    for conversation in grouped.conversations:
        fields = WRITERS[form](_chat(conversation))
        numbers = [number for turn in conversation.turns for number in turn.messages]
        if fields is None:
            grouped.left_out.update(dict.fromkeys(numbers, "cannot_hold"))
            grouped.sentences[numbers[0]] = (
                f"The conversation that begins here has more than the format {form} can hold."
            )
            continue
        rows.append((conversation, {**fields, "conversation_id": conversation.id}))
        converted.merged += len(numbers) - len(conversation.turns)
    converted.conversations = len(rows)
    return rows


def _chat(conversation: Conversation) -> Chat:
    return Chat(
        tuple(
            Message("assistant", turn.text, weight=1 if turn.learned else 0)
            if turn.agent
            else Message("user", turn.text)
            for turn in conversation.turns
        )
    )


def _ledger(
    read: Sequence[Said | NotUsed], grouped: Grouped, rows: Written, converted: ConvertedLog
) -> Iterator[dict[str, Any]]:
    """One line a message, in the order of the log; counts them, too."""
    lines, learned = _where(rows)
    number = -1
    for message in read:
        if isinstance(message, NotUsed):
            yield converted.leave_out(message.place, message.reason, message.sentence)
            continue
        number += 1
        if number not in lines:
            sentence = grouped.sentences.get(number, "")
            yield converted.leave_out(message.place, grouped.left_out[number], sentence)
            continue
        converted.trained += number in learned
        converted.context += number not in learned
        outcome = "trained" if number in learned else "context"
        yield _entry(message.place, outcome, None, lines[number])


def _where(rows: Written) -> tuple[dict[int, list[int]], set[int]]:
    """The lines that each message is written to, and the messages that are learned there."""
    lines: dict[int, list[int]] = {}
    learned: set[int] = set()
    for line, (conversation, _) in enumerate(rows, start=1):
        for turn in conversation.turns:
            learned.update(turn.messages if turn.learned else ())
            for number in turn.messages:
                lines.setdefault(number, []).append(line)
    return lines, learned


def _entry(place: str, outcome: str, reason: str | None, lines: Sequence[int]) -> dict[str, Any]:
    return {"origin": place, "outcome": outcome, "reason": reason, "lines": [*lines]}


def _nothing(converted: ConvertedLog) -> str:
    counts = ", ".join(f"{reason} {n:,}" for reason, n in converted.left_out.most_common())
    first = "".join(f"\n{sentence}" for sentence in converted.first[:1])
    return (
        f"No conversation with an agent's answer is in the log: of {converted.messages:,} messages "
        f"all were left out ({counts}). Check who --agent names.{first}"
    )
