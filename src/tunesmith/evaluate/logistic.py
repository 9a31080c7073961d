"""Logistic regression on one number, many resamples at once: the chance where that number is 0.

Shape legend: R rows, B resamples.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_STEPS = 50
_CLOSE = 1e-9


def chance_at_zero(x_R: Floats, won_R: Floats, times_BR: Floats) -> Floats:
    """logistic(a) of P(won) = logistic(a + b x), fitted to each resample, shape (B).

    `won_R` is 0, ½ or 1, `times_BR` says how often a row counts. Half a pair that is won and lost
    alike at either end, x = ±1, keeps both parameters finite where one side won all. Newton's
    method: scikit-learn fits one regression at a time, and 2,000 resamples need as many.
    """
    x_R, won_R = np.append(x_R, [-1.0, 1.0]), np.append(won_R, [0.5, 0.5])
    times_BR = np.pad(times_BR, ((0, 0), (0, 2)), constant_values=0.5)
    a_B, b_B = np.zeros((2, len(times_BR)))
    for _ in range(_STEPS):
        chance_BR = 1 / (1 + np.exp(-(a_B[:, None] + b_B[:, None] * x_R)))
        off_BR = times_BR * (won_R - chance_BR)
        curve_BR = times_BR * chance_BR * (1 - chance_BR)
        slope_a, slope_b = off_BR.sum(1), off_BR @ x_R
        aa, ab, bb = curve_BR.sum(1), curve_BR @ x_R, curve_BR @ x_R**2
        size = aa * bb - ab**2
        step_a, step_b = (bb * slope_a - ab * slope_b) / size, (aa * slope_b - ab * slope_a) / size
        a_B += np.clip(step_a, -1, 1)
        b_B += np.clip(step_b, -1, 1)
        if max(np.abs(step_a).max(), np.abs(step_b).max()) < _CLOSE:
            break
    found: Floats = 1 / (1 + np.exp(-a_B))
    return found
