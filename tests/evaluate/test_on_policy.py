"""A run whose sampler is not its trainer is refused in a sentence that carries the numbers."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.evaluate.on_policy import gap_between


def test_rounding_is_let_through_and_another_model_is_not() -> None:
    sampler_N = np.log(np.linspace(0.1, 0.9, 50)).astype(np.float32)
    near = gap_between(sampler_N, sampler_N + np.float32(1e-5))
    assert near.refusal("float32") == near.refusal("bfloat16") == ""
    rounded = gap_between(sampler_N, sampler_N * 1.01)
    assert rounded.refusal("bfloat16") == ""
    assert "differ by 0.00" in rounded.refusal("float32")
    scaled = gap_between(sampler_N, sampler_N * 1.5)
    sentence = scaled.refusal("bfloat16")
    assert "of 50 tokens differ by 0.4" in sentence
    assert "at most (mean importance ratio 0." in sentence
    assert sentence.endswith("at the temperature that it samples with.")


def test_the_figures_are_those_of_the_trainer_over_the_sampler() -> None:
    gap = gap_between(np.array([-1.0, -2.0]), np.array([-1.0, -1.0]))
    assert (gap.largest, gap.mean, gap.tokens) == (1.0, 0.5, 2)
    assert gap.ratio == pytest.approx((1 + np.e) / 2)


def test_what_is_no_number_is_refused_and_what_does_not_match_is_our_slip() -> None:
    assert gap_between(np.array([np.nan]), np.array([-1.0])).refusal("float32")
    for sampler_N, trainer_N in ((np.zeros(2), np.zeros(3)), (np.zeros(0), np.zeros(0))):
        with pytest.raises(ValueError, match=r"one of each for every token"):
            gap_between(sampler_N, trainer_N)
