"""Schedule-free: what is judged and kept is the average, not the weights that are trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.support import SETTINGS, examples, loop_over, opened, weights_of
from tunesmith.engine.checkpoints import Checkpoints
from tunesmith.engine.stopping import StopRequest

AVERAGING = replace(SETTINGS, optimizer="schedule_free", schedule="constant", validate_every=2)


@pytest.mark.parametrize("keep_best", [True, False])
def test_the_average_is_judged_and_kept(tiny_base: Path, tmp_path: Path, keep_best: bool) -> None:
    tuned, judged = opened(tiny_base), []
    losses = iter([3.0, 1.0, 2.0])

    def validate() -> float:
        judged.append(weights_of(tuned.module))
        return next(losses)

    settings = replace(AVERAGING, keep_best=keep_best, checkpoint_every=2)
    loop_over(tuned, examples(24), tmp_path, settings, validate=validate).run(StopRequest())
    kept, best = weights_of(tuned.module), judged[1 if keep_best else 2]
    assert all(torch.equal(kept[name], best[name]) for name in best)
    trained = Checkpoints(tmp_path, 2).load(6).groups["weights"]
    assert any(not torch.equal(judged[2][name], trained[name]) for name in trained)


def test_looking_changes_nothing(tiny_base: Path, tmp_path: Path) -> None:
    """A run that was validated trains as one that was not, to the bit, and ends with x."""
    ended = []
    for validate in (None, lambda: 1.0):
        tuned, folder = opened(tiny_base, dtype="bfloat16"), tmp_path / str(validate is None)
        loop_over(tuned, examples(24), folder, AVERAGING, validate=validate).run(StopRequest())
        ended.append(
            weights_of(tuned.module) | dict(Checkpoints(folder, 2).load(6).groups["weights"])
        )
    assert all(torch.equal(ended[0][name], ended[1][name]) for name in ended[0])
