"""Floor 3, objectives: what is minimised. A page each, and one table.

`text` and `sft` share one loss: they differ in which tokens carry weight, which the data room
decides when it renders a row.
"""

from __future__ import annotations

from collections.abc import Callable

from tunesmith.core.ports import Objective
from tunesmith.objectives.cross_entropy import CrossEntropy

OBJECTIVES: dict[str, Callable[[], Objective]] = {
    "sft": CrossEntropy,
    "text": CrossEntropy,
}
