"""Read the three collections Anvil learns from; the folder layout is known here only."""

from __future__ import annotations

import gzip
import json
import lzma
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.anvil.cleaning import Message, dialogue_messages, textbook_sections

LAST_YEAR = 1929  # published before 1930: in the public domain


@dataclass(frozen=True)
class Book:
    """One public-domain book with its uncleaned text."""

    title: str
    author: str
    text: str


def read_books(shared: Path) -> Iterator[Book]:
    """Yield the books of up to `LAST_YEAR`, in file order."""
    with lzma.open(
        shared / "text-classic-books" / "books.jsonl.xz", "rt", encoding="utf-8"
    ) as file:
        for line in file:
            row = json.loads(line)
            if not row["year"] or int(row["year"]) <= LAST_YEAR:
                yield Book(row["title"], row["author"], row["text"])


def read_textbooks(shared: Path) -> list[list[str]]:
    """The cleaned sections of each textbook module."""
    with lzma.open(shared / "text-openstax" / "openstax.txt.xz", "rt", encoding="utf-8") as file:
        return list(textbook_sections(file.read()))


def read_dialogues(shared: Path) -> list[list[Message]]:
    """All service dialogues of train, dev and test as chats of at least one exchange."""
    chats = []
    for part in ("train", "dev", "test"):
        path = shared / "sgd-dialogues" / f"{part}.jsonl.gz"
        with gzip.open(path, "rt", encoding="utf-8") as file:
            chats += [dialogue_messages(json.loads(line)["turns"]) for line in file]
    return [chat for chat in chats if len(chat) >= 2]
