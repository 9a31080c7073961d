"""The base without training, helped by a prompt, by examples or by search, on judging rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

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
    found = tuple(helped(base, setup))
    write_json(folder.baselines, [each.to_json() for each in found])
    return found


def helped(base: Base, setup: Setup) -> Iterator[Baseline]:
    """The base with each help that the recipe asks for, on some of the judging rows."""
    evaluate, prepared = setup.recipe.evaluate, setup.prepared
    most = compared_rows(evaluate.level, evaluate.rows)
    rows = _asking(prepared.examples(spread(setup.held_out.rows, most)))
    asking = _Asking(base, setup, rows)
    if not rows:
        return
    if setup.instruction:
        yield asking.measured("prompt", "your prompt", lambda _: ())
    if not evaluate.examples:
        return
    numbers = np.unique(prepared.train.rows).tolist()
    pool = _asking(prepared.examples(spread(numbers, SEARCHED_ROWS)))
    fixed = spread(pool, evaluate.examples)
    few = f"{plural(len(fixed), 'example')} in its prompt"
    yield asking.measured("examples", few, lambda _: fixed)
    index = Index([view(each).text for each in pool])

    def nearest(row: Example) -> list[Example]:
        found = index.nearest(view(row).prompt, evaluate.examples)
        return [pool[at] for at in reversed(found)]  # the most alike stands next to the question

    found = f"the {plural(len(fixed), 'nearest example')} found by search in its prompt"
    yield asking.measured("search", found, nearest)


class _Asking:
    """One base, and the rows that it is asked."""

    def __init__(self, base: Base, setup: Setup, rows: Sequence[Example]) -> None:
        self._base = base
        self._setup = setup
        self._rows = rows

    def measured(self, name: str, title: str, choose: Choose) -> Baseline:
        """The base with the examples chosen for each row."""
        setup, renderer = self._setup, self._setup.renderer
        evaluate = setup.recipe.evaluate
        asked = [self._fitting(row, choose(row)) for row in self._rows]
        prompts = [prompt for example, _ in asked if (prompt := renderer.prompt(example))]
        side = measure(
            ModelScorer(self._base, setup.recipe.engine.tokens_per_micro_batch),
            Opened(self._base, renderer).sampler,
            [tokens for _, parts in asked for tokens in parts],
            [],
            [],
            spread(prompts, compared_answers(evaluate.level, evaluate.rows)),
            check=setup.check,
            max_new_tokens=evaluate.max_new_tokens,
            count_tokens=renderer.length,
        )
        return Baseline(name, title, side)

    def _fitting(self, row: Example, examples: Sequence[Example]) -> tuple[Example, list[Tokens]]:
        """The row behind as many of the examples, the last ones, as fit into the context."""
        renderer, context = self._setup.renderer, self._setup.described.context
        plain = renderer.completion_as == "plain"
        longest = 0
        for first in range(len(examples) + 1):
            asked = shown(row, examples[first:], self._setup.instruction, plain=plain)
            (parts,) = renderer.render([asked], "sft", context)
            if isinstance(parts, Finding):
                raise DataError(
                    f"{row.origin}: asked behind evaluate.prompt and other examples, it cannot be "
                    f"rendered. {parts.message} Leave evaluate.prompt out, or set "
                    "evaluate.examples=0."
                )
            longest = max(map(len, parts))
            if longest <= context:
                return asked, parts
        raise DataError(
            f"{row.origin}: behind evaluate.prompt it has {longest} tokens, and "
            f"{self._setup.described.name} reads at most {context}. Shorten the prompt."
        )


def _asking(examples: Sequence[Example]) -> list[Example]:
    """Those that ask something; documents do not."""
    return [each for each in examples if isinstance(each.content, Chat | Completion)]
