"""Judged answers to tokens: what a reward model reads is what was said, as it was said.

A prompt with one of its answers is rendered as the answer would be trained, with the base's chat
template and behind the ids of its generation prompt. Its weights mark the tokens of the answer, or
for an answer in steps the last token of each step, at which that step is judged.

It is read at its end token; what a template writes behind that is left out. transformers' own
classifier looks for the last token that is not padding. Where a base pads with its end token, that
is therefore left out, too: the state that is read in training is the one that plain transformers
reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from tunesmith.core.errors import DataError
from tunesmith.core.records import (
    Chat,
    Content,
    Example,
    Finding,
    Message,
    Preference,
    Rating,
    Scored,
    Stepwise,
    Tokens,
)
from tunesmith.data.classes import Targets
from tunesmith.data.encode import Encoder
from tunesmith.data.kinds import Kind, wrong_kind
from tunesmith.data.prepared import Prepared
from tunesmith.data.refusals import Refused
from tunesmith.data.render import Renderer
from tunesmith.data.spelled import refuse_special_tokens
from tunesmith.data.store import KINDS

LIKED, DISLIKED = "liked", "disliked"
RIGHT, WRONG = "right", "wrong"
STEP_END = "\n"
"""Stands between the steps of an answer, and behind the last."""

_CHUNK_ROWS = 256

_SAME = (
    "The chosen and the rejected answer become the same tokens, so neither is better. Leave the "
    "row out."
)


class RewardRenderer:
    """Renders compared, rated and scored answers, and answers in steps.

    Args:
        renderer: that of the base, by which its answers are written.
        padding: the id that plain transformers takes for padding, None for none.
    """

    def __init__(self, renderer: Renderer, padding: int | None) -> None:
        self.answers = renderer
        self._padding = padding

    @property
    def encoder(self) -> Encoder:
        """The tokenizer."""
        return self.answers.encoder

    @property
    def completion_as(self) -> str:
        """How a prompt and an answer that are plain texts are shown."""
        return self.answers.completion_as

    def identity(self) -> dict[str, Any]:
        """All that the tokens of an example follow from besides the example, as JSON."""
        return {**self.answers.identity(), "padding": self._padding, "judged": STEP_END}

    def stop_ids(self) -> tuple[int, ...]:
        """None: nothing is written, so nothing has to end."""
        return ()

    def render(
        self, examples: Sequence[Example], kind: Kind, context: int
    ) -> Iterator[list[Tokens] | Finding]:
        """What each example becomes, in order: its tokens, or why it cannot be trained.

        A Preference is two Tokens, the chosen answer part 0 with the margin as its label and the
        rejected one part 1; a Rating and a Scored one each, labelled; a Stepwise one with a label
        for each step. All may be longer than `context`, which `checks.too_long` finds.
        """
        waiting = iter(examples)
        while chunk := list(islice(waiting, _CHUNK_ROWS)):
            found = [self._in_steps(each, kind) for each in chunk]
            whole = [_whole(e) for e, f in zip(chunk, found, strict=True) if f is None]
            rendered = self.answers.render(whole, "kto", context)
            for example, steps in zip(chunk, found, strict=True):
                yield self._judged(example, next(rendered)) if steps is None else steps

    def _judged(self, example: Example, parts: list[Tokens] | Finding) -> list[Tokens] | Finding:
        """With what each answer is to be read as, and where."""
        if isinstance(parts, Finding):
            return parts
        content = example.content
        if isinstance(content, Preference):
            labels = [repr(content.margin or 0.0), repr(0.0)]
        elif isinstance(content, Scored):
            labels = [repr(content.reward)]
        else:
            assert isinstance(content, Rating)
            labels = [LIKED if content.label else DISLIKED]
        read = [self._read(part, label) for part, label in zip(parts, labels, strict=True)]
        if len(read) == 2 and np.array_equal(read[0].ids_N, read[1].ids_N):
            return Finding("equal_answers", _SAME, "drop", example.origin)
        return read

    def _read(self, tokens: Tokens, label: str) -> Tokens:
        """Up to the end of the answer, at the token at which plain transformers reads it."""
        end = int(np.flatnonzero(tokens.weights_N)[-1]) + 1
        while end > 1 and tokens.ids_N[end - 1] == self._padding:
            end -= 1
        ids_N, weights_N = tokens.ids_N[:end], tokens.weights_N[:end]
        return replace(tokens, ids_N=ids_N, weights_N=weights_N, labels=(label,))

    def _in_steps(self, example: Example, kind: Kind) -> list[Tokens] | Finding | None:
        """What an answer in steps becomes, or why a row cannot be trained; None for any other.

        Each step is tokenised by itself, so that it ends with a token of its own.
        """
        content, origin = example.content, example.origin
        if (complaint := wrong_kind(content, kind)) is not None:
            return Finding("wrong_kind", complaint, "drop", origin)
        if not isinstance(content, Stepwise):
            return None
        try:
            refuse_special_tokens(content, self.encoder)
            said = content.prompt
            turns = (Message("user", said),) if isinstance(said, str) else said
            refuse_special_tokens(Chat(turns), self.encoder)
            asked_N = self.answers.ask(turns)
        except Refused as refused:
            return Finding(refused.reason, str(refused), "drop", origin)
        except DataError as error:
            return Finding("template_refuses", str(error), "drop", origin)
        texts = [step.removesuffix(STEP_END) + STEP_END for step in content.steps]
        pieces = [asked_N, *map(self.encoder.continuation, texts)]
        ends = np.cumsum([len(piece) for piece in pieces])[1:] - 1
        weights_N = np.zeros(int(ends[-1]) + 1, dtype=np.float32)
        weights_N[ends] = 1
        labels = tuple(RIGHT if label else WRONG for label in content.labels)
        size = len("".join(texts).encode())
        return [Tokens(origin, np.concatenate(pieces), weights_N, size, 0, labels)]


def _whole(example: Example) -> Example:
    """An answer judged as a whole, in a form in which answers are trained."""
    content = example.content
    if not isinstance(content, Scored):
        return example
    said = Rating(content.prompt, content.completion, True, content.tools)
    return replace(example, content=said)


def targets_of(prepared: Prepared) -> Targets:
    """What is learned of judged answers, by the kind of the rows.

    Raises:
        DataError: rows of two kinds stand together, or all have the same verdict.
    """
    numbers = np.unique(np.concatenate([prepared.train.rows, prepared.held_out.rows]))
    kind_R = prepared.store.rows["kind"][numbers]
    kinds, first_K = np.unique(kind_R, return_index=True)
    if len(kinds) > 1:
        one, other = (prepared.store.origin(int(numbers[first])) for first in first_K[:2])
        said = [_ROWS[KINDS[int(kind)]] for kind in kinds[:2]]
        raise DataError(
            f"{one} is {said[0]} and {other} is {said[1]}: each is learned by a loss of its own. "
            "Train them in runs of their own."
        )
    kind = KINDS[int(kinds[0])]
    if kind is Preference:
        return Targets("preference", ())
    if kind is Scored:
        return Targets.found(prepared.train, "regression")
    steps = kind is Stepwise
    names = (WRONG, RIGHT) if steps else (DISLIKED, LIKED)
    there = {label for row in prepared.train for label in row.labels}
    if len(there) < 2:
        what = "steps" if steps else "answers"
        raise DataError(
            f"All {what} of the training rows are {there.pop()}, so there is nothing to tell "
            f"apart. Add {what} that are not."
        )
    return Targets.verdicts(names, steps=steps)


_ROWS: dict[type[Content] | None, str] = {
    Preference: "a pair of a chosen and a rejected answer",
    Rating: "a rated answer",
    Scored: "a scored answer",
    Stepwise: "an answer in steps",
}
