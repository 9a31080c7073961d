"""Probabilities that can be believed: temperature scaling, its error, and when to say nothing.

    p = softmax(z / T)          T minimises the negative log likelihood of held-out rows
    ECE = Σ_bins (n_bin / n) · | share right in the bin − mean probability in the bin |

(Guo et al. 2017, On Calibration of Modern Neural Networks, §3 and §4.2, with 15 bins of equal
width.) One number cannot change which class is likeliest. It is fitted on the rows that choose the
weights, and its error is measured on the rows that judge.

Shape legend: R rows, C classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, softmax

Floats = NDArray[np.float64]

BINS = 15
_COLDEST, _HOTTEST = 0.05, 20.0

LEAST_ROWS = 20
"""Fewer rows than this fit no temperature: one wrong row among them would decide it."""


def probabilities(logits_RC: NDArray[Any], problem: str, temperature: float = 1.0) -> Floats:
    """(R, C): of one class among all, or of each class by itself for `multi_label`."""
    scaled_RC = np.asarray(logits_RC, dtype=np.float64) / temperature
    found: Floats = expit(scaled_RC) if problem == "multi_label" else softmax(scaled_RC, axis=1)
    return found


def fit_temperature(logits_RC: NDArray[Any], targets: NDArray[Any], problem: str) -> float:
    """T; 1 where there are too few rows. `targets` are classes (R), or 0 and 1 (R, C).

    A share of 1 / (R + 2) of each target is taken to be any class: rows that are all right would
    otherwise make a model surer the colder it is (Platt 1999, §2.2).
    """
    if len(logits_RC) < LEAST_ROWS or problem == "regression":
        return 1.0
    doubt = 1 / (len(logits_RC) + 2)
    found = minimize_scalar(
        lambda log: negative_log_likelihood(logits_RC, targets, problem, float(np.exp(log)), doubt),
        bounds=(np.log(_COLDEST), np.log(_HOTTEST)),
        method="bounded",
    )
    return float(np.exp(found.x))


def negative_log_likelihood(
    logits_RC: NDArray[Any],
    targets: NDArray[Any],
    problem: str,
    temperature: float = 1.0,
    doubt: float = 0.0,
) -> float:
    """Nats a row (for `multi_label` a row and class); a share `doubt` of a target is any class."""
    scaled_RC = np.asarray(logits_RC, dtype=np.float64) / temperature
    if problem == "multi_label":
        smooth_RC = (1 - doubt) * targets + doubt / 2
        # log(1 + e^z) − t z, which is −t log s(z) − (1 − t) log s(−z), s the logistic function.
        return float(np.mean(np.logaddexp(0, scaled_RC) - smooth_RC * scaled_RC))
    chances_RC = log_softmax(scaled_RC, axis=1)
    rows = np.arange(len(scaled_RC))
    wanted_R = chances_RC[rows, targets.astype(np.int64)]
    return float(-((1 - doubt) * wanted_R + doubt * chances_RC.mean(1)).mean())


def reliability(sure_R: Floats, right_R: NDArray[np.bool_]) -> list[tuple[float, float, int]]:
    """(mean probability, share right, rows) of each bin that has any rows."""
    bin_R = np.minimum((sure_R * BINS).astype(int), BINS - 1)
    found = []
    for number in np.unique(bin_R).tolist():
        inside = bin_R == number
        found.append(
            (float(sure_R[inside].mean()), float(right_R[inside].mean()), int(inside.sum()))
        )
    return found


def calibration_error(bins: list[tuple[float, float, int]]) -> float:
    """The expected calibration error, 0 to 1."""
    rows = sum(count for _, _, count in bins)
    return sum(count * abs(right - sure) for sure, right, count in bins) / max(1, rows)


def threshold_for(sure_R: Floats, share: float) -> float:
    """The probability under which a `share` of these rows lies: those are left to a person."""
    return float(np.quantile(sure_R, share)) if share > 0 and len(sure_R) else 0.0


def answered(
    sure_R: Floats, right_R: NDArray[np.bool_], shares: tuple[float, ...] = (0, 0.05, 0.1, 0.2)
) -> list[tuple[float, float, float]]:
    """(share left to a person, threshold, share right among the others) for several shares."""
    found = []
    for share in shares:
        threshold = threshold_for(sure_R, share)
        kept_R = sure_R >= threshold
        found.append((float(1 - kept_R.mean()), threshold, float(right_R[kept_R].mean())))
    return found
