"""One answer that is wanted of one model, and the pieces in which it comes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from tunesmith.serve.chat.counts import Counts
from tunesmith.serve.jobs.work import Kind


@dataclass(frozen=True, slots=True)
class Model:
    """What answers to a name, as `chat.names` found it for a caller who may ask it.

    `base` is a name of `settings.bases`. `folder` is what was tuned over it, as
    `runs.open.open_run` takes it (recipe.yaml beside adapter/ or model/); None for the base.
    """

    id: str
    base: str
    kind: Kind = "chat"
    folder: Path | None = None


@dataclass(frozen=True, slots=True)
class Generation:
    """What to write: `prompt_ids` is the prompt as `model` was trained to read it.

    `stop` are texts that end the answer and are not part of it. `top_logprobs` None gives no
    log-probabilities, 0 those of the tokens chosen, n those of the n likeliest beside them.
    `schema` is a JSON schema, or True for any JSON object, that the answer must follow; the
    grammar is the engine's matter. `logit_bias` adds to logits by token id. `key` is whose turn
    it is counted as, so that one client cannot crowd out the others, and only prompts of one
    `project` share what was computed for their beginnings.
    """

    model: Model
    prompt_ids: tuple[int, ...]
    max_new_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    top_logprobs: int | None = None
    schema: Mapping[str, Any] | Literal[True] | None = None
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    key: str = ""
    project: str = ""


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token that was chosen: its bytes, its natural log-probability, and its rivals'."""

    id: int
    raw: bytes
    logprob: float
    rivals: tuple[tuple[int, bytes, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """Text that can no longer change, and the tokens it came of.

    `finish` is None until the last piece: "stop" for an end or a stop text, "length" where
    the room was used up. `cached_tokens` of the `prompt_tokens` had been computed before.
    """

    text: str
    tokens: int
    logprobs: tuple[TokenLogprob, ...] = ()
    finish: Literal["stop", "length"] | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0


class Engine(Protocol):
    """What writes answers. One for a service; shared by all requests."""

    def generate(self, asked: Generation) -> AsyncGenerator[Piece, None]:
        """The pieces of one answer, as they are written; closing the iterator ends the writing.

        Raises ApiError: a model that cannot be opened, a prompt longer than the context, a queue
        that is full.
        """
        ...

    def counts(self) -> Counts:
        """What has been done here so far, and what is held now."""
        ...

    def close(self) -> None:
        """End what is under way and give all memory back."""
        ...
