"""The act `data show`: what of each row the model sees, and which of it is learned."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tunesmith.core.records import Finding, Origin
from tunesmith.data import Renderer, choose, show
from tunesmith.data.formats import detect
from tunesmith.data.render import CompletionAs
from tunesmith.data.sources import read
from tunesmith.models.open import describe


@dataclass(frozen=True, slots=True)
class Shown:
    """One row: stretches of text and whether each is learned, or why it cannot be trained."""

    origin: Origin
    stretches: tuple[tuple[str, bool], ...]
    tokens: int
    learned: int
    complaint: str | None = None


def show_data(
    file: Path, base: str, *, template: str = "auto", kind: str = "sft", limit: int = 3
) -> list[Shown]:
    """The first `limit` rows of a data file as `base` would be trained on them.

    Raises DataError or ModelError if file, template or base cannot be opened.
    """
    described = describe(base)
    tokenizer = described.tokenizer
    completion_as: CompletionAs = "chat" if tokenizer.chat_template else "plain"
    renderer = Renderer(tokenizer, choose(tokenizer, template)[0], completion_as)
    shown: list[Shown] = []
    for row in detect(read([str(file)])[:limit]).rows:
        if isinstance(row, Finding):
            assert row.origin is not None
            shown.append(Shown(row.origin, (), 0, 0, row.message))
            continue
        (parts,) = renderer.render([row], "text" if kind == "text" else "sft", described.context)
        if isinstance(parts, Finding):
            shown.append(Shown(row.origin, (), 0, 0, parts.message))
            continue
        for part in parts:
            stretches = tuple(show(part, tokenizer))
            shown.append(Shown(row.origin, stretches, len(part), part.sites))
    return shown
