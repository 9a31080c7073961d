"""What is learned of a round, as rows of files: answers that were kept, and pairs of answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tunesmith.core.records import (
    Chat,
    Completion,
    Example,
    Finding,
    Message,
    Origin,
    Preference,
    Prompt,
    Prompted,
    Rating,
    Spoken,
)
from tunesmith.data import Renderer
from tunesmith.data.compared import joined
from tunesmith.data.formats import write
from tunesmith.data.formats.rows import PROVENANCE
from tunesmith.runs.improve.choosing import Sampled

_ANSWER = Origin("answer", 1)

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt as the model is asked it, and as its row says it: a text, or turns."""

    prompt: Prompt
    said: Spoken
    tools: tuple[str, ...]

    @classmethod
    def of(cls, example: Example, prompt: Prompt) -> Question:
        """That of a row, whatever stands behind it."""
        content = example.content
        if isinstance(content, Completion | Prompted | Preference | Rating):
            return cls(prompt, content.prompt, prompt.tools)
        return cls(prompt, prompt.messages, prompt.tools)

    def answered(self, text: str) -> Chat | Completion:
        """With this answer."""
        return joined(self.said, self._answer(text), self.tools)

    def preferred(self, better: str, worse: str) -> Preference:
        """With these two answers."""
        return Preference(self.said, self._answer(better), self._answer(worse), self.tools)

    def trainable(self, text: str, renderer: Renderer, context: int) -> bool:
        """Whether this answer can be learned: it may spell a token of the template."""
        example = Example(_ANSWER, self.answered(text))
        (found,) = renderer.render([example], "sft", context)
        return not isinstance(found, Finding) and max(map(len, found)) <= context

    def _answer(self, text: str) -> Spoken:
        return text if isinstance(self.said, str) else (Message("assistant", text),)


def accepted_row(question: Question, answer: Sampled, provenance: Mapping[str, Any]) -> Row:
    """An ordinary row with an answer to learn; where it is from stands under `provenance`."""
    content = question.answered(answer.text)
    fields = (write.completion if isinstance(content, Completion) else write.chat)(content)
    return _told(fields, {**provenance, "reward": answer.reward})


def pair_row(
    question: Question, better: Sampled, worse: Sampled, provenance: Mapping[str, Any]
) -> Row:
    """An ordinary preference of the same model's answers."""
    fields = write.preference(question.preferred(better.text, worse.text))
    return _told(fields, {**provenance, "rewards": [better.reward, worse.reward]})


def _told(fields: Row | None, provenance: Row) -> Row:
    assert fields is not None  # each of these can be written
    return {**fields, PROVENANCE: provenance}
