"""The loop's guards: non-finite steps, early stopping, best weights, clipping, cadence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support import SETTINGS, examples, loop_over, opened, weights_of
from tunesmith.core.batch import Batch, LossSum
from tunesmith.core.errors import NonFiniteLoss
from tunesmith.core.ports import Silent, SiteModel
from tunesmith.core.records import StepReport, Validation
from tunesmith.engine.checkpoints import Checkpoints
from tunesmith.engine.progress import Progress
from tunesmith.engine.stopping import StopRequest
from tunesmith.models.methods import Tuned
from tunesmith.objectives.cross_entropy import CrossEntropy


@pytest.fixture
def tuned(tiny_base: Path) -> Tuned:
    return opened(tiny_base)


class _Record(Silent):
    """Keeps steps, validations and, after each step, the weights."""

    def __init__(self, tuned: Tuned) -> None:
        self._tuned = tuned
        self.steps: list[StepReport] = []
        self.validations: list[Validation] = []
        self.weights: dict[int, dict[str, torch.Tensor]] = {}

    def step(self, report: StepReport) -> None:
        self.steps.append(report)
        self.weights[report.step] = weights_of(self._tuned.module)

    def validated(self, validation: Validation) -> None:
        self.validations.append(validation)


def _same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[n], right[n]) for n in left)


class _SpoilsAt(CrossEntropy):
    """The loss or, through an infinite factor on a zero, only its gradient breaks at a call."""

    def __init__(self, call: int, what: str) -> None:
        self._calls, self._call, self._what = 0, call, what

    def loss(self, model: SiteModel, batch: Batch) -> LossSum:
        self._calls += 1
        loss = super().loss(model, batch)
        if self._calls != self._call:
            return loss
        if self._what == "loss":
            return replace(loss, sum=loss.sum * float("inf"))
        zero = (loss.sum - loss.sum.detach()).sqrt()
        return replace(loss, sum=loss.sum + zero)


@pytest.mark.parametrize(("what", "word"), [("loss", "The loss became inf"), ("gradient", "nan")])
def test_a_non_finite_step_names_its_rows_and_changes_no_weight(
    tuned: Tuned, tmp_path: Path, what: str, word: str
) -> None:
    record = _Record(tuned)
    loop = loop_over(tuned, examples(24), tmp_path, watcher=record, objective=_SpoilsAt(3, what))
    with pytest.raises(NonFiniteLoss, match=rf"{word}.*step 3.*made\.jsonl:\d+, made.*rate"):
        loop.run(StopRequest())
    assert _same(weights_of(tuned.module), record.weights[2])
    assert not Checkpoints(tmp_path, 2).steps()


def test_only_the_micro_batch_that_broke_is_named(tuned: Tuned, tmp_path: Path) -> None:
    loop = loop_over(tuned, examples(8), tmp_path, budget=1, objective=_SpoilsAt(5, "loss"))
    with pytest.raises(NonFiniteLoss) as caught:
        loop.run(StopRequest())
    assert str(caught.value).count("made.jsonl") == 1


def test_rows_without_weight_change_nothing(tuned: Tuned, tmp_path: Path) -> None:
    rows = [replace(row, weights_N=np.zeros_like(row.weights_N)) for row in examples(8)]
    before = weights_of(tuned.module)
    with pytest.raises(NonFiniteLoss, match=r"gradient.*step 1.*made\.jsonl"):
        loop_over(tuned, rows, tmp_path).run(StopRequest())
    assert _same(weights_of(tuned.module), before)


def test_a_held_out_loss_that_is_not_finite_stops_the_run(tuned: Tuned, tmp_path: Path) -> None:
    settings = replace(SETTINGS, validate_every=2)
    loop = loop_over(tuned, examples(24), tmp_path, settings, validate=lambda: float("nan"))
    with pytest.raises(NonFiniteLoss, match=r"held-out loss became nan after step 2.*lower"):
        loop.run(StopRequest())


def _validated(
    tuned: Tuned, folder: Path, losses: Iterable[float], **settings: Any
) -> tuple[Progress, _Record]:
    record, drawn = _Record(tuned), iter(losses)
    asked = replace(SETTINGS, total_steps=10, validate_every=2, **settings)
    loop = loop_over(
        tuned, examples(24), folder, asked, validate=lambda: next(drawn), watcher=record
    )
    return loop.run(StopRequest()), record


def test_early_stopping_counts_validations_without_a_better_one(
    tuned: Tuned, tmp_path: Path
) -> None:
    progress, record = _validated(tuned, tmp_path, [3, 2, 2.5, 2], patience=2, keep_best=True)
    assert progress.stopped_early
    assert (progress.step, progress.best_step, progress.best_loss) == (8, 4, 2)
    assert [v.best for v in record.validations] == [True, True, False, False]
    assert _same(weights_of(tuned.module), record.weights[4])
    assert Checkpoints(tmp_path, 2).steps() == [8]


def test_a_better_one_begins_the_count_anew(tuned: Tuned, tmp_path: Path) -> None:
    progress, _ = _validated(tuned, tmp_path, [3, 4, 2, 4, 1], patience=2)
    assert (progress.step, progress.stopped_early) == (10, False)


def test_patience_0_never_stops_and_the_last_weights_stay(tuned: Tuned, tmp_path: Path) -> None:
    progress, record = _validated(tuned, tmp_path, [1, 2, 3, 4, 5])
    assert (progress.step, progress.best_step) == (10, 2)
    assert _same(weights_of(tuned.module), record.weights[10])


def test_keep_best_survives_a_checkpoint(tuned: Tuned, tiny_base: Path, tmp_path: Path) -> None:
    """The best weights of step 2 come from the checkpoint of step 6, where the run was left."""
    settings = replace(SETTINGS, validate_every=2, keep_best=True)
    record, losses = _Record(tuned), iter([1.0, 2.0, 3.0])
    loop_over(
        tuned, examples(24), tmp_path, settings, validate=lambda: next(losses), watcher=record
    ).run(StopRequest())
    again = opened(tiny_base)
    loop = loop_over(again, examples(24), tmp_path, settings, validate=lambda: 0.0)
    loop.resume(Checkpoints(tmp_path, 2).load())
    progress = loop.run(StopRequest())
    assert (progress.step, progress.best_step, len(progress.validations)) == (6, 2, 3)
    assert _same(weights_of(again.module), record.weights[2])


def test_validations_and_checkpoints_keep_their_cadence(tuned: Tuned, tmp_path: Path) -> None:
    """Every so many steps and after the last one."""
    record = _Record(tuned)
    settings = replace(SETTINGS, total_steps=7, validate_every=3, checkpoint_every=5)
    rows = examples(20)
    loop_over(tuned, rows, tmp_path, settings, validate=lambda: 1.0, watcher=record).run(
        StopRequest()
    )
    assert [v.step for v in record.validations] == [3, 6, 7]
    assert Checkpoints(tmp_path, 2).steps() == [5, 7]
    assert [report.step for report in record.steps] == [1, 2, 3, 4, 5, 6, 7]
    assert [report.epoch for report in record.steps[:3]] == pytest.approx([1 / 3, 2 / 3, 1])
    assert sum(report.tokens for report in record.steps[:3]) == sum(map(len, rows))


def test_without_held_out_rows_nothing_is_validated(tuned: Tuned, tmp_path: Path) -> None:
    settings = replace(SETTINGS, validate_every=1, patience=1, keep_best=True)
    progress = loop_over(tuned, examples(8), tmp_path, settings).run(StopRequest())
    assert (progress.step, progress.validations) == (6, [])


def test_a_long_gradient_is_shortened_to_the_clip(
    tuned: Tuned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reported is the norm before; the update sees the norm after."""
    seen: list[float] = []

    def step(self: torch.optim.AdamW) -> None:
        grads = [w.grad.norm() for group in self.param_groups for w in group["params"]]
        seen.append(torch.stack(grads).norm().item())

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    record = _Record(tuned)
    settings = replace(SETTINGS, total_steps=1, clip=0.01)
    loop_over(tuned, examples(8), tmp_path, settings, watcher=record).run(StopRequest())
    assert record.steps[0].grad_norm > 0.1
    assert seen == [pytest.approx(0.01, rel=1e-3)]


def test_the_loss_reported_is_the_sum_over_the_weights(tuned: Tuned, tmp_path: Path) -> None:
    """Not the mean of means over micro-batches."""
    rows = examples(8)
    reports = []
    for budget in (1, 10_000):
        record = _Record(tuned)
        settings = replace(SETTINGS, total_steps=1, learning_rate=1e-9)
        loop_over(tuned, rows, tmp_path, settings, budget=budget, watcher=record).run(StopRequest())
        reports.append(record.steps[0])
    assert reports[0].loss == pytest.approx(reports[1].loss, rel=1e-5)
    assert reports[0].supervised_tokens == sum(float(row.weights_N[1:].sum()) for row in rows)
