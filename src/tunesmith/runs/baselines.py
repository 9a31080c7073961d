"""The base without training, helped by a prompt, by examples or by search, on judging rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tunesmith.core.errors import DataError
from tunesmith.core.files import read_json, write_json
from tunesmith.core.records import Chat, Completion, Example, Finding, Tokens
from tunesmith.data.demonstrations import shown
from tunesmith.data.quality.view import view
from tunesmith.evaluate.measure import Baseline, measure
from tunesmith.evaluate.retrieval import Index
from tunesmith.evaluate.wording import plural
from tunesmith.models.open import Base
from tunesmith.recipe import compared_answers, compared_rows
from tunesmith.runs.folder import RunFolder
from tunesmith.runs.heldout import spread
from tunesmith.runs.open import Opened
from tunesmith.runs.scoring import ModelScorer
from tunesmith.runs.setup import Setup

SEARCHED_ROWS = 20_000
"""At most this many training rows are in the search index, evenly spread: their texts are read
again, and stand in memory."""


Choose = Callable[[Example], Sequence[Example]]
"""Which examples are shown with a row, in the order in which they are read."""


def measure_baselines(base: Base, setup: Setup, folder: RunFolder) -> tuple[Baseline, ...]:
    """What the base can do if it is helped instead; measured once and kept for a resumed run.

    Empty where the recipe asks for none, or where rows are documents, which ask nothing.

    Raises:
        DataError: the template cannot hold the prompt that the recipe names.
    """
    if folder.baselines.exists():
        return tuple(map(Baseline.from_json, read_json(folder.baselines)))
    evaluate = setup.recipe.evaluate
    most = compared_rows(evaluate.level, evaluate.rows)
    rows = asking_rows(setup, spread(setup.held_out.rows, most))
    found = tuple(helped(base, setup, rows))
    write_json(folder.baselines, [each.to_json() for each in found])
    return found


def helped(base: Base, setup: Setup, rows: Sequence[Example]) -> Iterator[Baseline]:
    """The base with each help that the recipe asks for, on these rows."""
    if not rows:
        return
    evaluate = setup.recipe.evaluate
    asked = Asking(base, setup, rows, compared_answers(evaluate.level, evaluate.rows))
    for each in helps(setup):
        yield asked.measured(each)


@dataclass(frozen=True, slots=True)
class Help:
    """What a base is given with each question: an instruction, and other rows as examples.

    `name` and `title` are those of the `Baseline` that is measured with it.
    """

    name: str
    title: str
    choose: Choose = lambda _: ()
    instruction: str = ""


def helps(setup: Setup) -> Iterator[Help]:
    """Each help that the recipe asks for: its prompt, some training rows, those found by search."""
    evaluate, prepared = setup.recipe.evaluate, setup.prepared
    told = setup.instruction
    if told:
        yield Help("prompt", "your prompt", instruction=told)
    if not evaluate.examples:
        return
    numbers = np.unique(prepared.train.rows).tolist()
    pool = asking_rows(setup, spread(numbers, SEARCHED_ROWS))
    fixed = spread(pool, evaluate.examples)
    few = f"{plural(len(fixed), 'example')} in its prompt"
    yield Help("examples", few, lambda _: fixed, told)
    index = Index([view(each).text for each in pool])

    def nearest(row: Example) -> list[Example]:
        found = index.nearest(view(row).prompt, evaluate.examples)
        return [pool[at] for at in reversed(found)]  # the most alike stands next to the question

    found = f"the {plural(len(fixed), 'nearest example')} found by search in its prompt"
    yield Help("search", found, nearest, told)


def asking_rows(setup: Setup, numbers: Sequence[int]) -> list[Example]:
    """The rows of these numbers that ask something; documents do not."""
    return asking(setup.prepared.examples(numbers))


def asking(examples: Sequence[Example]) -> list[Example]:
    """Those that ask something; documents do not."""
    return [each for each in examples if isinstance(each.content, Chat | Completion)]


class Asking:
    """One base, the rows that it is scored on, and for how many of them it writes answers."""

    def __init__(self, base: Base, setup: Setup, rows: Sequence[Example], answers: int) -> None:
        self._base = base
        self._setup = setup
        self._rows = rows
        self._answers = answers

    def measured(self, given: Help) -> Baseline:
        """The base with this help for each row."""
        setup, renderer = self._setup, self._setup.renderer
        evaluate = setup.recipe.evaluate
        asked = [self._fitting(row, given) for row in self._rows]
        prompts = [prompt for example, _ in asked if (prompt := renderer.prompt(example))]
        side = measure(
            ModelScorer(self._base, setup.recipe.engine.tokens_per_micro_batch),
            Opened(self._base, renderer).sampler,
            [tokens for _, parts in asked for tokens in parts],
            [],
            [],
            spread(prompts, self._answers),
            check=setup.check,
            max_new_tokens=evaluate.max_new_tokens,
            count_tokens=renderer.length,
        )
        return Baseline(given.name, given.title, side)

    def _fitting(self, row: Example, given: Help) -> tuple[Example, list[Tokens]]:
        """The row behind as many of the examples, the last ones, as fit into the context."""
        renderer, context = self._setup.renderer, self._setup.described.context
        plain = renderer.completion_as == "plain"
        examples, why = given.choose(row), ""
        for first in range(len(examples) + 1):
            asked = shown(row, examples[first:], given.instruction, plain=plain)
            (parts,) = renderer.render([asked], "sft", context)
            if isinstance(parts, Finding):
                if parts.reason != "too_long":
                    raise DataError(
                        f"{row.origin}: asked behind evaluate.prompt and other examples, it cannot "
                        f"be rendered. {parts.message} Leave evaluate.prompt out, or set "
                        "evaluate.examples=0."
                    )
                why = f"it cannot be read. {parts.message}"
                continue
            longest = max(map(len, parts))
            if longest <= context:
                return asked, parts
            name = self._setup.described.name
            why = f"it has {longest} tokens, and {name} reads at most {context}."
        raise DataError(f"{row.origin}: behind evaluate.prompt {why} Shorten the prompt.")
