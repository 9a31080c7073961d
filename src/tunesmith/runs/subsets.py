"""The rows of a learning curve: nested subsets of what is trained on, written as files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from tunesmith.core.errors import DataError
from tunesmith.core.files import write_texts
from tunesmith.data import Prepared
from tunesmith.data.sources import rows_of
from tunesmith.data.subsets import nested_subset


@dataclass(frozen=True, slots=True)
class Subset:
    """A share (percent) of the training rows: their numbers by source, with the source's weight."""

    share: float
    by_source: tuple[tuple[np.ndarray, float], ...]

    @property
    def name(self) -> str:
        """`30`, `2.5`."""
        return f"{self.share:g}"

    @property
    def rows(self) -> int:
        """How many there are."""
        return sum(len(numbers) for numbers, _ in self.by_source)

    def files(self, folder: Path) -> list[tuple[Path, float]]:
        """Where the rows of each source stand, and its weight."""
        weights = (weight for _, weight in self.by_source)
        return [
            (folder / self.name / f"source-{number}.jsonl", weight)
            for number, weight in enumerate(weights, start=1)
        ]

    @staticmethod
    def held_out(folder: Path) -> Path:
        """Where the held-out rows stand, the same for all shares."""
        return folder / "held_out.jsonl"


def subsets_of(prepared: Prepared, shares: Sequence[float]) -> list[Subset]:
    """The subsets of these shares. Raises DataError if two of them would be the same rows."""
    numbers = np.unique(prepared.train.rows)
    digest_R32 = prepared.store.rows["content"][numbers]
    source_R = prepared.sources.source_F[prepared.store.rows["file"][numbers]]
    found = []
    for share in shares:
        chosen_R = nested_subset(digest_R32, source_R, share / 100)
        by_source = (
            (numbers[chosen_R & (source_R == source)], prepared.sources.weights[source])
            for source in np.unique(source_R)
        )
        found.append(Subset(share, tuple(by_source)))
    for smaller, larger in pairwise(found):
        if smaller.rows == larger.rows:
            raise DataError(
                f"{smaller.name} % and {larger.name} % of the {len(numbers)} training rows are the "
                f"same {smaller.rows}, so there is no curve to see. Give shares further apart, or "
                "more rows."
            )
    return found


def write_subsets(prepared: Prepared, subsets: Sequence[Subset], folder: Path) -> None:
    """Write the rows of each subset and the held-out ones, as they stood in their files."""
    held_out = np.unique(prepared.held_out.rows)
    write_texts(Subset.held_out(folder), _lines(prepared, held_out))
    for subset in subsets:
        (folder / subset.name).mkdir()
        pairs = zip(subset.files(folder), subset.by_source, strict=True)
        for (path, _), (numbers, _) in pairs:
            write_texts(path, _lines(prepared, numbers))


def _lines(prepared: Prepared, numbers: np.ndarray) -> Iterator[str]:
    """The rows of these numbers, ascending, as JSON lines, in one pass over their files."""
    file_R = prepared.store.rows["file"]
    for file in np.unique(file_R[numbers]):
        first, end = np.searchsorted(file_R, [file, file + 1])
        wanted = set(numbers[(numbers >= first) & (numbers < end)].tolist())
        path = prepared.store.paths[file]
        count = int(first)
        for row in rows_of(path):
            if count in wanted:
                yield json.dumps(dict(row.fields)) + "\n"
            count += 1
        if count != end:
            raise DataError(
                f"{path} has {count - first} rows now where {end - first} were read: it was "
                "changed meanwhile. Start again with the file as it is now."
            )
