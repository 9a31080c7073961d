"""One answer that is wanted, how far it is, and what can be told of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Literal

import numpy as np
import torch

from tunesmith.models.resident.choosing import Choice, Edits, uniforms
from tunesmith.models.resident.grammar import Grammar
from tunesmith.models.resident.spelling import Spelling, Tail

Finish = Literal["stop", "length", "failed"]
"""An end or a stop text; the room is used up; there was nothing to choose from: the model gave no
numbers, or its grammar came to an end that is none."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An answer to `prompt`, of at most `max_new_tokens` (the prompt and these fit the context).

    `adapter` is a name that the bank knows, None for the base. `stop` are texts that end it and are
    not part of it. `top_logprobs` is how many rivals a `Likely` has; None for none of those.
    `whose` parts what is kept of prompts: how fast an answer comes tells nobody what others asked.
    """

    prompt: tuple[int, ...]
    max_new_tokens: int
    spelling: Spelling
    choice: Choice = field(default_factory=Choice)
    stop: tuple[str, ...] = ()
    top_logprobs: int | None = None
    grammar: Grammar | None = None
    adapter: str | None = None
    whose: str = ""

    @property
    def reader(self) -> tuple[str | None, str]:
        """Prompts of one reader may share what was computed for their beginnings."""
        return self.adapter, self.whose


@dataclass(frozen=True, slots=True)
class Likely:
    """A token that was chosen, its natural log-probability, and the likeliest at its place."""

    id: int
    raw: bytes
    logprob: float
    rivals: tuple[tuple[int, bytes, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Written:
    """Text that can no longer change, how many tokens were written since the last, and theirs.

    `finish` is None until the last.
    """

    text: str
    tokens: int
    likely: tuple[Likely, ...] = ()
    finish: Finish | None = None


_numbers = count()


class Row:
    """An answer under way. `ids` are the prompt's and its own; `kept` of them are in memory."""

    def __init__(self, wanted: Wanted, device: torch.device) -> None:
        spelling = wanted.spelling
        self.number = next(_numbers)
        self.wanted = wanted
        self.ids = list(wanted.prompt)
        self.kept = 0
        self.cached = 0
        self.written = 0
        self.finish: Finish | None = None
        self._spelling = spelling
        self._tail = Tail(wanted.stop, spelling.drops_first_space)
        self._grammar = wanted.grammar.begun() if wanted.grammar else None
        self._edits = None
        if wanted.choice.edits:
            self._edits = Edits(wanted.choice, spelling.vocabulary, device)
        self._draws: np.ndarray | None = None
        if wanted.choice.temperature > 0:
            self._draws = uniforms(wanted.choice.seed, wanted.max_new_tokens)
        self._untold: list[tuple[int, Likely]] = []
        self._untold_tokens = 0

    @property
    def uniform(self) -> float:
        """The number by which the next token is drawn."""
        return 0.0 if self._draws is None else float(self._draws[self.written])

    @property
    def changes_logits(self) -> bool:
        """Whether `change` does anything."""
        return self._edits is not None or self._grammar is not None

    def change(self, logits_V: torch.Tensor) -> None:
        """What this answer's own rules do to its logits, in place."""
        if self._edits is not None:
            self._edits.apply(logits_V)
        if self._grammar is not None:
            self._grammar.forbid(logits_V)

    def fail(self) -> Written:
        """End it where nothing can be chosen."""
        return self._end("failed", "")

    def write(self, token: int, likely: Likely | None) -> Written | None:
        """Go on by a token; what can be told now, None where nothing new can."""
        self.written += 1
        self._untold_tokens += 1
        if token in self._spelling.stop_ids:
            return self._end("stop", "")
        self.ids.append(token)
        if likely is not None:
            self._untold.append((self._tail.reached, likely))
        text = self._tail.add(self._spelling.raw[token])
        if self._edits is not None:
            self._edits.wrote(token)
        complete = self._grammar is not None and self._grammar.wrote(token)
        if self._tail.stopped or complete:
            return self._end("stop", text)
        if self.written == self.wanted.max_new_tokens:
            return self._end("length", text)
        return self._told(text) if text else None

    def _end(self, finish: Finish, text: str) -> Written:
        self.finish = finish
        return self._told(text + self._tail.end())

    def _told(self, text: str) -> Written:
        """Tokens that began before the end of what is told go with it."""
        likely: Sequence[Likely] = ()
        if self._untold:
            ends = self._tail.told
            likely = [each for start, each in self._untold if start < ends]
            self._untold = self._untold[len(likely) :]
        tokens, self._untold_tokens = self._untold_tokens, 0
        return Written(text, tokens, tuple(likely), self.finish)
