"""What is trained, made visible: the text of an example, cut where learning begins and ends."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from tunesmith.core.records import Tokens

_CUT_CHARACTER = "\ufffd"


def show(tokens: Tokens, tokenizer: Any) -> list[tuple[str, bool]]:
    """The example as stretches of text, each with whether it is learned.

    Special tokens are shown by name. A character spelled by several tokens is never torn: it
    belongs to the token that completes it. The first token is never learned.
    """
    runs = groupby(_spelled(tokens, tokenizer), key=lambda piece: piece[1])
    return [("".join(text for text, _ in run), learned) for learned, run in runs]


def _spelled(tokens: Tokens, tokenizer: Any) -> Iterator[tuple[str, bool]]:
    """One piece of text for each token that completes one.

    A token is decoded behind the piece before it, because decoders drop the space at the start of
    a text.
    """
    ids = tokens.ids_N.tolist()
    before, read = 0, 0
    for end in range(1, len(ids) + 1):
        known = _decode(tokenizer, ids[before:read])
        text = _decode(tokenizer, ids[before:end])[len(known) :]
        if text.endswith(_CUT_CHARACTER) and end < len(ids):
            continue
        yield text, end > 1 and bool(tokens.weights_N[end - 1] > 0)
        before, read = read, end


def _decode(tokenizer: Any, ids: list[int]) -> str:
    text = tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return str(text)
