"""Write docs/templates.md: what becomes of chats under the chat templates that models have.

Usage: python -m tools.template_table [--out FILE]

The templates are those that the package trl keeps. The models' own tokenizers are not at hand, so
each template is met with a byte-level one that has the special tokens which the template writes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from tools.template_tokenizers import serving_templates, tokenizer_for
from tunesmith.core.errors import DataError
from tunesmith.core.records import Chat, Example, Finding, Message, Origin, Tokens, ToolCall
from tunesmith.data.encode import Encoder
from tunesmith.data.render import Renderer
from tunesmith.data.turns import ChatTemplate

PAGE = Path(__file__).parents[1] / "docs" / "templates.md"
ONE, EACH, UNSAFE = "one sequence", "one sequence an answer", "unsafe"

_QUESTION = Message("user", "Where is it?")
_NEXT = Message("user", "When will it be here?")
TWO_ANSWERS = Chat(
    (_QUESTION, Message("assistant", "On its way."), _NEXT, Message("assistant", "Today."))
)
WITH_THOUGHTS = Chat(
    tuple(
        replace(message, reasoning="Let me see.") if message.role == "assistant" else message
        for message in TWO_ANSWERS.messages
    )
)
_TOOL = {
    "name": "track",
    "description": "Tells where a parcel is.",
    "parameters": {
        "type": "object",
        "properties": {"number": {"type": "string", "description": "On the label."}},
        "required": ["number"],
    },
}
WITH_TOOLS = Chat(
    (
        _QUESTION,
        Message("assistant", "", tool_calls=(ToolCall("track", '{"number": "A7"}', "call00001"),)),
        Message("tool", "at the depot", tool_call_id="call00001", name="track"),
        Message("assistant", "On its way."),
    ),
    (json.dumps({"type": "function", "function": _TOOL}),),
)

REMEDIES: dict[str, Callable[[str], str]] = {
    "`{%- set enable_thinking = false -%}` at the head of the template": (
        lambda template: "{%- set enable_thinking = false -%}" + template
    ),
    "`<think>\\n` taken out of the generation prompt": (
        lambda template: template.replace(
            "<\uff5cAssistant\uff5c><think>\\n", "<\uff5cAssistant\uff5c>"
        )
    ),
    "`{{ eos_token }}` at the end of an assistant's turn": (
        lambda template: template.replace(
            "{%- elif m.role == 'tool' -%}", "{{- eos_token -}}{%- elif m.role == 'tool' -%}"
        )
    ),
}
"""Changes that make unsafe templates trainable; the page names the first that does."""

_HEAD = """\
# Chat templates

What becomes of a chat with two answers under {count} published chat templates, as trl {version}
keeps them. Made by `python -m tools.template_table`; a test keeps it true.

- **one sequence**: the conversation is one sequence, and every answer in it stands behind exactly
  the token ids of the generation prompt that it will be asked for with.
- **one sequence an answer**: no single sequence has every answer as it is served, so each answer is
  one of its own, behind the ids that it will be asked for with. What they share is computed once
  where they meet in a step.
- **unsafe**: an answer cannot be trained as it will be served. Such rows are named by file and
  line, with what to do. A row may be refused under any template that leaves out text of its answers
  or does not take one of its roles.

The end token is learned with every answer. "With thoughts" is the outcome where answers have
reasoning before them; many templates leave it out of the history. "Tools" says if the template
writes the tools that a model may call, its calls, and their results.

