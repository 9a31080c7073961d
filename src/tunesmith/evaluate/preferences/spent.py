"""The KL divergence spent: how far the tuned model has moved from the base on its own answers.

For an answer y drawn from the tuned model π at temperature 1, E[log π(y|x) − log π_base(y|x)] is
KL(π ‖ π_base), so the mean of that difference over drawn answers is an unbiased estimate: per
answer, and, divided by their tokens, per token. Prompts are resampled.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tunesmith.core.seeds import derive
from tunesmith.evaluate.bootstrap import Interval, PairedRows, paired_change
from tunesmith.evaluate.preferences.measured import PreferenceMeasured
from tunesmith.evaluate.wording import measurement, number, plural


def kl_spent(measured: PreferenceMeasured, seed: int) -> dict[str, Any] | None:
    """KL(tuned ‖ base) in nats per token and per answer; None where nothing was scored."""
    drawn = measured.sampled[1] if measured.sampled else measured.tuned
    if drawn is None:
        return None
    rows = [
        np.sum(scored, axis=0)
        for answers in drawn.answers
        if (scored := [(1, one.tokens, *one.log_probs) for one in answers if one.log_probs])
    ]
    if not rows:
        return None
    answers_R, tokens_R, base_R, tuned_R = np.array(rows, dtype=np.float64).T
    draws = derive(seed, "bootstrap", "kl")
    token = paired_change(PairedRows(base_R, tuned_R, tokens_R), draws)
    answer = paired_change(PairedRows(base_R, tuned_R, answers_R), draws)
    exact = bool(measured.sampled) or measured.temperature == 1
    said = (
        f"on answers to {plural(token.n, 'held-out prompt')} KL(tuned ‖ base) is "
        f"{measurement(token)} nats per token, and {number(answer.value)} ({number(answer.low)} to "
        f"{number(answer.high)}) per answer"
    )
    if not exact:
        said += (
            f"; the answers were drawn at temperature {number(measured.temperature)}, so this is "
            "not that of the model at temperature 1"
        )
    return {"token": _told(token), "answer": _told(answer), "exact": exact, "summary": said}


def _told(found: Interval) -> dict[str, Any]:
    return {"value": found.value, "low": found.low, "high": found.high, "n": found.n}
