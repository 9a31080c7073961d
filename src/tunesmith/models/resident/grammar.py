"""Which tokens may come next, where an answer has to follow a JSON schema (by llguidance)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import torch
from llguidance import LLMatcher
from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask

from tunesmith.core.errors import Unsupported
from tunesmith.models.resident.spelling import Spelling

LONGEST = 32_000
"""Characters of a schema: much longer ones take seconds to be read."""

_ANY_OBJECT = {"type": "object"}

# Compact but for one space: as the models that are tuned have mostly seen JSON.
_WRITTEN = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


def compiled(schema: Mapping[str, Any] | Literal[True], spelling: Spelling) -> Grammar:
    """The grammar of a JSON schema, or of any object, at its beginning.

    This may take a second: it is no work for the thread that writes. Raises Unsupported for a
    schema that cannot be kept to, or is longer than `LONGEST`.
    """
    text = json.dumps(_ANY_OBJECT if schema is True else schema)
    if len(text) > LONGEST:
        raise _refused(f"it has {len(text):,} characters, and {LONGEST:,} are the most")
    return Grammar(_matcher(text, spelling), spelling.tokens.vocab_size)


@lru_cache(maxsize=64)
def _matcher(schema: str, spelling: Spelling) -> LLMatcher:
    """Kept, as many answers are asked for with one schema; to be copied, never moved on."""
    try:
        grammar = LLMatcher.grammar_from_json_schema(
            schema,
            overrides=_WRITTEN,  # type: ignore[arg-type]  # a part of them is enough
        )
    except ValueError as error:
        raise _refused(str(error)) from error
    if wrong := LLMatcher.validate_grammar(grammar, spelling.tokens):
        raise _refused(wrong)
    return LLMatcher(spelling.tokens, grammar, log_level=0)


def _refused(reason: str) -> Unsupported:
    said = reason.strip().splitlines()[0].rstrip(".")
    return Unsupported(
        f"The JSON schema cannot be kept to: {said}. Leave out what is named, or simplify it."
    )


class Grammar:
    """Where one answer stands in its grammar."""

    def __init__(self, matcher: LLMatcher, vocabulary: int) -> None:
        self._matcher = matcher.deep_copy()
        self._vocabulary = vocabulary
        self._bits = allocate_token_bitmask(1, vocabulary)

    def begun(self) -> Grammar:
        """One for another answer."""
        return Grammar(self._matcher, self._vocabulary)

    def forbid(self, logits_V: torch.Tensor) -> None:
        """Take away, in place, what may not come next: all tokens, where the grammar gave up."""
        fill_next_token_bitmask(self._matcher, self._bits, 0)
        if self._matcher.is_error():
            logits_V.fill_(-torch.inf)
            return
        allowed = np.unpackbits(self._bits[0].view(np.uint8), bitorder="little")[: len(logits_V)]
        logits_V.masked_fill_(torch.from_numpy(allowed == 0).to(logits_V.device), -torch.inf)

    def wrote(self, token: int) -> bool:
        """Go on by a token that was allowed; whether the answer is complete with it."""
        self._matcher.consume_token(token)
        return bool(self._matcher.is_stopped() and not self._matcher.is_error())
