"""The numbers of a job as the interface has them: each "auto" or within its bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tunesmith.core.errors import RecipeError

AUTO = "auto"

Method = Literal["supervised", "dpo", "reinforcement", "tunesmith"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """From `least` (or above it, where `open`) to `most`, None without end."""

    least: float
    most: float | None = None
    whole: bool = False
    open: bool = False

    def hold(self, value: Any) -> bool:
        """Whether the value is such a number."""
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            return False
        above = value > self.least if self.open else value >= self.least
        return above and value <= (self.most if self.most is not None else 1e300)

    def __str__(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        begins = f"above {self.least:g}" if self.open else f"from {self.least:g}"
        return f"{kind} {begins}" + (f" to {self.most:g}" if self.most is not None else " on")


_COMMON: Mapping[str, Bounds] = {
    "n_epochs": Bounds(1, 50, whole=True),
    "batch_size": Bounds(1, 256, whole=True),
    "learning_rate_multiplier": Bounds(0, open=True),
}
_REINFORCED: Mapping[str, Bounds] = {
    **_COMMON,
    "compute_multiplier": Bounds(0.00001, 10, open=True),
    "eval_interval": Bounds(1, whole=True),
    "eval_samples": Bounds(1, whole=True),
}
BOUNDS: Mapping[Method, Mapping[str, Bounds]] = {
    "supervised": _COMMON,
    "dpo": {**_COMMON, "beta": Bounds(0, 2, open=True)},
    "reinforcement": _REINFORCED,
    "tunesmith": {},
}

_EFFORT = "reasoning_effort"


def given(method: Method, hyperparameters: Mapping[str, Any] | None) -> dict[str, float]:
    """Those that were given a number. Raises RecipeError for what is none, or is not known."""
    asked = {name: value for name, value in (hyperparameters or {}).items() if value is not None}
    if method == "reinforcement" and asked.pop(_EFFORT, "default") not in ("default", AUTO):
        raise RecipeError(
            f"{_EFFORT} chooses how long a hosted model thinks, which models here have no setting "
            'for. Leave it out, or set it to "default".'
        )
    bounds = BOUNDS[method]
    for name, value in asked.items():
        if name not in bounds:
            known = ", ".join(bounds) or "none: set them in its recipe"
            raise RecipeError(f"{name} is no hyperparameter of {method}; there are: {known}.")
        if value != AUTO and not bounds[name].hold(value):
            raise RecipeError(f'{name} must be "auto" or {bounds[name]}; received {value!r:.60}.')
    return {name: value for name, value in asked.items() if value != AUTO}
