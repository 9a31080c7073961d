"""Metrics of answers that name one of a few classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tunesmith.core.records import Prompt
from tunesmith.evaluate.bootstrap import Floats
from tunesmith.evaluate.metrics.metric import OfCorpus
from tunesmith.evaluate.metrics.texts import normal

_AROUND = " \t\n\r\"'`*.,;:!?()[]"


def label(text: str) -> str:
    """The class that a text names: without case, and without punctuation around it."""
    return normal(text).casefold().strip(_AROUND)


def accuracy(prompt: Prompt, answer: str) -> bool:
    """Whether the answer names the class of the reference."""
    return label(answer) == label(prompt.answer)


def _columns(references: Sequence[str], answers: Sequence[str]) -> Floats:
    """Hits, references and answers of each class of the references, side by side: (R, 3C)."""
    wanted_R = [label(text) for text in references]
    given_R = [label(text) for text in answers]
    classes = sorted(set(wanted_R))
    wanted_RC = np.array([[each == one for one in classes] for each in wanted_R], dtype=np.float64)
    given_RC = np.array([[each == one for one in classes] for each in given_R], dtype=np.float64)
    return np.concatenate([wanted_RC * given_RC, wanted_RC, given_RC], axis=1)


def _macro_f1(sums: Floats) -> Floats:
    """The mean over the classes that occur among the references of 2 hits / (wanted + given)."""
    hits, wanted, given = np.split(sums, 3, axis=-1)
    f1 = 2 * hits / np.maximum(wanted + given, 1)
    occurs = wanted > 0
    mean: Floats = (f1 * occurs).sum(axis=-1) / occurs.sum(axis=-1)
    return mean


MACRO_F1 = OfCorpus(_columns, _macro_f1)