| template | outcome | end token | generation prompt | with thoughts | tools |
|---|---|---|---|---|---|
"""

_NO_TOOLS = {"template_drops_calls": "no calls", "result": "no results"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """One line of the table; `why` is a sentence on any way but one sequence."""

    template: str
    way: str
    why: str
    end: str = ""
    prompt: str = ""
    thoughts: str = "left out"
    tools: str = "no"


def outcome(name: str, template: str) -> Outcome:
    """What becomes of a chat with two answers under one template."""
    tokenizer = tokenizer_for(name, template)
    try:
        renderer = Renderer(tokenizer, template)
    except DataError as error:
        return Outcome(name, UNSAFE, str(error))
    chat = ChatTemplate(renderer.encoder, template)
    stop = chat.ending.stop
    end = "" if stop is None else tokenizer.convert_ids_to_tokens(stop)
    way, why = _way(renderer, chat)
    prompt = _generation_prompt(renderer.encoder, chat)
    return Outcome(name, way, why, end, prompt, _thoughts(renderer), _tools(renderer))


def remedied(name: str, template: str) -> tuple[str, str] | None:
    """The change of `REMEDIES` with which an unsafe template can be trained, and the result."""
    for words, change in REMEDIES.items():
        changed = change(template)
        if changed != template and outcome(name, changed).way != UNSAFE:
            return words, changed
    return None


def page() -> str:
    """The whole of docs/templates.md."""
    templates = serving_templates()
    outcomes = [outcome(name, template) for name, template in templates.items()]
    head = _HEAD.format(count=len(outcomes), version=version("trl"))
    lines = "".join(_line(each) for each in outcomes)
    each = {o.template: o.why for o in outcomes if o.way == EACH}
    unsafe = {o.template: _advised(o, templates[o.template]) for o in outcomes if o.way == UNSAFE}
    return head + lines + _listed(EACH, each) + _listed(UNSAFE, unsafe)


def _way(renderer: Renderer, chat: ChatTemplate) -> tuple[str, str]:
    parts = _rendered(renderer, TWO_ANSWERS)
    if isinstance(parts, Finding):
        return UNSAFE, parts.message
    if len(parts) == 1:
        return ONE, ""
    conversation = chat.conversation(TWO_ANSWERS.messages)
    first = conversation.turns[0]
    if conversation.whole.startswith(first.prompt + first.learned + first.ending.written):
        return EACH, "a token reaches over the end of the generation prompt."
    return EACH, "earlier answers are written in another way once other turns follow."


def _thoughts(renderer: Renderer) -> str:
    parts = _rendered(renderer, WITH_THOUGHTS)
    if isinstance(parts, Finding):
        return "left out" if parts.reason == "template_drops_reasoning" else "see below"
    return ONE if len(parts) == 1 else EACH


def _tools(renderer: Renderer) -> str:
    parts = _rendered(renderer, WITH_TOOLS)
    if isinstance(parts, Finding):
        unsafe = parts.reason in ("no_end", "template_prompt_differs")
        return "see below" if unsafe else _NO_TOOLS.get(parts.reason, "no")
    seen = renderer.encoder.tokenizer.decode(parts[-1].ids_N)
    return "yes" if WITH_TOOLS.messages[2].content in seen else _NO_TOOLS["result"]


def _rendered(renderer: Renderer, chat: Chat) -> list[Tokens] | Finding:
    (rendered,) = renderer.render([Example(Origin("chat", 1), chat)], "sft", 1 << 20)
    return rendered


def _generation_prompt(encoder: Encoder, chat: ChatTemplate) -> str:
    """What the generation prompt adds to a question, from the first token that is not the same."""
    without, asked = (encoder.ids(chat.text([_QUESTION], prompt=p)) for p in (False, True))
    same = 0
    while same < min(len(without), len(asked)) and without[same] == asked[same]:
        same += 1
    return str(encoder.tokenizer.decode(asked[same:]))


def _advised(unsafe: Outcome, template: str) -> str:
    """Why a template is unsafe, and the change that was seen to help."""
    found = remedied(unsafe.template, template)
    if found is None:
        return unsafe.why
    words, changed = found
    after = outcome(unsafe.template, changed)
    return f"{unsafe.why} Seen to help: {words} (then {after.way}; tools: {after.tools})."


def _line(outcome: Outcome) -> str:
    end, prompt = _code(outcome.end), _code(outcome.prompt)
    cells = (outcome.template, outcome.way, end, prompt, outcome.thoughts, outcome.tools)
    return f"| {' | '.join(cells)} |\n"


def _code(text: str) -> str:
    """A text on one line of a table."""
    escaped = text.replace("\n", "\\n").replace("|", "\\|")
    return f"`{escaped}`" if text else "none"


def _listed(way: str, reasons: dict[str, str]) -> str:
    """A section that says why, the templates of one reason together."""
    names: dict[str, list[str]] = {}
    for name, why in reasons.items():
        names.setdefault(why, []).append(name)
    items = "".join(f"- {', '.join(alike)}: {why}\n" for why, alike in names.items())
    return f"\n## Why {way}\n\n{items}"


def main() -> None:
    """Parse the arguments and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", type=Path, default=PAGE, help="file to write")
    args = parser.parse_args()
    args.out.write_text(page(), encoding="utf-8")
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
