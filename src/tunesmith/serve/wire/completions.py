"""/v1/completions: a text that is gone on with as it stands, without a template."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tunesmith.serve.wire.base import Answer
from tunesmith.serve.wire.completion import Usage
from tunesmith.serve.wire.sampling import Refused, Sampling

Ids = Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], Field(min_length=1, fail_fast=True)]
Prompt = (
    str
    | Annotated[list[str], Field(min_length=1, max_length=128, fail_fast=True)]
    | Ids
    | Annotated[list[Ids], Field(min_length=1, max_length=128, fail_fast=True)]
)
NoSuffix = Annotated[None, Refused("answers are written from the left; send no suffix")]

LONGEST = 16
"""Tokens of an answer where the request does not say, as in the published interface."""


class CompletionRequest(Sampling):
    """Texts, or the token ids of texts. `echo` puts each before its answer."""

    prompt: Prompt
    echo: bool | None = None
    logprobs: Annotated[int, Field(ge=0, le=5)] | None = None
    best_of: int | None = None
    suffix: NoSuffix = None

    @model_validator(mode="after")
    def _is_whole(self) -> CompletionRequest:
        if self.best_of not in (None, self.n or 1):
            raise ValueError("best_of must be n: every answer that is written is sent")
        if self.echo and self.logprobs is not None:
            raise ValueError("echo and logprobs cannot go together: prompts are not scored here")
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options needs stream: true")
        return self

    @property
    def prompts(self) -> list[str] | list[list[int]]:
        """All of them."""
        if isinstance(self.prompt, str):
            return [self.prompt]
        if isinstance(self.prompt[0], int):
            return [self.prompt]
        return self.prompt


class TextLogprobs(Answer):
    """Of an answer's tokens, in order; `text_offset` is where each begins in the text."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


class TextChoice(Answer):
    """One answer, or a piece of it. Those to the first prompt come first."""

    index: int
    text: str
    logprobs: TextLogprobs | None
    finish_reason: Literal["stop", "length"] | None


class Completion(Answer):
    """The response, whole or one event of it."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[TextChoice]
    system_fingerprint: str
    usage: Usage | None = None
