"""What is learned from people's judgement of answers, and one table. A page each.

    | kind  | rows  | reference | the reward of an answer                | beside it          |
    |-------|-------|-----------|----------------------------------------|--------------------|
    | dpo   | pairs | yes       | β log-ratio, or per token; 5 variants  | cross entropy: 0   |
    | simpo | pairs | no        | β log-likelihood per token             | cross entropy: 0   |
    | orpo  | pairs | no        | λ log-odds of a mean token             | cross entropy: 1   |
    | cpo   | pairs | no        | β log-likelihood                       | cross entropy: 1   |
    | kto   | rated | yes       | β log-ratio, against the step's KL     |                    |
    | bco   | rated | yes       | β log-ratio, against the step's mean   |                    |

`answers` sums sites to answers, `pairs` and `rated` make an objective of a page.
"""

from __future__ import annotations

from collections.abc import Callable

from tunesmith.core.ports import Objective
from tunesmith.objectives.preferences.bco import BCO
from tunesmith.objectives.preferences.cpo import CPO
from tunesmith.objectives.preferences.dpo import DPO
from tunesmith.objectives.preferences.kto import KTO
from tunesmith.objectives.preferences.orpo import ORPO
from tunesmith.objectives.preferences.pairs import Pairwise
from tunesmith.objectives.preferences.rated import Rated
from tunesmith.objectives.preferences.simpo import SimPO

__all__ = ["PREFERENCES", "REFERENCED"]

PREFERENCES: dict[str, Callable[..., Objective]] = {
    "dpo": lambda **settings: Pairwise(DPO(**settings)),
    "simpo": lambda **settings: Pairwise(SimPO(**settings)),
    "orpo": lambda **settings: Pairwise(ORPO(**settings)),
    "cpo": lambda **settings: Pairwise(CPO(**settings)),
    "kto": lambda **settings: Rated(KTO(**settings)),
    "bco": lambda **settings: Rated(BCO(**settings)),
}
"""The objective of each kind, by its page's own settings."""

REFERENCED = frozenset({"dpo", "kto", "bco"})
"""Kinds that read `Batch.reference_S`."""
