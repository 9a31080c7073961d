"""Answers of chat: whole, and in pieces."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import SerializerFunctionWrapHandler, model_serializer

from tunesmith.serve.wire.base import Answer

Finish = Literal["stop", "length", "tool_calls"]


class PromptDetails(Answer):
    """`cached_tokens` of the prompt had been computed before."""

    cached_tokens: int


class Usage(Answer):
    """Tokens: of the prompt, once however many answers were asked for, and of all answers."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails


class Rival(Answer):
    """A token that might have been chosen."""

    token: str
    bytes: list[int]
    logprob: float


class ChosenToken(Rival):
    """A token that was."""

    top_logprobs: list[Rival]


class Logprobs(Answer):
    """Of an answer's tokens, in order."""

    content: list[ChosenToken]
    refusal: None = None


class CallFunction(Answer):
    """What is called; `arguments` is the text of a JSON object."""

    name: str
    arguments: str


class Call(Answer):
    """A call that the model asks for."""

    id: str
    type: Literal["function"] = "function"
    function: CallFunction


class ChatMessage(Answer):
    """What the model said."""

    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: None = None
    tool_calls: list[Call] | None = None


class ChatChoice(Answer):
    """One answer."""

    index: int
    message: ChatMessage
    logprobs: Logprobs | None
    finish_reason: Finish


class ChatCompletion(Answer):
    """The response of /v1/chat/completions."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage
    system_fingerprint: str
    metadata: dict[str, str] | None = None


class IndexedCall(Call):
    """A call in a stream: the how manieth of its answer."""

    index: int


class Delta(Answer):
    """What has come to an answer; keys without anything are not sent."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    tool_calls: list[IndexedCall] | None = None

    @model_serializer(mode="wrap")
    def _something(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in plain(self).items() if value is not None}


class ChunkChoice(Answer):
    """A piece of one answer."""

    index: int
    delta: Delta
    logprobs: Logprobs | None = None
    finish_reason: Finish | None = None


class ChatChunk(Answer):
    """One event of a stream. `usage` is in the last one, where it was asked for."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    system_fingerprint: str
    usage: Usage | None = None
