"""What the untrained base makes of the training rows: for the simple learners and for the head."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import nn

from tunesmith.core.ports import Watcher
from tunesmith.core.records import Tokens
from tunesmith.evaluate.labels.probe import fit_probe
from tunesmith.runs.heldout import spread
from tunesmith.runs.labels.predict import Asked, Floats
from tunesmith.runs.labels.setup import Labelling

_WORDS = 20_000
"""At most about so many words are fitted on, where words are tagged."""


class Frozen:
    """Training rows, evenly spread, and their features, computed when they are first asked for.

    That must be before the base is trained.
    """

    def __init__(self, setup: Labelling, base: Asked) -> None:
        self._setup, self._base = setup, base

    @cached_property
    def rows(self) -> list[Tokens]:
        """R of them."""
        rows = self._setup.fitted()
        if not self._setup.targets.words:
            return rows
        words = sum(len(row.labels) for row in rows)
        return spread(rows, max(1, len(rows) * _WORDS // max(words, _WORDS)))

    @cached_property
    def features(self) -> Floats:
        """What the head reads of each, (R, D); of each of their words where those are tagged."""
        return self._base.features(self.rows)


def begin_head(setup: Labelling, head: nn.Module, frozen: Frozen, watcher: Watcher) -> None:
    """Let a linear head begin as the probe on the frozen base, where the recipe says so.

    A head at random would first spoil what the base knows; see `evaluate.labels.probe`.
    """
    model = setup.recipe.model
    if model.head_start != "probe" or model.from_scratch or not isinstance(head, nn.Linear):
        return
    watcher.stage("head", "fit a linear probe on the frozen base, from which training goes on")
    weight_CD, bias_C = fit_probe(
        frozen.features,
        setup.targets.of_rows(frozen.rows),
        setup.targets.problem,
        head.out_features,
        bias=head.bias is not None,
        balanced=setup.recipe.objective.class_weights != "none",
    )
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weight_CD))
        if bias_C is not None:
            head.bias.copy_(torch.from_numpy(bias_C))
