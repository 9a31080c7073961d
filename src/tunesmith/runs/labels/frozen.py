"""What the untrained base makes of the training rows: for the simple learners and for the head."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from torch import nn

from tunesmith.core.ports import Watcher
from tunesmith.core.records import Tokens
from tunesmith.evaluate.labels.probe import Probe, fit_choice, fit_probe
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
        self._probes: dict[bool, Probe] = {}

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

    def probe(self, *, bias: bool = True) -> Probe:
        """The linear probe on all that, fitted once."""
        if bias not in self._probes:
            targets, recipe = self._setup.targets, self._setup.recipe
            if targets.problem == "preference":
                self._probes[bias] = fit_choice(self.features)
                return self._probes[bias]
            self._probes[bias] = fit_probe(
                self.features,
                targets.of_rows(self.rows),
                targets.problem,
                targets.outputs,
                bias=bias,
                balanced=recipe.objective.class_weights != "none",
            )
        return self._probes[bias]


def begin_head(setup: Labelling, head: nn.Module, frozen: Frozen, watcher: Watcher) -> None:
    """Let a linear head begin as the probe on the frozen base, where the recipe says so.

    A head at random would first spoil what the base knows; see `evaluate.labels.probe`.
    """
    model = setup.recipe.model
    if model.head_start != "probe" or model.from_scratch or not isinstance(head, nn.Linear):
        return
    watcher.stage("head", "fit a linear probe on the frozen base, from which training goes on")
    probe = frozen.probe(bias=head.bias is not None)
    if setup.targets.odds:
        probe = odds_of(probe)
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(probe.weight_CD))
        if probe.bias_C is not None:
            head.bias.copy_(torch.from_numpy(probe.bias_C))


def odds_of(probe: Probe) -> Probe:
    """Of a probe of two classes the log-odds of the second."""
    bias_C = None if probe.bias_C is None else np.diff(probe.bias_C)
    return Probe(np.diff(probe.weight_CD, axis=0), bias_C)
