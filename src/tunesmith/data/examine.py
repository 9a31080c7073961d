"""Every check on single rows, in one place: what `prepare` trains on is what `data show` shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tunesmith.core.records import Example, Finding, Tokens
from tunesmith.data.checks import Limits, check
from tunesmith.data.kinds import ASKED, Kind


class Starting(Protocol):
    """What the checks ask of a tokenizer: the token that begins a text, None for none."""

    @property
    def start(self) -> int | None: ...
    @property
    def tokenizer(self) -> Any: ...


class RowRenderer(Protocol):
    """Examples to tokens, for some objectives: `Renderer` for those that write, `LabelRenderer` for
    those that label, `ImageRenderer` for images."""

    @property
    def encoder(self) -> Starting:
        """The tokenizer."""
        ...

    @property
    def completion_as(self) -> str:
        """ "plain" where no chat template stands around a completion."""
        ...

    def identity(self) -> dict[str, Any]:
        """All that the tokens of an example follow from besides the example, as JSON."""
        ...

    def stop_ids(self) -> tuple[int, ...]:
        """Ids of which one must end what is learned; none where nothing is written."""
        ...

    def render(
        self, examples: Sequence[Example], kind: Kind, context: int
    ) -> Iterator[list[Tokens] | Finding]:
        """What each example becomes, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Kept:
    """A row that can be trained, and the tokens it becomes."""

    example: Example
    parts: list[Tokens]


Fate = Kept | Finding


def examine(
    rows: Sequence[Example | Finding], kind: Kind, renderer: RowRenderer, context: int
) -> list[Fate]:
    """What becomes of each row by itself, in order: it is rendered and checked.

    Args:
        rows: what `formats.detect` made of the rows; findings are passed on.
        kind: the objective.
        renderer: made with the base's tokenizer.
        context: tokens the model sees, at least 2.
    """
    examples = [row for row in rows if isinstance(row, Example)]
    looked = look(examples, kind, renderer, context)
    fates: list[Fate] = []
    for row in rows:
        if isinstance(row, Finding):
            fates.append(row)
            continue
        parts, finding = next(looked)
        fates.append(finding or Kept(row, parts))
    return fates


def look(
    examples: Sequence[Example], kind: Kind, renderer: RowRenderer, context: int
) -> Iterator[tuple[list[Tokens], Finding | None]]:
    """The tokens of each example, in order, and why they cannot be trained where they cannot.

    There are no tokens where an example could not be rendered. Arguments as of `examine`.
    """
    ends = () if kind in ASKED else renderer.stop_ids()
    limits = Limits(context, ends, renderer.encoder.tokenizer.bos_token_id)
    rendered = renderer.render(examples, kind, context)
    for example, parts in zip(examples, rendered, strict=True):
        if isinstance(parts, Finding):
            yield [], parts
        else:
            yield parts, check(example.origin, parts, limits)
