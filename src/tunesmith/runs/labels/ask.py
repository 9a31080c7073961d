"""Asking a finished run for labels: texts in, one answer each out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tunesmith.core.errors import DataError, Unsupported
from tunesmith.core.records import Origin, Row, Tokens
from tunesmith.data.labelled import LabelRenderer
from tunesmith.data.sources import read
from tunesmith.evaluate.labels.calibration import probabilities
from tunesmith.models.label_artefact import Naming
from tunesmith.models.open import Described
from tunesmith.recipe import LABELS
from tunesmith.runs.labels.ask_tags import Field, fields_of
from tunesmith.runs.labels.judge import named
from tunesmith.runs.labels.predict import Predictor
from tunesmith.runs.labels.tuned import open_labelled
from tunesmith.runs.open import Run

_TOGETHER = 256
"""Rows asked for at once: answers come as they are read."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One text's labels. `sure` is the probability of the likeliest class; `named` is false where
    it is under the run's threshold, so that a person should look. A number is in `labels`, too.
    Where words are tagged, `fields` are what they mark, and `labels` the types of those. `chances`
    are the probabilities of all classes, where there are classes."""

    labels: tuple[str, ...]
    sure: float | None
    named: bool
    fields: tuple[Field, ...] | None = None
    chances: Mapping[str, float] | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        if self.fields is not None:
            return {"fields": [field.to_json() for field in self.fields]}
        chance = {} if self.sure is None else {"probability": round(self.sure, 4)}
        return {"labels": list(self.labels), **chance, "certain": self.named}


class Asking(Protocol):
    """A tuned model that labels, of texts or of images; `field` is where rows have what is asked
    about."""

    @property
    def field(self) -> str: ...
    def label(self, texts: Sequence[tuple[Origin, str]]) -> list[Answer]: ...


class Labeller:
    """The tuned model of a finished run, opened from disk.

    Raises Unsupported for a run that does not label, and as `open_labelled`.
    """

    field = "text"

    def __init__(self, run: Run) -> None:
        require_asked_by("label", run)
        self._described, model, self._naming = open_labelled(run.artefact, run.recipe)
        self._context = int(run.recipe.data.context)
        self._renderer = LabelRenderer(self._described.tokenizer)
        self._predictor = Predictor(model, run.recipe.engine.tokens_per_micro_batch)

    @property
    def described(self) -> Described:
        """The base, and the tokenizer that was saved."""
        return self._described

    def label(self, texts: Sequence[tuple[Origin, str]]) -> list[Answer]:
        """One answer a text, in order. Raises DataError naming a text that is too long or empty."""
        if not texts:
            return []
        if self._naming.problem == "tags":
            return self._tagged(texts)
        rows = [self._tokens(origin, text) for origin, text in texts]
        return answers(self._predictor.outputs(rows), self._naming)

    def _tagged(self, texts: Sequence[tuple[Origin, str]]) -> list[Answer]:
        found = fields_of(texts, self._described, self._predictor, self._naming, self._context)
        return [
            Answer(
                tuple(dict.fromkeys(field.kind for field in fields)),
                min((field.sure for field in fields), default=None),
                True,
                fields,
            )
            for fields in found
        ]

    def _tokens(self, origin: Origin, text: str) -> Tokens:
        ids_N = self._renderer.ids(text)
        if not text.strip():
            raise DataError(f"{origin}: the text is empty. Give a text to label, or leave it out.")
        if len(ids_N) > self._context:
            raise DataError(
                f"{origin}: the text has {len(ids_N)} tokens, and the model was trained on at most "
                f"{self._context}. Shorten it."
            )
        return Tokens(origin, ids_N, np.zeros(len(ids_N), np.float32), len(text.encode()))


def require_asked_by(command: str, run: Run) -> None:
    """Raises Unsupported where the model of a run is asked by another command."""
    kind = run.recipe.objective.kind
    other = LABELS.get(kind, "chat")
    if other != command:
        does = {
            "chat": "to write",
            "label": "to label texts",
            "embed": "to make vectors of texts",
            "score": "to judge answers",
        }
        raise Unsupported(
            f"The run in {run.path} was trained {does[other]} (objective.kind={kind}). Ask it with "
            f"`tunesmith {other} {run.path}`."
        )


def label_file(labeller: Asking, data: Path, field: str | None = None) -> Iterator[dict[str, Any]]:
    """Each row of a data file with its answer, in order: its own fields, and `predicted`.

    Raises DataError for a row that cannot be read, or has no text under `field`.
    """
    field = field or labeller.field
    waiting = iter(read([str(data)]))
    while rows := list(islice(waiting, _TOGETHER)):
        found = labeller.label([(row.origin, text_of(row, field)) for row in rows])
        for row, answer in zip(rows, found, strict=True):
            yield {**row.fields, "predicted": answer.to_json()}


def text_of(row: Row, field: str) -> str:
    """The text of a row. Raises DataError if it has none under `field`."""
    value = row.fields.get(field)
    if not isinstance(value, str):
        there = ", ".join(f'"{name}"' for name in row.fields)
        raise DataError(
            f'{row.origin}: the row has no text in "{field}" (it has {there}). Name the field that '
            "holds the text with --field."
        )
    return value


def answers(outputs_RC: np.ndarray, naming: Naming) -> list[Answer]:
    """What a head's outputs say."""
    if naming.problem == "regression":
        numbers = outputs_RC[:, 0].astype(np.float64) * naming.scale + naming.mean
        return [Answer((repr(round(float(each), 6)),), None, True) for each in numbers]
    chances_RC = probabilities(outputs_RC, naming.problem, naming.temperature)
    return [
        Answer(
            named(each, naming),
            float(each.max()),
            float(each.max()) >= naming.threshold,
            chances=dict(zip(naming.names, each.tolist(), strict=True)),
        )
        for each in chances_RC
    ]
