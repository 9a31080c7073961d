"""Asking a saved model that tags words: the fields of a text, with their places in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunesmith.core.errors import DataError
from tunesmith.core.records import Example, Finding, Origin, Tagged, Tokens
from tunesmith.core.spans import OUTSIDE, spans
from tunesmith.data.labelled import LabelRenderer
from tunesmith.evaluate.labels.calibration import probabilities
from tunesmith.models.label_artefact import Naming
from tunesmith.models.open import Described
from tunesmith.runs.labels.predict import Predictor
from tunesmith.runs.labels.words import Word, words_of


@dataclass(frozen=True, slots=True)
class Field:
    """Characters `start` to `end` (exclusive) of a text are a field of type `kind`.

    `sure` is the probability of the tag of its least sure word.
    """

    kind: str
    text: str
    start: int
    end: int
    sure: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "type": self.kind,
            "text": self.text,
            "start": self.start,
            "end": self.end,
            "probability": round(self.sure, 4),
        }


def fields_of(
    texts: Sequence[tuple[Origin, str]],
    described: Described,
    predictor: Predictor,
    naming: Naming,
    context: int,
) -> list[tuple[Field, ...]]:
    """The fields of each text, in the order in which they stand.

    Args:
        texts: at least one, each with its place for errors.
        described: the base, with the tokenizer that was saved.
        predictor: asks the saved model.
        naming: what its outputs mean.
        context: the most tokens of a text.

    Raises:
        DataError: a text is empty or too long, or a word of it has no token of its own.
    """
    words = [words_of(text, naming.word_break) for _, text in texts]
    origins = [origin for origin, _ in texts]
    rows = list(_rendered(origins, words, described, naming, context))
    chance_WC = probabilities(predictor.outputs(rows), "single_label", naming.temperature)
    ends = np.cumsum([len(each) for each in words])[:-1]
    return [
        _fields(text, of_text, chance_NC, naming)
        for (_, text), of_text, chance_NC in zip(
            texts, words, np.split(chance_WC, ends), strict=True
        )
    ]


def _rendered(
    origins: Sequence[Origin],
    texts: Sequence[Sequence[Word]],
    described: Described,
    naming: Naming,
    context: int,
) -> Iterator[Tokens]:
    """The tokens of each text, as training rows of the same words have them."""
    renderer = LabelRenderer(described.tokenizer, last=naming.word_at == "last")
    for origin, words in zip(origins, texts, strict=True):
        if not words:
            raise DataError(f"{origin}: the text is empty. Give a text to label, or leave it out.")
        asked = Tagged(tuple(word.text for word in words), (OUTSIDE,) * len(words))
        (found,) = renderer.render([Example(origin, asked)], "tag", context)
        if isinstance(found, Finding):
            raise DataError(f"{origin}: {found.message}")
        if len(found[0]) > context:
            raise DataError(
                f"{origin}: the text has {len(found[0])} tokens, and the model was trained on at "
                f"most {context}. Divide it."
            )
        yield found[0]


def _fields(
    text: str, words: Sequence[Word], chance_NC: np.ndarray, naming: Naming
) -> tuple[Field, ...]:
    tags = [naming.names[place] for place in chance_NC.argmax(1)]
    found = []
    for kind, first, behind in spans(tags):
        start, end = words[first].start, words[behind - 1].end
        sure = float(chance_NC[first:behind].max(1).min())
        found.append(Field(kind, text[start:end], start, end, sure))
    return tuple(found)
