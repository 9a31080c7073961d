"""Answers that people compared or rated: pairs of a better and a worse one, and single verdicts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tunesmith.core.records import Message, Preference, Rating, Spoken
from tunesmith.data.formats import chats, completions, messages
from tunesmith.data.formats.fields import fail, filled, kind_of, shown

_TRANSCRIPT = re.compile(r"(?:\A|\n\n)(Human|Assistant):[ ]?")
_SPEAKERS = {"Human": "user", "Assistant": "assistant"}
_VERDICTS = {"true": True, "false": False, "1": True, "0": False}


def preference(fields: Mapping[str, Any]) -> Preference:
    """`prompt`, `chosen` and `rejected`: texts, or messages.

    Messages may be the answers alone, or the whole conversation with each of the answers.
    """
    named = ("prompt", "chosen", "rejected")
    if all(isinstance(fields[name], str) for name in named):
        prompt = filled(fields, "prompt", "empty_prompt", "; give it a text.")
        return _compared(prompt, _answer(fields, "chosen"), _answer(fields, "rejected"))
    asked = completions.spoken(fields, "prompt", "user")
    chosen, rejected = (_turns(fields, name) for name in named[1:])
    if _whole(chosen) and _whole(rejected):
        before, chosen, rejected = _parted(chosen, rejected)
        if before[-len(asked) :] != asked:
            fail(
                "prompt_differs",
                'The conversations in "chosen" and "rejected" do not begin with "prompt". Leave '
                '"prompt" out, or correct it.',
            )
        asked = before
    return _conversation(fields, asked, chosen, rejected)


def after(fields: Mapping[str, Any], name: str) -> Preference:
    """`chosen` and `rejected` behind a conversation in another field, as LLaMA-Factory writes."""
    asked = chats.turns(fields, name)
    return _conversation(fields, asked, _turns(fields, "chosen"), _turns(fields, "rejected"))


def instructed(fields: Mapping[str, Any]) -> Preference:
    """`chosen` and `rejected` behind an instruction with its input."""
    asked = (*completions.opened(fields), Message("user", completions.instructed(fields)))
    return _conversation(fields, asked, _turns(fields, "chosen"), _turns(fields, "rejected"))


def unprompted(fields: Mapping[str, Any]) -> Preference:
    """Two whole conversations that part at some turn: lists of messages, or transcripts.

    Transcripts are texts with the marks "Human:" and "Assistant:", as in hh-rlhf (Bai et al. 2022,
    arXiv:2204.05862).
    """
    before, chosen, rejected = _parted(_turns(fields, "chosen"), _turns(fields, "rejected"))
    return _conversation(fields, before, chosen, rejected)


def openai(fields: Mapping[str, Any]) -> Preference:
    """OpenAI's line: `input` with its messages, `preferred_output` and `non_preferred_output`."""
    given = fields["input"]
    if not isinstance(given, dict) or "messages" not in given:
        fail("wrong_type", f'"input" must be an object with "messages"; received {kind_of(given)}.')
    better = messages.listed(fields["preferred_output"], "preferred_output")
    worse = messages.listed(fields["non_preferred_output"], "non_preferred_output")
    return _conversation(given, chats.turns(given, "messages"), better, worse)


def is_verdict(fields: Mapping[str, Any], name: str = "label") -> bool:
    """Whether a field says yes or no; a text there may be a class, which is no rating."""
    return _verdict(fields[name]) is not None


def rating(fields: Mapping[str, Any]) -> Rating:
    """`prompt`, `completion` and whether it was liked (`label`)."""
    label = bool(_verdict(fields["label"]))
    if isinstance(fields["prompt"], str) and isinstance(fields["completion"], str):
        prompt = filled(fields, "prompt", "empty_prompt", "; give it a text.")
        return Rating(prompt, _answer(fields, "completion"), label)
    asked = completions.spoken(fields, "prompt", "user")
    answer = completions.spoken(fields, "completion", "assistant")
    _check(asked, answer, "completion")
    return Rating(asked, answer, label, chats.tools(fields))


