"""A request for chat: the published interface's, as far as it can be kept.

What would change the answer and cannot be done is refused by a sentence. What changes nothing of
it is accepted and not read: `user`, `store` (nothing that is said is ever stored), `service_tier`,
`safety_identifier`, `prediction` and the hints for prompt caches. `metadata` is given back.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from tunesmith.serve.wire.base import AskedPart
from tunesmith.serve.wire.sampling import Refused, Sampling

FunctionName = Annotated[str, Field(pattern="^[A-Za-z0-9_-]{1,64}$")]
NoAudio = Annotated[None, Refused("only text is read and written here")]
NoOldCall = Annotated[None, Refused("send tool_calls, its newer form, instead")]
NoOldChoice = Annotated[None, Refused("send tool_choice, its newer form, instead")]
NoFunctions = Annotated[None, Refused("send tools, its newer form, instead")]
NoModeration = Annotated[None, Refused("ask a classifier with /v1/moderations instead")]
NoEffort = Annotated[None, Refused("how much a model thinks cannot be steered here")]
NoVerbosity = Annotated[None, Refused("say in a message how long the answer should be")]
NoSearch = Annotated[None, Refused("nothing is searched on the web here")]


class Function(AskedPart):
    """A function that the model may call; `parameters` is a JSON schema."""

    name: FunctionName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionTool(AskedPart):
    """The only kind of tool there is here."""

    type: Literal["function"]
    function: Function


def _tool(value: dict[str, Any]) -> dict[str, Any]:
    """As it was sent, key by key: templates write it so, in training as in serving."""
    try:
        FunctionTool.model_validate(value)
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(map(str, fault["loc"]))
        raise PydanticCustomError(
            "tool", "not a function tool ({place}: {why})", {"place": place, "why": fault["msg"]}
        ) from None
    return value


class NamedFunction(AskedPart):
    """A function by its name."""

    name: FunctionName


class NamedTool(AskedPart):
    """That this function is to be called."""

    type: Literal["function"]
    function: NamedFunction


class CalledFunction(AskedPart):
    """What was called, and with what: `arguments` is the text of a JSON object."""

    name: Annotated[str, Field(min_length=1, max_length=256)]
    arguments: str


class Called(AskedPart):
    """A call that an earlier answer made."""

    id: Annotated[str, Field(max_length=256)] | None = None
    type: Literal["function"] = "function"
    function: CalledFunction


class Part(AskedPart):
    """A part of a message: of the kinds of the published interface those that are text."""

    type: str
    text: str | None = None
    refusal: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _is_text(cls, value: Any) -> Any:
        kind = value.get("type") if isinstance(value, dict) else None
        if isinstance(kind, str) and kind not in ("text", "refusal"):
            raise PydanticCustomError(
                "part",
                "a part of the type {kind} cannot be read: chat over HTTP takes text alone. Leave "
                "it out",
                {"kind": kind[:40]},
            )
        return value


def _form(content: Any) -> str:
    return "list[part]" if isinstance(content, list) else "str"


Content = Annotated[
    Annotated[str, Tag("str")]
    | Annotated[list[Part], Field(max_length=1000, fail_fast=True), Tag("list[part]")],
    Discriminator(_form),
]
"""What is said: a text, or parts of one, which are joined by line ends."""


class Message(AskedPart):
    """One turn. `reasoning_content` are the thoughts before an answer, which some templates read;
    what an earlier answer had and nothing is made of may be sent back as null."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Content | None = None
    name: Annotated[str, Field(max_length=256)] | None = None
    tool_calls: Annotated[list[Called], Field(max_length=128)] | None = None
    tool_call_id: Annotated[str, Field(max_length=256)] | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    annotations: list[Any] | None = None
    audio: NoAudio = None
    function_call: NoOldCall = None

    @model_validator(mode="after")
    def _says_something(self) -> Message:
        if self.role == "assistant" and (self.refusal is not None or self.tool_calls):
            return self
        if self.content is None:
            raise ValueError(f"a message of the role {self.role} needs content")
        return self

    def plain(self) -> dict[str, Any]:
        """As rows of training data spell it."""
        row = self.model_dump(exclude_none=True, exclude={"refusal", "annotations"})
        return {"content": self.refusal or "", **row}


class JsonSchema(AskedPart):
    """A schema and its name. `strict` or not, the answer follows it."""

    name: Annotated[str, Field(pattern="^[A-Za-z0-9_-]{1,64}$")]
    description: str | None = None
    schema_: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None


class TextFormat(AskedPart):
    """Any text."""

    type: Literal["text"]


class ObjectFormat(AskedPart):
    """A JSON object."""

    type: Literal["json_object"]


class SchemaFormat(AskedPart):
    """JSON that follows a schema."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


class ChatRequest(Sampling):
    """POST /v1/chat/completions."""

    messages: Annotated[list[Message], Field(min_length=1, max_length=10_000, fail_fast=True)]
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    tools: (
        Annotated[list[Annotated[dict[str, Any], AfterValidator(_tool)]], Field(max_length=128)]
        | None
    ) = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    response_format: (
        Annotated[TextFormat | ObjectFormat | SchemaFormat, Field(discriminator="type")] | None
    ) = None
    metadata: dict[str, str] | None = None
    modalities: list[Literal["text"]] | None = None
    store: bool | None = None
    service_tier: str | None = None
    safety_identifier: Annotated[str, Field(max_length=512)] | None = None
    prompt_cache_key: Annotated[str, Field(max_length=512)] | None = None
    prompt_cache_options: dict[str, Any] | None = None
    prompt_cache_retention: str | None = None
    prediction: dict[str, Any] | None = None
    audio: NoAudio = None
    functions: NoFunctions = None
    function_call: NoOldChoice = None
    moderation: NoModeration = None
    reasoning_effort: NoEffort = None
    verbosity: NoVerbosity = None
    web_search_options: NoSearch = None

    @model_validator(mode="after")
    def _is_whole(self) -> ChatRequest:
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs: true")
        if self.tool_choice not in (None, "none", "auto") and not self.tools:
            raise ValueError("tool_choice needs tools")
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options needs stream: true")
        return self

    @property
    def longest(self) -> int | None:
        """How many tokens an answer may have, where the request says so."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def may_call(self) -> bool:
        """Whether the model is told of tools."""
        return bool(self.tools) and self.tool_choice != "none"
