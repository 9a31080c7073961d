"""Write Anvil's pre-training corpus: train.jsonl, heldout.jsonl and corpus.json.

Usage: python -m tools.anvil.corpus --shared ../shared/data --out DIR

Needs DIR/tokenizer (tools.anvil.tokenizer). A row is {"source", "text"} or {"source", "messages"}.

The order of train.jsonl is part of the design and must not be shuffled again. It is shuffled
within two parts: the first three quarters of the tokens are mostly classic books; the last
quarter, trained while the learning rate falls, holds twice the share of dialogues, drills and
textbooks, so that the model ends close to the kind of text it will be tuned on.

Held out are whole books, whole textbook modules and whole dialogues, never a part of something
trained on. The service dialogues are written from a limited set of schemas, so held-out dialogues
resemble trained ones; held-out books do not.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from tools.anvil.cleaning import Message, book_passages
from tools.anvil.drills import generate
from tools.anvil.sources import read_books, read_dialogues, read_textbooks
from tools.anvil.tokenizer import END, render_chat

DRILL_SHARE = 0.03
LATE_TOKENS = 0.25  # the part trained at a falling learning rate
LATE_SHARE = 0.4  # of the dialogues, drills and textbooks; the share of books follows
HELDOUT_BOOKS = 0.015
HELDOUT_TOKENS = {"books": 150_000, "textbooks": 60_000, "dialogues": 90_000}
_BATCH = 2000


@dataclass(frozen=True)
class Row:
    """One document or chat, with its length in tokens (end tokens included)."""

    source: str
    content: str | list[Message]
    tokens: int

    @property
    def text(self) -> str:
        """The text the model is trained on, chat tokens included."""
        return row_text(self.as_json())

    def as_json(self) -> dict[str, Any]:
        """The row as written to the file."""
        key = "text" if isinstance(self.content, str) else "messages"
        return {"source": self.source, key: self.content}


@dataclass
class Split:
    """Rows for training, rows held out."""

    train: list[Row] = field(default_factory=list)
    heldout: list[Row] = field(default_factory=list)


def row_text(row: Mapping[str, Any]) -> str:
    """A row's text as the model sees it: a rendered chat, or a document and its end token."""
    if "messages" in row:
        return render_chat(row["messages"])
    return f"{row['text']}{END}"


def measure(
    tokenizer: PreTrainedTokenizerBase, source: str, contents: Iterable[str | list[Message]]
) -> Iterator[Row]:
    """Rows of `contents` with their token counts, encoded in batches."""
    pending = iter(contents)
    while batch := list(islice(pending, _BATCH)):
        texts = [c + END if isinstance(c, str) else render_chat(c) for c in batch]
        encodings = tokenizer.backend_tokenizer.encode_batch(texts, add_special_tokens=False)
        for content, encoding in zip(batch, encodings, strict=True):
            yield Row(source, content, len(encoding.ids))


def take(rows: Iterable[Row], tokens: int) -> list[Row]:
    """The first rows that hold at least `tokens` tokens (all of them if there are fewer)."""
    taken: list[Row] = []
    for row in rows:
        if tokens <= 0:
            break
        tokens -= row.tokens
        taken.append(row)
    return taken


def split_groups(
    tokenizer: PreTrainedTokenizerBase,
    source: str,
    groups: Sequence[Sequence[str | list[Message]]],
    rng: random.Random,
) -> Split:
    """Hold out whole groups (modules, dialogues) until `HELDOUT_TOKENS[source]` is reached."""
    groups = list(groups)
    rng.shuffle(groups)
    split, wanted = Split(), HELDOUT_TOKENS[source]
    rows = measure(tokenizer, source, (item for group in groups for item in group))
    for group in groups:
        side = split.heldout if wanted > 0 else split.train
        members = list(islice(rows, len(group)))
        wanted -= sum(row.tokens for row in members)
        side += members
    return split


def without_repeats(passages: Iterable[str], seen: set[int]) -> list[str]:
    """Passages none of whose longer paragraphs is in `seen`; theirs are added to it.

    A story printed in two collections is so kept once, and never both held out and trained on.
    """
    kept = []
    for passage in passages:
        marks = {hash(p) for p in passage.split("\n\n") if len(p) >= 150}
        if seen.isdisjoint(marks):
            kept.append(passage)
        seen |= marks
    return kept


