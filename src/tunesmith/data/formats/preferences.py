"""Answers that people compared or rated: pairs of a better and a worse one, and single verdicts."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from tunesmith.core.records import Message, Preference, Rating, Scored, Spoken, Stepwise
from tunesmith.data.formats import chats, completions, messages
from tunesmith.data.formats.fields import fail, filled, kind_of, shown, told, whole

_TRANSCRIPT = re.compile(r"(?:\A|\n\n)(Human|Assistant):[ ]?")
_SPEAKERS = {"Human": "user", "Assistant": "assistant"}
_VERDICTS = {"true": True, "false": False, "1": True, "0": False}

SCORES = ("score_chosen", "score_rejected")
MARGINS = ("margin", *SCORES)
"""Fields that say how much better the chosen answer is: directly, or by the score of each."""


def preference(fields: Mapping[str, Any]) -> Preference:
    """`prompt`, `chosen` and `rejected`: texts, or messages.

    Messages may be the answers alone, or the whole conversation with each of the answers.
    """
    named = ("prompt", "chosen", "rejected")
    if all(isinstance(fields[name], str) for name in named):
        prompt = filled(fields, "prompt", "empty_prompt", "; give it a text.")
        answers = _answer(fields, "chosen"), _answer(fields, "rejected")
        return _compared(prompt, *answers, (), _margin(fields))
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


def scored(fields: Mapping[str, Any], answer: str = "completion") -> Scored:
    """`prompt`, an answer, and what it is worth (`reward`), a number of any scale."""
    reward = _number(fields, "reward")
    if isinstance(fields["prompt"], str) and isinstance(fields[answer], str):
        prompt = filled(fields, "prompt", "empty_prompt", "; give it a text.")
        return Scored(prompt, _answer(fields, answer), reward)
    asked = completions.spoken(fields, "prompt", "user")
    said = completions.spoken(fields, answer, "assistant")
    _check(asked, said, answer)
    return Scored(asked, said, reward, chats.tools(fields))


def scored_chat(fields: Mapping[str, Any], name: str) -> Scored:
    """A conversation, and what its last answer is worth (`reward`)."""
    said = chats.chat(fields, name)
    return Scored(said.messages[:-1], said.messages[-1:], _number(fields, "reward"), said.tools)


def stepwise(fields: Mapping[str, Any]) -> Stepwise:
    """`prompt`, the steps of an answer (`completions`), and whether each is right (`labels`)."""
    prompt = filled(fields, "prompt", "empty_prompt", "; give it a text.")
    steps, labels = fields["completions"], fields["labels"]
    for name, value in (("completions", steps), ("labels", labels)):
        if not isinstance(value, list):
            fail("wrong_type", f'"{name}" must be a list; received {kind_of(value)}.')
    if len(steps) != len(labels):
        fail(
            "labels_do_not_fit",
            f'There are {len(steps)} steps in "completions" and {len(labels)} "labels"; give each '
            "step one label.",
        )
    if not steps:
        fail("empty_answer", '"completions" is an empty list; give it the steps of an answer.')
    numbered = list(enumerate(zip(steps, labels, strict=True), start=1))
    texts = tuple(_step(number, step) for number, (step, _) in numbered)
    return Stepwise(
        prompt, texts, tuple(_step_label(number, label) for number, (_, label) in numbered)
    )


def _step(number: int, step: Any) -> str:
    if not isinstance(step, str) or not step.strip():
        received = "an empty text" if isinstance(step, str) else kind_of(step)
        fail("empty_answer", f'Step {number} of "completions" must be a text; received {received}.')
    return whole(step, f'Step {number} of "completions"')


def _step_label(number: int, label: Any) -> bool:
    verdict = _verdict(label)
    if verdict is None:
        fail(
            "wrong_type",
            f'Label {number} of "labels" must be true or false, or 1 or 0; received {told(label)}.',
        )
    return verdict


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
    return _compared(asked, chosen, rejected, chats.tools(fields), _margin(fields))


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


def _compared(
    prompt: Spoken, chosen: Spoken, rejected: Spoken, tools: tuple[str, ...], margin: float | None
) -> Preference:
    if chosen == rejected:
        text = chosen if isinstance(chosen, str) else chosen[-1].content
        fail(
            "equal_answers",
            "The chosen and the rejected answer are the same, so neither is better: "
            f"{shown(text)!r}. Leave the row out.",
        )
    return Preference(prompt, chosen, rejected, tools, margin)


def _margin(fields: Mapping[str, Any]) -> float | None:
    """How much better the chosen answer is; None where the row does not say."""
    if fields.get("margin") is not None:
        margin = _number(fields, "margin")
        if margin < 0:
            fail(
                "negative_margin",
                f'"margin" is {margin:g}, so the rejected answer would be the better one. Give 0 '
                'or more, or exchange "chosen" and "rejected".',
            )
        return margin
    if any(fields.get(name) is None for name in SCORES):
        return None
    chosen, rejected = (_number(fields, name) for name in SCORES)
    if chosen < rejected:
        fail(
            "negative_margin",
            f'"score_chosen" ({chosen:g}) is below "score_rejected" ({rejected:g}), so the '
            "rejected answer would be the better one. Exchange them, or leave the row out.",
        )
    return chosen - rejected


def _number(fields: Mapping[str, Any], name: str) -> float:
    value = fields[name]
    number = float(value) if isinstance(value, int | float) else math.nan
    if isinstance(value, bool) or not math.isfinite(number):
        fail("not_a_number", f'"{name}" must be a finite number; received {told(value)}.')
    return number
