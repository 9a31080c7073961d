"""Learning-rate schedules: functions of progress from 0 to 1 that return a factor from 0 to 1."""

from __future__ import annotations

import math
from collections.abc import Callable

Schedule = Callable[[float], float]


def constant(progress: float) -> float:
    """The full rate throughout."""
    return 1.0


def linear(progress: float) -> float:
    """A straight line to zero."""
    return 1.0 - progress


def cosine(progress: float) -> float:
    """Half a cosine to zero (Loshchilov and Hutter 2017, eq. 5, one cycle)."""
    return 0.5 * (1.0 + math.cos(math.pi * progress))


def trapezoid(progress: float) -> float:
    """The full rate for three quarters, then a straight line to zero (Hu et al. 2024, §4.1).

    Suits data whose last quarter is the best, as the base's pre-training has it.
    """
    return min(1.0, 4.0 * (1.0 - progress))


_REDECAYED = 0.1
"""Of the peak, where a re-warmed rate ends: the next continuation begins from there, not from 0."""


def rewarm(progress: float) -> float:
    """Half a cosine to a tenth of the full rate (Ibrahim et al. 2024, §4.1, eq. 1).

    For a model that was trained to the end of its schedule and goes on with other text: behind the
    warm-up this is its re-decay.
    """
    return _REDECAYED + (1.0 - _REDECAYED) * cosine(progress)


SCHEDULES: dict[str, Schedule] = {
    "constant": constant,
    "linear": linear,
    "cosine": cosine,
    "trapezoid": trapezoid,
    "rewarm": rewarm,
}


def rate(schedule: str, step: int, total_steps: int, warmup: float, peak: float) -> float:
    """The learning rate of optimiser step `step` (counted from 0).

    It climbs in a straight line over the first `warmup` share of all steps and never is 0 on a
    step that is taken: step 0 uses the first rung of the climb, the last step the last of the
    descent.
    """
    warmup_steps = math.ceil(warmup * total_steps)
    if step < warmup_steps:
        return peak * (step + 1) / (warmup_steps + 1)
    progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
    return peak * SCHEDULES[schedule](progress)
