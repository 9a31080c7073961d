"""Zero-shot: the untrained base is asked in words which class fits a text.

    said(x) = argmax_c   log p(c | x) − log p(c | "N/A")

p(c | x) is the base's probability of the class's name behind the question. That of a text that says
nothing is taken from it, for a base likes some names more than others whatever the text (Zhao et
al. 2021, Calibrate Before Use, §5; Holtzman et al. 2021, Surface Form Competition, eq. 2).

Shape legend: R rows, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tunesmith.core.errors import ModelError, Unsupported
from tunesmith.core.records import Origin, Tokens
from tunesmith.data.labelled import texts_of
from tunesmith.evaluate.labels.measured import Rival, Said
from tunesmith.models.classifier_form import reads_onwards
from tunesmith.models.open import Described, open_base
from tunesmith.runs.heldout import spread
from tunesmith.runs.labels.setup import LabelSetup
from tunesmith.runs.scoring import ModelScorer

ZERO_SHOT = "zero_shot"

MOST_TOKENS = 200_000
"""About so many tokens are computed; where all rows would take more, fewer rows are asked."""

LEAST_ROWS = 30
"""Fewer rows than this would tell nothing."""

_NOTHING = "N/A"
_TEXT = "<<the text>>"
"""Stands for it while the question is put into the base's chat template."""


def promptable(setup: LabelSetup) -> bool:
    """Whether the base writes, and a text has one label to be asked for."""
    labels = setup.targets.task == "single_label" and not setup.targets.odds
    return labels and reads_onwards(setup.described.config)


def ask_base(setup: LabelSetup) -> Rival | str:
    """What a base that is `promptable` says of rows that judge; or a sentence, why it was not
    asked."""
    described, targets = setup.described, setup.targets
    question, recipe = Question(described, targets.names), setup.recipe
    try:
        base = open_base(
            described,
            recipe.model.dtype,
            recipe.model.device,
            quantize=recipe.model.quantize,
        )
    except (ModelError, Unsupported) as error:
        return f"The base was not asked by prompt. {error}"
    rows = _affordable(setup.held_out.judging, question, shares=base.forward.shares)
    if not rows:
        return (
            f"The base was not asked by prompt: with {len(targets.names)} classes that takes more "
            f"than {MOST_TOKENS:,} tokens for {LEAST_ROWS} rows."
        )
    scorer = ModelScorer(base, recipe.engine.tokens_per_micro_batch)
    asked = [*question.about(_NOTHING, Origin("nothing", 0))]
    for row, text in zip(rows, _texts(setup, rows), strict=True):
        asked += question.about(text, row.origin)
    nll = [score.nll for score in scorer.score(asked)]
    nll_RC = np.array(nll).reshape(len(rows) + 1, len(targets.names))
    best_R = (nll_RC[0] - nll_RC[1:]).argmax(1)
    said = tuple(
        Said(row.origin, row.labels, (targets.names[best],))
        for row, best in zip(rows, best_R.tolist(), strict=True)
    )
    asked_of = f"{question.definition}; {len(rows):,} rows were asked"
    return Rival(ZERO_SHOT, "the base, asked by a prompt", said, asked_of)


@dataclass(frozen=True)
class Question:
    """Which of these classes fits a text, asked in the base's chat template where it has one.

    What stands around a text, and the answers, are tokenised once for all texts.
    """

    described: Described
    names: tuple[str, ...]

    @property
    def definition(self) -> str:
        """A clause for the report."""
        return (
            f'asked "{self._words()}", it says the class whose name becomes likeliest by the text'
        )

    def about(self, text: str, origin: Origin) -> Iterator[Tokens]:
        """The question about `text` with each class as its answer, in their order."""
        before, after = self._around
        names = self._answers
        room = self.described.context - len(before) - len(after) - max(map(len, names))
        ids = [*before, *self._ids(text)[: max(room, 1)], *after]
        for name in names:
            ids_N = np.array([*ids, *name], dtype=np.int32)
            weights_N = np.zeros(len(ids_N), dtype=np.float32)
            weights_N[len(ids) :] = 1
            yield Tokens(origin, ids_N, weights_N, 0)

    def tokens(self, text_tokens: int, *, shares: bool) -> int:
        """How many are computed for a text of that many: what the answers share once, if it may."""
        before, after = self._around
        shared = len(before) + text_tokens + len(after)
        return shared * (1 if shares else len(self.names)) + sum(map(len, self._answers))

    def _words(self) -> str:
        listed = ", ".join(self.names)
        # A list that takes up most of what the base can read leaves no room for the text.
        if len(self._ids(listed)) > self.described.context // 4:
            return "Which label fits the text?"
        return f"Which label fits the text: {listed}?"

    @cached_property
    def _around(self) -> tuple[list[int], list[int]]:
        """The tokens before the text and behind it."""
        tokenizer = self.described.tokenizer
        asked = f"{self._words()}\n\nText: {_TEXT}\n\n"
        if not tokenizer.chat_template:
            before, after = f"{asked}Label:".split(_TEXT)
            return self._ids(before, begins=True), self._ids(after)
        turns = [{"role": "user", "content": f"{asked}Answer with the label alone."}]
        rendered = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        before, after = str(rendered).split(_TEXT)
        return self._ids(before), self._ids(after)

    @cached_property
    def _answers(self) -> list[list[int]]:
        space = "" if self.described.tokenizer.chat_template else " "
        return [self._ids(f"{space}{name}") for name in self.names]

    def _ids(self, text: str, *, begins: bool = False) -> list[int]:
        found = self.described.tokenizer(text, add_special_tokens=begins)["input_ids"]
        return list(found)


def _affordable(rows: Sequence[Tokens], question: Question, *, shares: bool) -> list[Tokens]:
    """As many rows, evenly spread, as the tokens are enough for; none if they are too few."""
    if not rows:
        return []
    each = question.tokens(int(np.mean([len(row) for row in rows])), shares=shares)
    count = min(len(rows), MOST_TOKENS // each)
    return spread(rows, count) if count >= min(LEAST_ROWS, len(rows)) else []


def _texts(setup: LabelSetup, rows: Sequence[Tokens]) -> list[str]:
    numbers = np.unique(setup.prepared.held_out.rows).tolist()
    examples = {each.origin: each for each in setup.prepared.examples(numbers)}
    return [texts_of(examples[row.origin])[0] for row in rows]
