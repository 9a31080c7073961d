"""Texts of which every token is learned, cut into pieces where they exceed the context."""

from __future__ import annotations

from typing import Any

import numpy as np

from tunesmith.core.records import Origin, Tokens
from tunesmith.data.encode import Encoder


def pieces(
    encoder: Encoder,
    origin: Origin,
    text: str,
    encoding: Any,
    context: int,
    *,
    delimit: bool,
) -> list[Tokens]:
    """The pieces of a document, each at most `context` tokens long (at least 2).

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
    """
    lead = [encoder.start] if delimit and encoder.start is not None else []
    ids = np.array(lead + encoding.ids, dtype=np.int32)
    if delimit and (not len(ids) or ids[-1] != encoder.end):
        ids = np.append(ids, np.int32(encoder.end))
    begins = np.append(_begins(encoding, len(lead)), [len(text)] * 2)
    return [
        _piece(encoder, origin, text, begins, ids[start : start + context], start, part)
        for part, start in enumerate(range(0, max(len(ids) - 1, 1), context - 1))
    ]


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
