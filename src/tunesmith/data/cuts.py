"""Where special tokens cut a text, so that a beginning of it need not be tokenised a second time.

A tokenizer takes added tokens out of a text first and then tokenises each stretch between them by
itself. So the ids of a text up to such a token are the same whatever follows, and the ids of a
generation prompt are those of the conversation up to the prompt's last special token, and those of
the few characters behind it, which are the same in every row. Without this, every prompt would be
tokenised twice, and the first of ten turns ten times.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.data.encode import Encoder

_LONGEST_TAIL = 40
"""Characters behind the last special token: more is a text of the row's own, to be tokenised."""

_MOST_TAILS = 1000


@dataclass(frozen=True, slots=True)
class Cut:
    """A beginning of a text: so many special tokens, and what it has behind the last of them."""

    tokens: int
    tail: str


class Cuts:
    """Finds and uses cuts with one tokenizer.

    None are found where a tokenizer's added tokens do more than cut: where one takes in the white
    space beside it, stands for whole words only, or is looked for in the normalised text.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        added: dict[int, Any] = encoder.tokenizer.added_tokens_decoder
        normalizes = encoder.tokenizer.backend_tokenizer.normalizer is not None
        plain = not any(
            token.lstrip or token.rstrip or token.single_word or (token.normalized and normalizes)
            for token in added.values()
        )
        names = sorted((token.content for token in added.values()), key=len, reverse=True)
        pattern = "|".join(map(re.escape, names)) if plain else ""
        self._names = re.compile(pattern or r"(?!)")
        self._ids = frozenset(added)
        self._tails: dict[tuple[str, str], list[int]] = {}

    def spans(self, text: str) -> list[tuple[int, int]]:
        """From where to where each special token stands in the text, in order."""
        return [match.span() for match in self._names.finditer(text)]

    def cut(self, text: str, spans: Sequence[tuple[int, int]], beginning: str) -> Cut | None:
        """Where to cut the text whose special tokens stand at `spans`; None if nowhere."""
        length = len(beginning)
        inside = [end for _, end in spans if end <= length]
        torn = any(start < length < end for start, end in spans)
        if not inside or torn or length - inside[-1] > _LONGEST_TAIL:
            return None
        return Cut(len(inside), beginning[inside[-1] :]) if text.startswith(beginning) else None

    def ids(self, whole: Sequence[int], tokens: int, cut: Cut) -> list[int] | None:
        """The ids of the beginning, from those of the whole text, which has so many special tokens.

        None if the special tokens of the ids are not those of the text.
        """
        places = [place for place, token in enumerate(whole) if token in self._ids]
        if len(places) != tokens:
            return None
        last = places[cut.tokens - 1]
        return [*whole[: last + 1], *self._tail(int(whole[last]), cut.tail)]

    def _tail(self, token: int, tail: str) -> list[int]:
        """The ids of a text behind a special token."""
        if not tail:
            return []
        name = self._encoder.tokenizer.convert_ids_to_tokens(token)
        if (name, tail) not in self._tails:
            if len(self._tails) >= _MOST_TAILS:
                self._tails.clear()
            self._tails[name, tail] = self._encoder.ids(name + tail)[1:]
        return self._tails[name, tail]
