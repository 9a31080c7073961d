"""From a request to the answers that are to be written."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tunesmith.core.seeds import derive
from tunesmith.serve.caller import Caller
from tunesmith.serve.chat.generation import Generation, Model
from tunesmith.serve.chat.names import Names
from tunesmith.serve.chat.prompts import Prompts, reading
from tunesmith.serve.errors import bad_request
from tunesmith.serve.settings import Settings
from tunesmith.serve.wire.chat import ChatRequest, NamedTool, ObjectFormat, SchemaFormat
from tunesmith.serve.wire.completions import LONGEST, CompletionRequest
from tunesmith.serve.wire.sampling import Sampling

if TYPE_CHECKING:
    from tunesmith.runs.calling import CallFormat
    from tunesmith.runs.prompting import Prompting


@dataclass(frozen=True, slots=True)
class Ask:
    """What is to be written for one request: `each` generations for each of its prompts, in order.

    `calls` is how the model writes calls of the functions `names`, None where it is told of none.
    With `begun` every answer was made to begin with one, and with `one_call` the first one counts.
    `echoes` are texts to be put before the answers.
    """

    model: Model
    generations: tuple[Generation, ...]
    each: int = 1
    calls: CallFormat | None = None
    names: tuple[str, ...] = ()
    begun: bool = False
    one_call: bool = False
    echoes: tuple[str, ...] = ()

    @property
    def prompt_tokens(self) -> int:
        """Of all prompts, each counted once."""
        return sum(len(one.prompt_ids) for one in self.generations[:: self.each])

    @property
    def fingerprint(self) -> str:
        """Tells models apart: answers with one seed and one fingerprint are the same."""
        told = f"{self.model.base} {self.model.id}"
        return f"fp_{hashlib.sha256(told.encode()).hexdigest()[:10]}"


class Asking:
    """Finds the model of a request and makes its prompt."""

    def __init__(self, settings: Settings, names: Names, prompts: Prompts) -> None:
        self._settings = settings
        self._names = names
        self._prompts = prompts

    def chat(self, caller: Caller, asked: ChatRequest) -> Ask:
        """The answers that a chat asks for. Raises ApiError 400, 404 or 503."""
        model = self._names.of_kind(caller, asked.model, "chat")
        prompting = self._prompts.of(model)
        tools = asked.tools if asked.may_call else None
        if tools:
            with reading("tools"):
                _ = prompting.calls  # refused where the model would not see them
        with reading("messages"):
            ids = prompting.chat([each.plain() for each in asked.messages], tools or ())
        room = self._room(asked.longest, asked.n or 1)
        one = self._generation(caller, model, asked, ids, room, prompting)
        one = replace(one, schema=_schema(asked), top_logprobs=_rivals(asked))
        count = asked.n or 1
        if not tools:
            return Ask(model, _each(one, count), count)
        ask = Ask(
            model,
            _each(one, count),
            count,
            prompting.calls,
            tuple(tool["function"]["name"] for tool in tools),
            one_call=asked.parallel_tool_calls is False,
        )
        if asked.tool_choice in (None, "auto"):
            return ask
        return _made_to_call(ask, one, asked, prompting)

    def completion(self, caller: Caller, asked: CompletionRequest) -> Ask:
        """The answers that texts ask for to be gone on with. Raises ApiError as `chat`."""
        model = self._names.of_kind(caller, asked.model, "chat")
        prompting = self._prompts.of(model)
        count = asked.n or 1
        room = self._room(asked.max_tokens or LONGEST, count * len(asked.prompts))
        generations: list[Generation] = []
        echoes: list[str] = []
        for prompt in asked.prompts:
            ids = _ids_of(prompt, prompting)
            one = self._generation(caller, model, asked, ids, room, prompting)
            generations += _each(replace(one, top_logprobs=asked.logprobs), count)
            text = prompt if isinstance(prompt, str) else prompting.spelled(prompt)
            echoes += [text if asked.echo else ""] * count
        return Ask(model, tuple(generations), count, echoes=tuple(echoes))

    def _generation(
        self,
        caller: Caller,
        model: Model,
        asked: Sampling,
        ids: tuple[int, ...],
        room: int,
        prompting: Prompting,
    ) -> Generation:
        return Generation(
            model=model,
            prompt_ids=ids,
            max_new_tokens=room,
            temperature=1.0 if asked.temperature is None else asked.temperature,
            top_p=1.0 if asked.top_p is None else asked.top_p,
            seed=secrets.randbits(62) if asked.seed is None else asked.seed,
            stop=asked.stops,
            logit_bias=_bias(asked.logit_bias or {}, prompting.vocabulary),
            presence_penalty=asked.presence_penalty or 0.0,
            frequency_penalty=asked.frequency_penalty or 0.0,
            key=caller.key,
            project=caller.project,
        )

    def _room(self, longest: int | None, answers: int) -> int:
        """What each of so many answers to one request may have, if they may have it together."""
        most, together = self._settings.limits.answer_tokens, self._settings.limits.request_tokens
        if longest is not None and longest > most:
            raise bad_request(
                f"An answer of {longest} tokens was asked for, and this service writes at most "
                f"{most}. Ask for fewer, or leave it out.",
                param="max_tokens",
            )
        if answers * (longest or 1) > together:
            raise bad_request(
                f"{answers} answers of {longest or 1} tokens were asked for, and this service "
                f"writes at most {together} tokens to one request. Ask for fewer answers, or for "
                "shorter ones.",
                param="n",
            )
        return longest or min(most, together // answers)


def _each(one: Generation, count: int) -> tuple[Generation, ...]:
    """So many that differ in their seeds; the first has that of the request."""
    others = (replace(one, seed=derive(one.seed, "choice", n)) for n in range(1, count))
    return (one, *others)


def _ids_of(prompt: str | list[int], prompting: Prompting) -> tuple[int, ...]:
    """Raises ApiError 400 for ids that the model does not have, and for nothing at all."""
    ids = prompting.text(prompt) if isinstance(prompt, str) else tuple(prompt)
    if not ids:
        raise bad_request("The prompt is empty. Send a text to be gone on with.", param="prompt")
    if (largest := max(ids)) >= prompting.vocabulary:
        raise bad_request(
            f"The prompt has the token id {largest}, and this model's are 0 to "
            f"{prompting.vocabulary - 1}.",
            param="prompt",
        )
    return ids


def _bias(asked: Mapping[str, float], vocabulary: int) -> dict[int, float]:
    bias = {int(token): value for token, value in asked.items()}
    if beyond := [token for token in bias if token >= vocabulary]:
        raise bad_request(
            f"logit_bias names the token {beyond[0]}, and this model's tokens are 0 to "
            f"{vocabulary - 1}.",
            param="logit_bias",
        )
    return bias


def _rivals(asked: ChatRequest) -> int | None:
    return (asked.top_logprobs or 0) if asked.logprobs else None


def _schema(asked: ChatRequest) -> Mapping[str, Any] | Any:
    wanted = asked.response_format
    if isinstance(wanted, SchemaFormat):
        return wanted.json_schema.schema_
    return True if isinstance(wanted, ObjectFormat) else None


def _made_to_call(ask: Ask, one: Generation, asked: ChatRequest, prompting: Prompting) -> Ask:
    """The answer is begun as a call is written, and goes on as one of the functions allows."""
    calls = prompting.calls
    if calls.before is None:
        raise bad_request(
            f"The template of {ask.model.id} writes calls in a form of its own, which an answer "
            'cannot be held to. Send tool_choice "auto".',
            param="tool_choice",
        )
    if one.schema is not None:
        raise bad_request(
            "An answer cannot be a call and follow response_format. Leave one of them out.",
            param="response_format",
        )
    schema = _call_schema(asked, calls.arguments)
    ids = (*one.prompt_ids, *prompting.after(calls.before))
    made = replace(one, prompt_ids=ids, schema=schema)
    return replace(ask, generations=_each(made, ask.each), begun=True)


def _call_schema(asked: ChatRequest, key: str) -> dict[str, Any]:
    functions = [tool["function"] for tool in asked.tools or ()]
    if isinstance(asked.tool_choice, NamedTool):
        name = asked.tool_choice.function.name
        functions = [each for each in functions if each["name"] == name]
        if not functions:
            raise bad_request(
                f"tool_choice names {name}, which is not in tools.", param="tool_choice"
            )
    return {"anyOf": [_one_call(each, key) for each in functions]}


def _one_call(function: Mapping[str, Any], key: str) -> dict[str, Any]:
    arguments = function.get("parameters") or {"type": "object"}
    return {
        "type": "object",
        "properties": {"name": {"const": function["name"]}, key: arguments},
        "required": ["name", key],
        "additionalProperties": False,
    }
