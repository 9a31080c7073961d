"""The act `data show`: what of each row the model sees, and which of it is learned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from tunesmith.core.records import Chat, Example, Finding, Origin, Tokens
from tunesmith.data import Renderer, choose, examine, show
from tunesmith.data.formats import understand
from tunesmith.data.render import CompletionAs
from tunesmith.data.sources import blocks, expand
from tunesmith.models.open import describe
from tunesmith.recipe import Recipe
from tunesmith.runs.setup import early_choices, facts_of


@dataclass(frozen=True, slots=True)
class Shown:
    """One row: stretches of text and whether each is learned, or why it cannot be trained."""

    origin: Origin
    stretches: tuple[tuple[str, bool], ...]
    tokens: int
    learned: int
    complaint: str | None = None


def show_data(
    file: Path,
    base: str,
    *,
    template: str = "auto",
    kind: str = "sft",
    limit: int = 3,
    mapping: Mapping[str, str] | None = None,
) -> list[Shown]:
    """The first `limit` rows of a file or folder as `base` would be trained on them.

    They go through the checks of a training run whose recipe names only base, template, kind and
    mapping (`data.mapping`).
    Raises DataError or ModelError if file, template or base cannot be opened.
    """
    described = describe(base)
    tokenizer = described.tokenizer
    chosen = early_choices(Recipe(), facts_of(described), 1).recipe.data
    read = chain.from_iterable(blocks(path) for path in expand([str(file)]).files)
    placed = (placed for block in read for placed in block.rows())
    rows = (understand(each.row, mapping or {}) for each in placed)
    first = list(islice(rows, limit))
    completion_as = _completion_as(chain(first, rows), chosen.completion_as)
    renderer = Renderer(tokenizer, choose(tokenizer, template)[0], completion_as)
    shown: list[Shown] = []
    fates = examine(first, "text" if kind == "text" else "sft", renderer, chosen.context)
    for fate in fates:
        if isinstance(fate, Finding):
            assert fate.origin is not None
            shown.append(Shown(fate.origin, (), 0, 0, fate.message))
        else:
            shown += [_part(part, tokenizer) for part in fate.parts]
    return shown


def _completion_as(rows: Iterable[Example | Finding], chosen: CompletionAs) -> CompletionAs:
    """A file that holds chats is trained, and asked, by chat throughout; read up to the first."""
    if chosen == "chat":
        return chosen
    chats = any(isinstance(row, Example) and isinstance(row.content, Chat) for row in rows)
    return "chat" if chats else chosen


def _part(part: Tokens, tokenizer: Any) -> Shown:
    return Shown(part.origin, tuple(show(part, tokenizer)), len(part), part.sites)
