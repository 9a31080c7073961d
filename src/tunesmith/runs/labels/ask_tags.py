"""Asking a saved model that tags words: the fields of a text, with their places in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tunesmith.core.errors import DataError, Unsupported
from tunesmith.core.records import Example, Finding, Origin, Tagged, Tokens
from tunesmith.core.spans import OUTSIDE, spans
from tunesmith.data.labelled import LabelRenderer
from tunesmith.evaluate.labels.calibration import probabilities
from tunesmith.models.label_artefact import Naming
from tunesmith.models.labelled import LabelModel
from tunesmith.models.open import Described
from tunesmith.runs.labels.predict import Predictor
from tunesmith.runs.labels.words import Word, words_of

_TOKENS_PER_BATCH = 4096


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


def fields_of(
    texts: Sequence[str], described: Described, model: LabelModel, naming: Naming
) -> list[list[Field]]:
    """The fields of each text, in the order in which they stand; the three are what
    `open_labelled` gives.

    Raises:
        Unsupported: the model tags no words.
        DataError: a text is longer than the model reads, or cannot be tokenised word by word.
    """
    if naming.problem != "tags":
        raise Unsupported(
            f"The model names a label for a whole text (its problem is {naming.problem}), and no "
            "fields in it. Ask one that was trained with objective.kind=tag."
        )
    words = [words_of(text, naming.word_break) for text in texts]
    asked = [place for place, of_text in enumerate(words) if of_text]
    found: list[list[Field]] = [[] for _ in texts]
    if not asked:
        return found
    rows = _rendered([words[place] for place in asked], asked, described, naming)
    outputs_WC = Predictor(model, _TOKENS_PER_BATCH).outputs(rows)
    chance_WC = probabilities(outputs_WC, "single_label", naming.temperature)
    ends = np.cumsum([len(words[place]) for place in asked])[:-1]
    for place, chance_NC in zip(asked, np.split(chance_WC, ends), strict=True):
        found[place] = _fields(texts[place], words[place], chance_NC, naming)
    return found


def _rendered(
    texts: Sequence[Sequence[Word]], places: Sequence[int], described: Described, naming: Naming
) -> list[Tokens]:
    """The tokens of each text, as training rows of the same words have them."""
    renderer = LabelRenderer(described.tokenizer, last=naming.word_at == "last")
    examples = [
        Example(
            Origin("text", place + 1),
            Tagged(tuple(word.text for word in words), (OUTSIDE,) * len(words)),
        )
        for place, words in zip(places, texts, strict=True)
    ]
    rows = []
    for example, tokens in zip(
        examples, renderer.render(examples, "tag", described.context), strict=True
    ):
        if isinstance(tokens, Finding):
            raise DataError(f"{example.origin}: {tokens.message}")
        if len(tokens[0]) > described.context:
            raise DataError(
                f"{example.origin} has {len(tokens[0]):,} tokens, and the model reads at most "
                f"{described.context:,}. Divide it into shorter ones."
            )
        rows += tokens
    return rows


def _fields(text: str, words: Sequence[Word], chance_NC: np.ndarray, naming: Naming) -> list[Field]:
    tags = [naming.names[place] for place in chance_NC.argmax(1)]
    found = []
    for kind, first, behind in spans(tags):
        start, end = words[first].start, words[behind - 1].end
        sure = float(chance_NC[first:behind].max(1).min())
        found.append(Field(kind, text[start:end], start, end, sure))
    return found
