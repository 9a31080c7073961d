"""AdaLoRA: the rank that is left, its penalty beside PEFT's, and micro-batches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.support import SETTINGS, examples, loop_over, model_section, weights_of
from tunesmith.core.batch import LossSum
from tunesmith.engine.stopping import StopRequest
from tunesmith.models.methods import Tuned, attach
from tunesmith.models.methods.adalora import ORTHOGONAL, penalty
from tunesmith.models.open import describe, open_base
from tunesmith.objectives import Penalised

RANK, LAYERS, MATRICES = 4, 3, 7


def _attached(folder: Path, dtype: str = "float32") -> Tuned:
    base = open_base(describe(str(folder)), dtype, "cpu")
    return attach(base, model_section(method="adalora", rank=RANK, layers=LAYERS), 0)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_at_the_end_as_many_singular_values_are_left_as_the_rank_says(
    tiny_base: Path, tmp_path: Path, dtype: str
) -> None:
    """In bfloat16, too, where the weights that the model computes with are copies."""
    tuned = _attached(tiny_base, dtype)
    settings = replace(SETTINGS, total_steps=9, learning_rate=0.02)
    loop_over(tuned, examples(16), tmp_path, settings).run(StopRequest())
    values = [w for name, w in weights_of(tuned.module).items() if ".lora_E." in name]
    assert len(values) == LAYERS * MATRICES
    assert {len(each) for each in values} == {6}  # one and a half times the rank
    left = [int((each != 0).sum()) for each in values]
    assert sum(left) == RANK * len(values)
    assert len(set(left)) > 1  # moved between layers, not cut evenly


def test_the_penalty_is_that_of_peft(tiny_base: Path) -> None:
    tuned, ids = _attached(tiny_base), torch.arange(3, 30)[None]
    with torch.no_grad():
        theirs = tuned.module(input_ids=ids, labels=ids).loss
        plain = tuned.base.model(input_ids=ids, labels=ids).loss
    torch.testing.assert_close(penalty(tuned.module), theirs - plain, atol=1e-5, rtol=1e-5)
    assert tuned.penalty is not None
    assert torch.equal(tuned.penalty(), penalty(tuned.module))
    assert 0 < penalty(tuned.module) < ORTHOGONAL * (6**0.5) * 1.1


def test_a_penalty_counts_once_however_a_step_is_cut() -> None:
    weight = nn.Parameter(torch.tensor(3.0))

    class Sum:
        def loss(self, model: None, batch: list[float]) -> LossSum:
            return LossSum(weight * sum(batch), float(len(batch)))

    objective = Penalised(Sum(), lambda: weight * weight)
    parts = [objective.loss(None, rows) for rows in ([1.0], [2.0, 6.0])]
    whole = parts[0].plus(parts[1])
    (whole.sum / whole.count).backward()
    assert float(whole.sum.detach() / whole.count) == pytest.approx(3 * 3 + 9)
    assert weight.grad is not None
    assert float(weight.grad) == pytest.approx(3 + 6)
    assert whole.extras["penalty"] / whole.count == pytest.approx(9)