def split_books(
    tokenizer: PreTrainedTokenizerBase, shared: Path, tokens: int, rng: random.Random
) -> Split:
    """About `tokens` tokens of training passages, evenly from all books but the held-out ones.

    A held-out book's other passages are thrown away, as are those of books with the same author
    and title (several editions or volumes of one work).
    """
    passages = {(b.author, b.title): book_passages(b.text) for b in read_books(shared)}
    titles = sorted(key for key, found in passages.items() if len(found) >= 10)
    heldout = set(rng.sample(titles, round(HELDOUT_BOOKS * len(titles))))
    seen: set[int] = set()
    held = without_repeats((p for key in sorted(heldout) for p in passages[key]), seen)
    pool = without_repeats((p for k in titles if k not in heldout for p in passages[k]), seen)
    rng.shuffle(pool)
    rng.shuffle(held)
    return Split(
        take(measure(tokenizer, "books", pool), tokens),
        take(measure(tokenizer, "books", held), HELDOUT_TOKENS["books"]),
    )


def arrange(rows: list[Row], rng: random.Random) -> list[Row]:
    """Order the training rows: a book-rich first part and a last quarter rich in the rest."""
    late_tokens = LATE_TOKENS * sum(row.tokens for row in rows)
    rows = rng.sample(rows, len(rows))
    books = [row for row in rows if row.source == "books"]
    others = [row for row in rows if row.source != "books"]
    late = take(others, int(LATE_SHARE * sum(row.tokens for row in others)))
    early = others[len(late) :]
    late_books = take(books, int(late_tokens - sum(row.tokens for row in late)))
    early += books[len(late_books) :]
    late += late_books
    rng.shuffle(early)
    rng.shuffle(late)
    return early + late


def counts(rows: list[Row]) -> dict[str, dict[str, int]]:
    """Rows, UTF-8 bytes and tokens per source and in total."""
    table: dict[str, dict[str, int]] = {}
    for row in rows:
        size = len(row.text.encode())
        for source in (row.source, "total"):
            cell = table.setdefault(source, {"rows": 0, "bytes": 0, "tokens": 0})
            cell["rows"] += 1
            cell["bytes"] += size
            cell["tokens"] += row.tokens
    return table


def build(shared: Path, tokenizer: PreTrainedTokenizerBase, tokens: int, seed: int) -> Split:
    """The whole corpus of about `tokens` training tokens; books fill what the others leave."""
    rng = random.Random(seed)
    corpus = split_groups(tokenizer, "textbooks", read_textbooks(shared), rng)
    dialogues = [[chat] for chat in read_dialogues(shared)]
    chats = split_groups(tokenizer, "dialogues", dialogues, rng)
    drills = measure(tokenizer, "drills", (drill.messages for drill in generate(seed)))
    corpus.train += chats.train + take(drills, int(DRILL_SHARE * tokens))
    books = split_books(tokenizer, shared, tokens - sum(row.tokens for row in corpus.train), rng)
    heldout = corpus.heldout + chats.heldout + books.heldout
    return Split(arrange(corpus.train + books.train, rng), rng.sample(heldout, len(heldout)))


def main() -> None:
    """Parse the arguments, build and write the three files."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--shared", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--out", type=Path, required=True, help="folder with `tokenizer` in it")
    parser.add_argument("--tokens", type=int, default=35_000_000, help="training tokens")
    parser.add_argument("--seed", type=int, default=17)
    args = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(args.out / "tokenizer")
    corpus = build(args.shared, tokenizer, args.tokens, args.seed)
    for name, rows in (("train", corpus.train), ("heldout", corpus.heldout)):
        with open(args.out / f"{name}.jsonl", "w", encoding="utf-8") as file:
            file.writelines(json.dumps(r.as_json(), ensure_ascii=False) + "\n" for r in rows)
    summary = {
        "seed": args.seed,
        "train": counts(corpus.train),
        "heldout": counts(corpus.heldout),
    }
    text = json.dumps(summary, indent=2)
    (args.out / "corpus.json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
