"""Floor 3, objectives: what is minimised. A page each, and one table.

`text` and `sft` share one loss: they differ in which tokens carry weight, which the data room
decides when it renders a row. `KlToBase` is that loss held near the base, `Distillation`
that loss beside a teacher's predictions. `Penalised` adds a cost of the weights to any. What is
learned from judgements of answers has a room and a table of its own, `preferences`.
"""

from __future__ import annotations

from collections.abc import Callable

from tunesmith.core.ports import Objective
from tunesmith.objectives.cross_entropy import CrossEntropy
from tunesmith.objectives.distillation import Distillation
from tunesmith.objectives.kl_to_base import KlToBase
from tunesmith.objectives.penalised import Penalised

__all__ = ["OBJECTIVES", "Distillation", "KlToBase", "Penalised"]

OBJECTIVES: dict[str, Callable[[], Objective]] = {
    "sft": CrossEntropy,
    "text": CrossEntropy,
}
