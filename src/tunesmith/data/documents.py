"""Texts of which every token is learned, cut into pieces where they exceed the context."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tunesmith.core.records import Origin, Tokens
from tunesmith.data.encode import Encoder
from tunesmith.data.infill import ROOM, Infilling


def pieces(
    encoder: Encoder,
    origin: Origin,
    text: str,
    encoding: Any,
    context: int,
    *,
    delimit: bool,
    infilling: Infilling | None = None,
) -> list[Tokens]:
    """The pieces of a document, each at most `context` tokens long (at least 2).

    A piece ends where a paragraph or a function does, else at the end of a line, as far as there is
    such a border in its second half: batches have no padding, so a shorter piece costs nothing.

    Each piece but the first begins with the last token of the one before, as context only, so
    that every token but the very first of the document is learned exactly once. `learned_bytes`
    of the pieces add up to the UTF-8 length of the text (less its first token where nothing
    stands before that); a character cut in two counts for the later piece.

    Args:
        encoder: the tokenizer.
        origin: file and line.
        text: the document.
        encoding: its `tokenizers.Encoding` without special tokens.
        context: tokens the model can see.
        delimit: put the start token (if the tokenizer adds one to plain text) and the end token
            around the text; off for texts whose template writes them.
        infilling: tells some pieces out of order, behind those in order (see `infill`).

    Raises Refused where the text spells a token that infilling uses.
    """
    lead = [encoder.start] if delimit and encoder.start is not None else []
    ids = np.array(lead + encoding.ids, dtype=np.int32)
    if delimit and (not len(ids) or ids[-1] != encoder.end):
        ids = np.append(ids, np.int32(encoder.end))
    begins = np.append(_begins(encoding, len(lead)), [len(text)] * 2)

    def cut(most: int) -> tuple[list[Tokens], list[str]]:
        borders = [*_cut(text, begins, len(ids), most)]
        made = [
            _piece(encoder, origin, text, begins, ids[start:end], start, part)
            for part, (start, end) in enumerate(borders)
        ]
        spans = [(begins[start + 1] if start else 0, begins[end]) for start, end in borders]
        return made, [text[first:behind] for first, behind in spans]

    in_order, _ = cut(context)
    if infilling is None or context <= 2 * ROOM:
        return in_order
    found, texts = cut(context - ROOM)
    return [*in_order, *infilling.apply(encoder, texts, found)]


def _cut(text: str, begins: np.ndarray, count: int, context: int) -> Iterator[tuple[int, int]]:
    """From which token to which each piece goes; each but the first begins one token earlier."""
    start = 0
    while start + context < count:
        end = _border(text, begins, start + max(context // 2, 1) + 1, start + context)
        yield start, end
        start = end - 1
    yield start, count


def _border(text: str, begins: np.ndarray, first: int, last: int) -> int:
    """Before which token of first to last (both included) the text is best cut; the last of them
    where all are alike."""
    best, found = 0, last
    for token in range(last, first - 1, -1):
        rank = _rank(text, int(begins[token]))
        if rank == _BEST:
            return token
        if rank > best:
            best, found = rank, token
    return found


_BEST = 3


def _rank(text: str, at: int) -> int:
    """How much of a border there is before a character: 3 a paragraph, or what stands at the margin
    behind a blank line, such as a function; 2 a blank line, as between methods; 1 a line; 0 none.
    """
    before = text[max(0, at - 2) : at]
    if not before.endswith("\n"):
        return 0
    if before != "\n\n":
        return 1
    return 2 if text[at : at + 1].isspace() else _BEST


def _begins(encoding: Any, lead: int) -> np.ndarray:
    """Where in the text each token begins, `lead` start tokens first; the first begins at 0."""
    begins = np.array([0] * lead + [start for start, _ in encoding.offsets], dtype=np.int64)
    begins[: lead + 1] = 0
    return begins


def _piece(
    encoder: Encoder,
    origin: Origin,
    text: str,
    begins: np.ndarray,
    ids_N: np.ndarray,
    start: int,
    part: int,
) -> Tokens:
    first, behind = begins[start + 1], begins[start + len(ids_N)]
    weights_N = np.ones(len(ids_N), dtype=np.float32)
    weights_N[:1] = 0
    return Tokens(origin, ids_N, weights_N, encoder.byte_length(text[first:behind]), part)
