"""Asking a finished embedding run: texts to vectors, and which texts are nearest to one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.errors import DataError
from tunesmith.core.records import Origin, Tokens
from tunesmith.data.labelled import LabelRenderer
from tunesmith.data.sources import read
from tunesmith.runs.labels.ask import require_asked_by, text_of
from tunesmith.runs.labels.embed_judge import vectors
from tunesmith.runs.labels.predict import Predictor
from tunesmith.runs.labels.tuned import open_labelled
from tunesmith.runs.open import Run

Floats = NDArray[np.float32]
Placed = tuple[Origin, str]


@dataclass(frozen=True, slots=True)
class Near:
    """A text near another: where it stands, and the cosine of the two."""

    origin: Origin
    text: str
    cosine: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"from": str(self.origin), "cosine": round(self.cosine, 4), "text": self.text}


class Embedder:
    """The tuned model of a finished run, opened from disk.

    Raises Unsupported for a run that makes no vectors, and as `open_labelled`.
    """

    def __init__(self, run: Run) -> None:
        require_asked_by("embed", run)
        described, model, self._naming = open_labelled(run.artefact, run.recipe)
        self._context = int(run.recipe.data.context)
        self._renderer = LabelRenderer(described.tokenizer, cut=self._naming.cut > 0)
        self._predictor = Predictor(model, run.recipe.engine.tokens_per_micro_batch)

    def vectors(self, texts: Sequence[Placed]) -> Floats:
        """One vector of length 1 a text, (R, D). Raises DataError as `rows`."""
        return self.of(self.rows(texts))

    def rows(self, texts: Sequence[Placed]) -> list[Tokens]:
        """What the model reads of each text. Raises DataError naming one that cannot be read whole,
        unless the run cuts texts, or that is empty."""
        return [self._tokens(*each) for each in texts]

    def of(self, rows: Sequence[Tokens]) -> Floats:
        """One vector of length 1 for each of `rows`, (R, D)."""
        return vectors(self._predictor, rows)

    def nearest(
        self, texts: Sequence[Placed], among: Sequence[Placed], count: int
    ) -> Iterator[list[Near]]:
        """For each text at most `count` others, the nearest first."""
        among_CD = self.vectors(among)
        for asked_D in self.vectors(texts):
            cosine_C = among_CD @ asked_D
            order = np.argsort(-cosine_C, kind="stable")[:count].tolist()
            yield [
                Near(among[place][0], among[place][1], float(cosine_C[place])) for place in order
            ]

    def _tokens(self, origin: Origin, text: str) -> Tokens:
        if not text.strip():
            raise DataError(f"{origin}: the text is empty. Give it words, or leave it out.")
        ids_N = self._renderer.ids(text, self._naming.cut or None)
        if len(ids_N) > self._context:
            raise DataError(
                f"{origin}: the text has {len(ids_N)} tokens, and the model was trained on at most "
                f"{self._context}. Shorten it, or train with data.too_long=cut."
            )
        return Tokens(origin, ids_N, np.zeros(len(ids_N), np.float32), len(text.encode()))


def texts_in(data: Path, field: str) -> list[Placed]:
    """The texts of a data file. Raises DataError for a row without one, or a file without rows."""
    found = [(row.origin, text_of(row, field)) for row in read([str(data)])]
    if not found:
        raise DataError(f"{data} has no rows, so there is nothing to make vectors of.")
    return found