def rated(fields: Mapping[str, Any], name: str, label: str) -> Rating:
    """A conversation whose last answer was rated, as LLaMA-Factory writes."""
    said = chats.chat(fields, name)
    verdict = bool(_verdict(fields[label]))
    return Rating(said.messages[:-1], said.messages[-1:], verdict, said.tools)


def _verdict(value: Any) -> bool | None:
    return _VERDICTS.get(str(value).lower()) if isinstance(value, bool | int | str) else None


def _answer(fields: Mapping[str, Any], name: str) -> str:
    return filled(fields, name, "empty_answer", "; give it a text.")


def _turns(fields: Mapping[str, Any], name: str) -> tuple[Message, ...]:
    """The messages of an answer or a whole conversation: a list, one object, or a text."""
    value = fields[name]
    if isinstance(value, str):
        return _transcript(filled(fields, name, "empty_answer", "; give it a text."))
    value = [value] if isinstance(value, dict) else value
    if isinstance(value, list) and any(isinstance(turn, dict) and "from" in turn for turn in value):
        value = [chats.sharegpt_turn(number, turn) for number, turn in enumerate(value, start=1)]
    return messages.listed(value, name)


def _transcript(text: str) -> tuple[Message, ...]:
    """The turns of a transcript; a text without its marks is one answer."""
    if not _TRANSCRIPT.match(text):
        return (Message("assistant", text),)
    parts = _TRANSCRIPT.split(text)[1:]
    return tuple(
        messages.listed(
            [
                {"role": _SPEAKERS[speaker], "content": said.strip()}
                for speaker, said in zip(parts[::2], parts[1::2], strict=True)
            ],
            "transcript",
        )
    )


def _whole(said: tuple[Message, ...]) -> bool:
    return bool(said) and said[0].role != "assistant"


def _parted(
    chosen: tuple[Message, ...], rejected: tuple[Message, ...]
) -> tuple[tuple[Message, ...], tuple[Message, ...], tuple[Message, ...]]:
    """What two conversations have in common up to an answer, and how each goes on."""
    most = min(len(chosen), len(rejected)) - 1
    shared = next((n for n in range(max(most, 0)) if chosen[n] != rejected[n]), max(most, 0))
    while shared and any(said[shared].role != "assistant" for said in (chosen, rejected)):
        shared -= 1
    if not shared:
        fail(
            "no_prompt",
            '"chosen" and "rejected" have no question in common. Both must be whole conversations '
            'that begin alike; or give the question in "prompt".',
        )
    return chosen[:shared], chosen[shared:], rejected[shared:]


def _conversation(
    fields: Mapping[str, Any],
    asked: tuple[Message, ...],
    chosen: tuple[Message, ...],
    rejected: tuple[Message, ...],
) -> Preference:
    for name, answer in (("chosen", chosen), ("rejected", rejected)):
        _check(asked, answer, name)
    preferred = _compared(asked, chosen, rejected)
    return Preference(preferred.prompt, chosen, rejected, chats.tools(fields))


def _check(asked: tuple[Message, ...], answer: tuple[Message, ...], name: str) -> None:
    """Check that the prompt with one of its answers is a conversation."""
    if not asked:
        fail("no_prompt", f'No question stands before "{name}"; give it in "prompt".')
    if not answer:
        fail("empty_answer", f'"{name}" is an empty list; give it the answer.')
    said = (*asked, *answer)
    messages.check_order([message.role for message in said])
    messages.check_filled(said)
    messages.require_answer(said)


def _compared(prompt: Spoken, chosen: Spoken, rejected: Spoken) -> Preference:
    if chosen == rejected:
        text = chosen if isinstance(chosen, str) else chosen[-1].content
        fail(
            "equal_answers",
            "The chosen and the rejected answer are the same, so neither is better: "
            f"{shown(text)!r}. Leave the row out.",
        )
    return Preference(prompt, chosen, rejected)
