"""Answers that were compared or rated, as sequences: each behind the question it was given to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tunesmith.core.records import (
    Chat,
    Completion,
    Message,
    Preference,
    Prompted,
    Rating,
    Spoken,
    Tokens,
)
from tunesmith.data.answers import Job
from tunesmith.data.refusals import Refused

BETTER, WORSE = 0, 1
"""`Tokens.part` of the better answer of two, or a liked one; and of the worse, or a disliked."""

Said = Chat | Completion


def sides(content: Preference | Rating) -> list[tuple[int, Said]]:
    """Each answer as what goes on from the question, learned alone, with its part."""
    if isinstance(content, Rating):
        part = BETTER if content.label else WORSE
        return [(part, joined(content.prompt, content.completion, content.tools))]
    answers = ((BETTER, content.chosen), (WORSE, content.rejected))
    return [(part, joined(content.prompt, each, content.tools)) for part, each in answers]


def joined(prompt: Spoken, answer: Spoken, tools: tuple[str, ...] = ()) -> Said:
    """A question and its answer; what the assistant said before is context."""
    if isinstance(prompt, str):
        assert isinstance(answer, str)
        return Completion(prompt, answer)
    assert not isinstance(answer, str)
    before = tuple(replace(turn, weight=0) if turn.learned else turn for turn in prompt)
    return Chat((*before, *answer), tools)


def asked(content: Prompted) -> Said:
    """The question with an answer of one word in the place of the one that is to be found."""
    answer = "." if isinstance(content.prompt, str) else (Message("assistant", "."),)
    return joined(content.prompt, answer, content.tools)


def side_by_side(jobs: Sequence[tuple[int, Job]]) -> Job:
    """One job that makes one sequence of each, numbered by its part.

    `finish` raises Refused where an answer cannot stand in one sequence.
    """

    def finish(encodings: Sequence[Any]) -> list[Tokens]:
        found, start = [], 0
        for part, job in jobs:
            end = start + len(job.texts)
            made = job.finish(encodings[start:end])
            start = end
            if len(made) != 1:
                raise Refused(
                    "answer_in_parts",
                    f"An answer of this row has {len(made)} turns that the chat template does not "
                    "let stand in one sequence with the ids they are served with, so it has no "
                    "probability of its own. Give the earlier turns as the prompt, and the last "
                    "alone as the answer.",
                )
            found.append(replace(made[0], part=part))
        return found

    return Job(tuple(text for _, job in jobs for text in job.texts), finish)
