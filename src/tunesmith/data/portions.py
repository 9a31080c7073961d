"""One block of rows through everything that is done to single rows: what each process works at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tunesmith.core.records import Chat, Example, Finding, images_in
from tunesmith.data.conversations import field_of, group_of
from tunesmith.data.examine import Fate, Kept, RowRenderer, examine
from tunesmith.data.formats import Reading, read_row
from tunesmith.data.kinds import Kind
from tunesmith.data.quality.looks import look
from tunesmith.data.sources import Block, Placed
from tunesmith.data.split import content_digest
from tunesmith.data.store import FINDINGS_KEPT, KINDS, ROW, Portion, coded, table_of


@dataclass(frozen=True, slots=True)
class Tokenise:
    """Rows to the tables of a store: understood, rendered, checked, tokenised and hashed.

    What becomes of a row depends on nothing but the row, so blocks may be cut anywhere and worked
    at in any order.
    """

    renderer: RowRenderer
    kind: Kind
    context: int
    mapping: Mapping[str, str] = field(default_factory=dict)
    group_by: str | None = None

    def identity(self) -> dict[str, Any]:
        """All that the tables follow from besides the rows, as JSON."""
        own = {
            "kind": self.kind,
            "context": self.context,
            "mapping": dict(self.mapping),
            "group_by": self.group_by,
        }
        return {**self.renderer.identity(), **own}

    @property
    def lasts(self) -> bool:
        """Whether the tables follow from the rows and `identity` alone: with pictures they follow
        from the files of these, too, which may change, or come to be there."""
        return self.renderer.identity().get("pictures") is None

    def __call__(self, block: Block) -> Portion:
        """Raises DataError where the block holds something that is not a row."""
        placed = list(block.rows())
        readings = [read_row(each.row, self.mapping) for each in placed]
        understood = [reading.outcome for reading in readings]
        fates = examine(understood, self.kind, self.renderer, self.context)
        fields = [field_of(each.row.fields, self.group_by) for each in placed]
        numbered = enumerate(fates)
        kept = [(row, part) for row, f in numbered if isinstance(f, Kept) for part in f.parts]
        dropped = {row: f for row, f in enumerate(fates) if isinstance(f, Finding)}
        first = list(dropped.items())[:FINDINGS_KEPT]
        sequences, tokens, labels = table_of(kept)
        codes, names = coded(labels)
        return Portion(
            rows_in=len(placed),
            rows=_records(placed, understood, fields),
            sequences=sequences,
            tokens=tokens,
            labels=codes,
            names=names,
            reasons=[_reason(fate) for fate in fates],
            messages={row: finding.message for row, finding in first},
            extras=_extras(readings, fields),
            formats=Counter(reading.title for reading in readings if reading.title),
            looks=look(understood),
        )


def _records(
    placed: list[Placed], understood: list[Example | Finding], fields: list[str | None]
) -> np.ndarray:
    records = np.zeros(len(placed), ROW)
    records["line"] = [each.row.origin.line for each in placed]
    records["item"] = [each.row.origin.index or 0 for each in placed]
    records["start"] = [each.start for each in placed]
    records["size"] = [each.size for each in placed]
    records["group"] = [
        _about(example) if name is None else group_of(each.row.fields, name)
        for each, name, example in zip(placed, fields, understood, strict=True)
    ]
    for record, example in zip(records, understood, strict=True):
        if isinstance(example, Example):
            record["kind"] = KINDS.index(type(example.content))
            record["content"] = np.frombuffer(content_digest(example.content), np.uint8)
    return records


def _about(example: Example | Finding) -> int:
    """The group of rows about one picture: what is asked of it otherwise is no other case."""
    content = example.content if isinstance(example, Example) else None
    images = images_in(content.messages) if isinstance(content, Chat) else ()
    return group_of({"image": images[0]}, "image") if images else 0


def _reason(fate: Fate) -> str:
    return fate.reason if isinstance(fate, Finding) else ""


def _extras(readings: list[Reading], fields: list[str | None]) -> Counter[str]:
    """How many rows have each field that is not used, not even to group them."""
    return Counter(
        name
        for reading, used in zip(readings, fields, strict=True)
        for name in reading.extras
        if name != used
    )
