"""The tokenizer as this room uses it: never a special token that was not asked for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from tunesmith.core.errors import DataError

_ANCHORS = ("\n", "a", ".")

_SHORTEST_SPELLED = 3
"""Characters from which a special token's name is taken for one where a text spells it. Shorter
ones are marks of ordinary text that some tokenizers declare special, such as a line end or "!" as
padding; to refuse each row that holds one would refuse the data."""


def adds_start(tokenizer: Any) -> bool:
    """Whether the tokenizer puts its start token before a plain text of its own accord."""
    ids = tokenizer("a", verbose=False)["input_ids"]
    bare = tokenizer("a", add_special_tokens=False, verbose=False)["input_ids"]
    return (
        tokenizer.bos_token_id is not None
        and ids[:1] == [tokenizer.bos_token_id]
        and bare[:1] != ids[:1]
    )


class Encoder:
    """Text to token ids, for whole texts and for the continuation of one.

    `start` is the start token id if the tokenizer adds one to plain text, else None; `specials`
    are the ids of all special tokens.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.start: int | None = tokenizer.bos_token_id if adds_start(tokenizer) else None
        added = tokenizer.added_tokens_decoder
        flagged = {int(i) for i, token in added.items() if token.special}
        self.specials = frozenset(flagged | set(tokenizer.all_special_ids))
        names = sorted(tokenizer.convert_ids_to_tokens(list(self.specials)), key=len, reverse=True)
        self._special_text = _any_of(names)
        self._spelled = _any_of([name for name in names if len(name) >= _SHORTEST_SPELLED])
        self._prepends = self.ids("\na")[len(self.ids("\n")) :] != self.ids("a")

    @property
    def end(self) -> int:
        """The end-of-sequence token id.

        Raises:
            DataError: the tokenizer has none.
        """
        if self.tokenizer.eos_token_id is None:
            raise DataError(
                "The base's tokenizer has no end-of-sequence token, so a text could never end. "
                "Set eos_token in its tokenizer_config.json, or train chats with a template."
            )
        return int(self.tokenizer.eos_token_id)

    def encodings(self, texts: Sequence[str], *, offsets: bool = False) -> list[Any]:
        """One `tokenizers.Encoding` a text, without added special tokens.

        This is what the tokenizer's own call makes, without the Python lists it makes of it. With
        `offsets` the encodings know where in the text each token stands.
        """
        backend = self.tokenizer.backend_tokenizer
        backend.no_truncation()
        backend.no_padding()
        encode = backend.encode_batch if offsets else backend.encode_batch_fast
        return list(encode(list(texts), add_special_tokens=False))

    def whole(self, text: str) -> np.ndarray:
        """Ids of a text that begins a sequence (int32)."""
        return np.array(self.ids(text), dtype=np.int32)

    def continuation(self, text: str) -> np.ndarray:
        """Ids of a text that goes on after other tokens (int32).

        Tokenizers of the SentencePiece family put a space before every text they are given; behind
        other tokens that space would be one the text does not have.
        """
        if not self._prepends:
            return self.whole(text)
        for anchor in _ANCHORS:
            alone, joined = self.ids(anchor), self.ids(anchor + text)
            if joined[: len(alone)] == alone:
                return np.array(joined[len(alone) :], dtype=np.int32)
        return self.whole(text)

    def byte_length(self, text: str) -> int:
        """UTF-8 bytes of a text, the names of special tokens in it not counted."""
        return len(self.bare(text).encode())

    def bare(self, text: str) -> str:
        """A text without the names of special tokens in it."""
        return self._special_text.sub("", text)

    def special_in(self, text: str) -> str | None:
        """The first special token that a text spells by name, or None.

        The tokenizer would read it as the token, not as those characters.
        """
        found = self._spelled.search(text)
        return None if found is None else found[0]

    def ids(self, text: str) -> list[int]:
        """Ids of a text, without added special tokens."""
        ids: list[int] = self.encodings([text])[0].ids
        return ids


def _any_of(names: Sequence[str]) -> re.Pattern[str]:
    """Matches any of the names, the earlier first; nothing if there are none."""
    return re.compile("|".join(map(re.escape, names)) or r"(?!)")
