"""What steps get without this training: one verdict for all of them, and a probe on the base."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tunesmith.evaluate.labels.measured import Rival, Said
from tunesmith.evaluate.labels.rivals import CONSTANT, LINEAR

Floats = NDArray[np.float32]


class StepRivals:
    """Simple ways to judge steps.

    Args:
        labels: the verdict of each training step.
        linear: from the frozen features of steps (S, D) to their verdicts (S).
    """

    def __init__(self, labels: Sequence[str], linear: Callable[[Floats], list[str]]) -> None:
        self._commonest = max(sorted(counts := Counter(labels)), key=counts.__getitem__)
        self._linear = linear

    def judge(self, features_SD: Floats, rows: Sequence[Said]) -> tuple[Rival, ...]:
        """Each on `rows`, whose steps' features these are (what `rows` say is not read)."""
        told, start, probed = self._linear(features_SD), 0, []
        for row in rows:
            end = start + len(row.wanted)
            probed.append(replace(row, said=tuple(told[start:end])))
            start = end
        constant = [replace(row, said=(self._commonest,) * len(row.wanted)) for row in rows]
        return (
            Rival(CONSTANT, "the commonest verdict for every step", tuple(constant)),
            Rival(
                LINEAR,
                "logistic regression on the frozen base",
                tuple(probed),
                "on the states that the untrained base has at the end of a step, standardised",
            ),
        )
