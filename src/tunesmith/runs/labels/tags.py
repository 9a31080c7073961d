"""What is particular to measuring a model that tags words; the rest is as for any that labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.records import Example, Stepwise, Tagged, Tokens
from tunesmith.evaluate.labels.calibration import probabilities
from tunesmith.evaluate.labels.measured import Said
from tunesmith.evaluate.labels.tag_rivals import TagRivals
from tunesmith.evaluate.rewards.steps import StepRivals
from tunesmith.models.classifier_form import reads_onwards
from tunesmith.models.label_artefact import Naming
from tunesmith.runs.heldout import spread
from tunesmith.runs.labels.frozen import Frozen
from tunesmith.runs.labels.setup import Labelling, LabelSetup
from tunesmith.runs.labels.words import break_of

_FITTED_ROWS = 20_000
"""At most so many training rows, evenly spread, are remembered."""


def said_of_words(
    rows: Sequence[Tokens],
    outputs_WC: NDArray[np.float32],
    naming: Naming,
    shown: Sequence[Example] = (),
) -> tuple[Said, ...]:
    """The tags of each row; a row is as sure as its least sure word."""
    chance_WC = probabilities(outputs_WC, "single_label", naming.temperature)
    names, ends = np.array(naming.names), list(accumulate(len(row.labels) for row in rows))[:-1]
    words = [_words(example) for example in shown] or [()] * len(rows)
    return tuple(
        Said(
            row.origin,
            row.labels,
            tuple(names[chance_NC.argmax(1)].tolist()),
            float(chance_NC.max(1).min()),
            words=of_row,
        )
        for row, chance_NC, of_row in zip(rows, np.split(chance_WC, ends), words, strict=True)
    )


def tag_rivals(setup: Labelling, frozen: Frozen) -> TagRivals:
    """Simple ways to tag, fitted on the training rows and what the untrained base makes of them."""
    known = _remembered(setup)
    probe, names = frozen.probe(), setup.targets.names
    return TagRivals(
        [each.tokens for each in known],
        [each.tags for each in known],
        lambda features_WD: [(names[tag],) for tag in probe(features_WD).argmax(1)],
    )


def step_rivals(setup: Labelling, frozen: Frozen) -> StepRivals:
    """Simple ways to judge steps, as `tag_rivals`."""
    probe, names = frozen.probe(), setup.targets.names
    return StepRivals(
        [label for row in frozen.rows for label in row.labels],
        lambda features_SD: [names[place] for place in probe(features_SD).argmax(1)],
    )


def naming_of_tags(setup: LabelSetup, naming: Naming) -> Naming:
    """With what has to be known of words to ask the model with a text."""
    words = (word for each in _remembered(setup) for word in each.tokens)
    return replace(
        naming,
        word_at="last" if reads_onwards(setup.described.config) else "first",
        word_break=break_of(words),
    )


def _remembered(setup: Labelling) -> list[Tagged]:
    numbers = spread(setup.prepared.train.rows.tolist(), _FITTED_ROWS)
    return [_tagged(example) for example in setup.prepared.examples(numbers)]


def _words(example: Example) -> tuple[str, ...]:
    """What is judged one by one: the steps of an answer, or the words of a text."""
    content = example.content
    return content.steps if isinstance(content, Stepwise) else _tagged(example).tokens


def _tagged(example: Example) -> Tagged:
    assert isinstance(example.content, Tagged)
    return example.content
