"""What a chat template cannot teach, each with its reason and what can be done."""

from __future__ import annotations

from tunesmith.core.records import Message

_SWITCH = (
    "put {{%- set enable_thinking = {} -%}} at the head of a copy of the template, and give that "
    "with data.template."
)
_NO_THINKING = (
    "It opens a block of thoughts that this answer does not have. Where no answer has one, "
    + _SWITCH.format("false")
)
_THINKING = (
    "It closes the thoughts that this answer has. Where every answer has some, "
    + _SWITCH.format("true")
)
_NO_TAIL = (
    "Take that out of the generation prompt in a copy of the template, and give it with "
    "data.template."
)


class Refused(Exception):
    """A conversation that this template cannot teach; `render.py` turns it into a Finding."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def require_prompt(prompt: str, answered: str, number: int, template: str) -> None:
    """Check that message `number` begins, as it is rendered, as the model is asked for it.

    Raises:
        Refused: the generation prompt is not the beginning of the answered conversation.
    """
    if answered.startswith(prompt):
        return
    both = enumerate(zip(prompt, answered, strict=False))
    same = next((n for n, (a, b) in both if a != b), len(answered))
    if prompt[same:].isspace():
        same = max(prompt.rfind("<", 0, same), 0)
    tail = prompt[same:]
    advice = _NO_TAIL
    if "enable_thinking" in template:
        advice = _THINKING if "</" in tail else _NO_THINKING
    raise Refused(
        "template_prompt_differs",
        f"The chat template's generation prompt ends with {tail!r}, which is not how it renders "
        f"message {number} (assistant): the model would be asked to go on from another text than "
        f"it was trained behind. {advice}",
    )


def require_written(message: Message, prompt: str, learned: str, number: int) -> None:
    """Check that all of an answer, message `number`, stands in what is learned of it.

    It may begin in the generation prompt, which opens the thoughts of some models.

    Raises:
        Refused: some of it does not.
    """
    written = _squeezed(learned)
    before = _squeezed(prompt[-len(message.content) :])
    if not _ends_in(_squeezed(message.content), before, written):
        raise Refused(
            "template_drops_answer",
            f"The chat template leaves out text of message {number} (assistant), so it would not "
            "be learned. Take that text out, or give another data.template.",
        )
    if _squeezed(message.reasoning) not in written:
        raise Refused(
            "template_drops_reasoning",
            f"The chat template leaves out the reasoning of message {number} (assistant), so it "
            "would not be learned. Take it out, or give a template that writes reasoning_content "
            "with data.template.",
        )
    for call in message.tool_calls:
        if _squeezed(call.name) not in written:
            raise Refused(
                "template_drops_calls",
                f"The chat template leaves out that message {number} (assistant) calls "
                f"{call.name}, so it would not be learned. Give a template that writes tool calls "
                "with data.template.",
            )


def _ends_in(text: str, before: str, behind: str) -> bool:
    """Whether a text stands in two joined ones, and not in the first alone."""
    return not text or (before + behind).rfind(text) + len(text) > len(before)


def _squeezed(text: str) -> str:
    """Without white space: templates may trim an answer, and that is no loss."""
    return "".join(text.split())
