"""Which tokens may come next, where an answer has to follow a JSON schema (by llguidance)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from llguidance import LLMatcher
from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask

from tunesmith.core.errors import Unsupported
from tunesmith.models.resident.spelling import Spelling

_ANY_OBJECT = {"type": "object"}

# Compact but for one space: as the models that are tuned have mostly seen JSON.
_WRITTEN = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


def compiled(schema: Mapping[str, Any] | Literal[True], spelling: Spelling) -> str:
    """The grammar of a JSON schema, or of any object.

    Raises Unsupported for a schema that cannot be kept to.
    """
    wanted = _ANY_OBJECT if schema is True else dict(schema)
    try:
        grammar = LLMatcher.grammar_from_json_schema(
            json.dumps(wanted),
            overrides=_WRITTEN,  # type: ignore[arg-type]  # a part of them is enough
        )
    except ValueError as error:
        raise _refused(str(error)) from error
    if wrong := LLMatcher.validate_grammar(grammar, spelling.tokens):
        raise _refused(wrong)
    return grammar


def _refused(reason: str) -> Unsupported:
    said = reason.strip().splitlines()[0].rstrip(".")
    return Unsupported(
        f"The JSON schema cannot be kept to: {said}. Leave out what is named, or simplify it."
    )


class Grammar:
    """Where one answer stands in its grammar."""

    def __init__(self, grammar: str, spelling: Spelling) -> None:
        self._matcher = LLMatcher(spelling.tokens, grammar)
        self._bits = allocate_token_bitmask(1, spelling.tokens.vocab_size)

    def forbid(self, logits_V: torch.Tensor) -> None:
        """Take away, in place, the tokens that may not come next."""
        fill_next_token_bitmask(self._matcher, self._bits, 0)
        allowed = np.unpackbits(self._bits[0].view(np.uint8), bitorder="little")[: len(logits_V)]
        logits_V.masked_fill_(torch.from_numpy(allowed == 0).to(logits_V.device), -torch.inf)

    def wrote(self, token: int) -> bool:
        """Go on by a token that was allowed; whether the answer is complete with it."""
        self._matcher.consume_token(token)
        return bool(self._matcher.is_stopped())
