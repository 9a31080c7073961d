"""Token ids to bytes, and bytes to text that can no longer change."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from llguidance import LLTokenizer
from llguidance.hf import from_tokenizer

from tunesmith.core.errors import Unsupported


class Spelling:
    """The bytes that each token id stands for in an answer: none for special tokens.

    `vocabulary` is how many ids the model has; its tokenizer may know more, or fewer.

    Raises Unsupported for a tokenizer whose tokens are not bytes laid end to end.
    """

    def __init__(self, tokenizer: Any, vocabulary: int, stop_ids: Sequence[int]) -> None:
        self._tokenizer, self.vocabulary = tokenizer, vocabulary
        self.stop_ids = frozenset(stop_ids)
        try:
            self.tokens: LLTokenizer = from_tokenizer(
                tokenizer, n_vocab=max(vocabulary, len(tokenizer)), eos_token=list(stop_ids)
            )
        except ValueError as error:
            raise Unsupported(
                f"The tokenizer of this base ({type(tokenizer).__name__}) cannot be read byte by "
                f"byte ({error}), so its answers cannot be told as they are written. Choose "
                "another base."
            ) from error

    @cached_property
    def raw(self) -> list[bytes]:
        """By id."""
        added = self._tokenizer.added_tokens_decoder
        special = {int(id) for id, token in added.items() if token.special}
        special |= {*self._tokenizer.all_special_ids, *self.stop_ids}
        return [
            b"" if id in special else self.tokens.decode_bytes([id])
            for id in range(self.tokens.vocab_size)
        ]

    def name(self, id: int) -> bytes:
        """The bytes of a token, and of a special one its name."""
        return self.raw[id] or bytes(self.tokens.decode_bytes([id]))

    @cached_property
    def drops_first_space(self) -> bool:
        """Whether the space before the first word of a text is the tokenizer's own."""
        word = next((id for id, raw in enumerate(self.raw) if raw == b" a"), None)
        return word is not None and not self._tokenizer.decode([word]).startswith(" ")


class Tail:
    """The end of an answer that is being written: what of it can be told.

    Nothing that may still become part of a stop text or of a character is told. `told` counts the
    characters that were.
    """

    def __init__(self, stops: Sequence[str], drops_first_space: bool = False) -> None:
        self._stops = [stop for stop in stops if stop]
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._first = drops_first_space
        self._held = ""
        self.told = 0
        self.stopped = False

    @property
    def reached(self) -> int:
        """How many characters are known, told or not."""
        return self.told + len(self._held)

    def add(self, raw: bytes) -> str:
        """The text that can be told now. `stopped` says that a stop text was met: nothing follows
        what was told before it."""
        text = self._decoder.decode(raw)
        if self._first and text:
            text, self._first = text.removeprefix(" "), False
        self._held += text
        if not self._stops:
            return self._tell(len(self._held))
        found = [place for stop in self._stops if (place := self._held.find(stop)) >= 0]
        if found:
            self.stopped = True
            return self._tell(min(found))
        return self._tell(len(self._held) - self._open())

    def end(self) -> str:
        """What was held back, once nothing follows; half a character is left out."""
        return "" if self.stopped else self._tell(len(self._held))

    def _open(self) -> int:
        """How many of the last characters may begin a stop text."""
        longest = max(len(stop) for stop in self._stops) - 1
        for size in range(min(longest, len(self._held)), 0, -1):
            if any(stop.startswith(self._held[-size:]) for stop in self._stops):
                return size
        return 0

    def _tell(self, size: int) -> str:
        text, self._held = self._held[:size], self._held[size:]
        self.told += size
        return text
