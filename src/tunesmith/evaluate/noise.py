"""How far two measurements of one model are apart: no gain below that is one."""

from __future__ import annotations

import math

from tunesmith.evaluate.measure import Noise, Side
from tunesmith.evaluate.pairing import BITS_PER_BYTE

GREEDY = (
    "Answers are greedy (temperature 0): the same model gives the same answers to the same batches "
    "on one machine."
)

MEASURED_AGAIN = 8
"""So many rows are scored twice: together with others, and alone. Rounding shows on any of them,
and alone they cost more."""


def noise_floor(base: Side, tuned: Side, unit: str) -> float | None:
    """The noise of base minus tuned in `unit`; None where nothing was scored twice.

    Of each side the mean absolute difference of its rows, as if all had been rounded one way: the
    most that rounding can do to a sum. A difference has the noise of both sides.
    """
    found = [_floor(side.noise, unit) for side in (base, tuned) if side.noise is not None]
    return sum(found) if found else None


def _floor(noise: Noise, unit: str) -> float:
    bits = unit == BITS_PER_BYTE
    total = noise.nats / math.log(2) if bits else noise.nats
    return total / max(noise.bytes if bits else noise.count, 1)
