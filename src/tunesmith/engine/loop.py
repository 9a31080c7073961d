"""The loop. It owns time: steps, validation, checkpoints, stopping. One loop for every objective.

    for each step:   micro-batches → LossSum each → backward      (sums only)
                     (an objective that compares them looks at all of them first)
                     gradients ÷ the true count, once → clip → update
                     validate?  checkpoint?  asked to stop?

Where memory runs out, the step's gradients are dropped and it begins again with micro-batches of
half the tokens, and so do all later ones.

Every random draw depends on (seed, step) alone, and everything that must survive is in the
checkpoint, so a resumed run is bitwise equal to an unbroken one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from tunesmith.core.batch import Batch, ImageBatch, LossSum
from tunesmith.core.errors import Interrupted, NonFiniteLoss, OutOfMemory
from tunesmith.core.ports import (
    AcrossMicroBatches,
    Batches,
    Objective,
    Revision,
    SiteModel,
    Watcher,
)
from tunesmith.core.records import StepReport, Validation
from tunesmith.core.seeds import derive
from tunesmith.engine.allocator import give_back
from tunesmith.engine.checkpoints import Checkpoint, Checkpoints
from tunesmith.engine.memory import (
    half_made,
    is_out_of_memory,
    no_room_for_update,
    single_example,
)
from tunesmith.engine.progress import Progress
from tunesmith.engine.schedules import rate
from tunesmith.engine.stopping import StopRequest
from tunesmith.engine.updates import UPDATES, AfterBackward, Start, Updates
from tunesmith.engine.weight_by_weight import NotFinite

AnyBatch = TypeVar("AnyBatch", Batch, ImageBatch)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the loop needs to know; every value is concrete.

    `rate_factors`: the weights, by name, whose learning rate is so many times the run's.
    """

    total_steps: int
    optimizer: str
    learning_rate: float
    schedule: str
    warmup: float
    weight_decay: float
    clip: float
    seed: int
    checkpoint_every: int
    validate_every: int
    patience: int
    keep_best: bool
    memory: str = "normal"
    rate_factors: Mapping[str, float] = field(default_factory=dict)
    decay_to_base: float = 0.0


class Loop:
    """One training run over `batches`, from step 0 or from one of `checkpoints`, on `device`."""

    def __init__(
        self,
        module: nn.Module,
        model: SiteModel,
        objective: Objective,
        batches: Batches,
        settings: Settings,
        *,
        validate: Callable[[], float] | None,
        checkpoints: Checkpoints,
        watcher: Watcher,
        take_up: Callable[[Batches, int], None] | None = None,
        start: Start = None,
        revision: Revision | None = None,
        after_epoch: Callable[[int], None] | None = None,
    ) -> None:
        """`take_up` is told the batches and the steps done wherever a run goes on from a checkpoint
        or with other micro-batches: what was derived from earlier ones is to be derived again.
        `start` are the weights, by name, that `settings.decay_to_base` pulls to. `revision` is made
        after each update; it goes with `settings.memory` normal only. `after_epoch` is told the
        steps done wherever a pass over the data ends, while the model has the weights to judge.
        """
        self._module = module
        self._model = model
        self._objective = objective
        self._batches = batches
        self._settings = settings
        self._validate = validate
        self.checkpoints = checkpoints
        self._watcher = watcher
        self._take_up = take_up or (lambda batches, done: None)
        self._after_epoch = after_epoch
        self._updates: Updates = (
            UPDATES[settings.memory](module, settings, start)
            if revision is None
            else AfterBackward(module, settings, start, revision)
        )
        self.device = next(module.parameters()).device
        self._progress = Progress()

    def resume(self, checkpoint: Checkpoint) -> None:
        """Take over weights, optimiser and progress; forget what came later."""
        self._updates.load_weights(checkpoint.groups["weights"])
        self._updates.load_state(checkpoint.groups["optimizer"])
        self._progress = Progress.from_json(checkpoint.state)
        self.checkpoints.forget_after(checkpoint.step)
        if tokens := self._progress.tokens_per_micro_batch:
            self._batches = self._batches.within(tokens)
        self._take_up(self._batches, self._progress.step)

    def run(self, stop: StopRequest) -> Progress:
        """Train to the end and leave the best weights (or the last, by settings) in the model.

        Raises Interrupted after saving when `stop` is set, NonFiniteLoss before an update that
        would spoil the weights (or when the held-out loss shows that one did), StorageError when
        a checkpoint cannot be written, OutOfMemory where no smaller micro-batch would fit.
        """
        progress, settings = self._progress, self._settings
        self._watcher.training(settings.total_steps, progress.step)
        while progress.step < settings.total_steps and not progress.stopped_early:
            self._watcher.step(self._update(progress.step))
            progress.step += 1
            last = progress.step == settings.total_steps
            if self._validate and (last or progress.step % settings.validate_every == 0):
                with self._updates.evaluated():
                    self._measure(self._validate())
            if self._after_epoch and progress.step % self._batches.steps_per_epoch == 0:
                with self._updates.evaluated():
                    self._after_epoch(progress.step)
            ended = last or progress.stopped_early
            if stop or ended or progress.step % settings.checkpoint_every == 0:
                self._save()
            if stop:
                raise Interrupted(
                    f"Stopped by {stop.signal} after step {progress.step} of "
                    f"{settings.total_steps}. All work is saved; resume the run to go on."
                )
        if settings.keep_best and progress.best_step not in (0, progress.step):
            self._updates.load_weights(self.checkpoints.load_best())
        else:
            self._updates.settle()
        return progress

    def _update(self, step: int) -> StepReport:
        """One optimiser step."""
        started = time.perf_counter()
        settings = self._settings
        self._module.train()
        learning_rate = rate(
            settings.schedule, step, settings.total_steps, settings.warmup, settings.learning_rate
        )
        batches, total = self._gradients(step, learning_rate)
        norm = self._finish(batches, step)
        return StepReport(
            step=step + 1,
            epoch=(step + 1) / self._batches.steps_per_epoch,
            loss=total.sum / total.count,
            grad_norm=norm,
            lr=learning_rate,
            tokens=sum(batch.tokens for batch in batches),
            supervised_tokens=total.count,
            seconds=time.perf_counter() - started,
            extras={name: value / total.count for name, value in total.extras.items()},
        )

    def _gradients(self, step: int, learning_rate: float) -> tuple[Sequence[Batch], LossSum]:
        """Backward passes of all micro-batches; returns them and the sum of their losses.

        If memory runs out, all of them begin again with smaller micro-batches.
        """
        while True:
            per_epoch = self._batches.steps_per_epoch
            batches = self._batches.step(step // per_epoch, step % per_epoch)
            self._updates.begin(learning_rate)
            tried: list[Batch] = []
            try:
                return batches, self._passes(batches, step, tried)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            # The failed attempt's tensors are gone only now, with the error that held them.
            self._narrow(tried[-1], step)

    def _passes(self, batches: Sequence[Batch], step: int, tried: list[Batch]) -> LossSum:
        """The loss of a step; `tried` ends with the micro-batch that is being computed."""
        total = LossSum(0.0, 0.0)
        objectives = self._objectives(batches, step, tried)
        for micro, (batch, objective) in enumerate(zip(batches, objectives, strict=True)):
            tried.append(batch)
            last = batch is batches[-1]
            total = total.plus(self._backward(objective, batch, step, micro, last))
        return total

    def _objectives(
        self, batches: Sequence[Batch], step: int, tried: list[Batch]
    ) -> Sequence[Objective]:
        """What each micro-batch is to learn; it may depend on the others."""
        objective = self._objective
        if len(batches) == 1 or not isinstance(objective, AcrossMicroBatches):
            return [objective] * len(batches)

        def one_by_one() -> Iterator[Batch]:
            for micro, batch in enumerate(batches):
                tried.append(batch)
                yield self._ready(batch, step, micro)

        return objective.of_step(self._model, one_by_one())

    def _ready(self, batch: Batch, step: int, micro: int) -> Batch:
        """The micro-batch on the device; what is drawn from now on depends on its number alone."""
        torch.manual_seed(derive(self._settings.seed, "dropout", step, micro))
        return on_device(batch, self.device)

    def _backward(
        self, objective: Objective, batch: Batch, step: int, micro: int, last: bool
    ) -> LossSum:
        """The loss of one micro-batch as a number, its gradients added to the step's."""
        loss = objective.loss(self._model, self._ready(batch, step, micro))
        value = float(loss.sum.detach())
        if not math.isfinite(value):
            raise NonFiniteLoss(_non_finite("The loss", value, step, [batch]))
        try:
            self._updates.backward(loss, last)
        except NotFinite as error:
            raise self._stopped(error, [batch], step) from None
        return replace(loss, sum=value)

    def _finish(self, batches: Sequence[Batch], step: int) -> float:
        """Update the weights; returns the norm of the gradient."""
        try:
            return self._updates.finish()
        except NotFinite as error:
            raise self._stopped(error, batches, step) from None
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            raise OutOfMemory(no_room_for_update(step)) from error

    def _stopped(self, error: NotFinite, batches: Sequence[Batch], step: int) -> NonFiniteLoss:
        made = self._updates.spoilt
        return NonFiniteLoss(_non_finite("The gradient", error.norm, step, batches, made))

    def _narrow(self, failed: Batch, step: int) -> None:
        """Go on with micro-batches of half the tokens of the one that did not fit."""
        self._updates.drop()
        give_back()
        tokens = min(self._batches.tokens_per_micro_batch, failed.tokens)
        if self._updates.spoilt:
            saved = self.checkpoints.steps()
            raise OutOfMemory(half_made(step, saved[-1] if saved else 0, tokens))
        if len(failed.origins) == 1:
            raise OutOfMemory(single_example(failed, step))
        self._batches = self._batches.within(tokens // 2)
        self._progress.tokens_per_micro_batch = tokens // 2
        self._take_up(self._batches, step)
        self._watcher.note(
            f"Memory ran out at step {step + 1} with {failed.tokens} tokens at once. The step was "
            f"begun again with at most {tokens // 2}, which changes no result; so will all later "
            "ones."
        )

    def _measure(self, loss: float) -> None:
        """Note a held-out loss; keep the weights if it is the best; stop if none was for long."""
        progress, settings = self._progress, self._settings
        if not math.isfinite(loss):
            raise NonFiniteLoss(
                f"The held-out loss became {loss} after step {progress.step}, so the run was "
                "stopped. Start again with a lower engine.learning_rate."
            )
        best = loss < progress.best_loss
        epoch = progress.step / self._batches.steps_per_epoch
        validation = Validation(progress.step, epoch, loss, best)
        progress.validations.append(validation)
        if best:
            progress.best_loss, progress.best_step = loss, progress.step
            if settings.keep_best:
                self.checkpoints.save_best(self._updates.weights())
        since_best = [v for v in progress.validations if v.step > progress.best_step]
        progress.stopped_early = 0 < settings.patience <= len(since_best)
        self._watcher.validated(validation)

    def _save(self) -> None:
        groups = {"weights": self._updates.weights(), "optimizer": self._updates.state()}
        self.checkpoints.save(self._progress.step, self._progress.to_json(), groups)


def on_device(batch: AnyBatch, device: torch.device) -> AnyBatch:
    """The same batch with torch tensors on `device`."""
    values = {each.name: getattr(batch, each.name) for each in fields(batch)}
    tensors = {
        name: torch.from_numpy(value).to(device)
        for name, value in values.items()
        if isinstance(value, np.ndarray)
    }
    return replace(batch, **tensors)  # type: ignore[arg-type]  # arrays only


def _non_finite(
    what: str, value: float, step: int, batches: Sequence[Batch], made_in_part: bool = False
) -> str:
    origins = [str(origin) for batch in batches for origin in batch.origins]
    shown = ", ".join(origins[:8]) + (f" and {len(origins) - 8} more" if len(origins) > 8 else "")
    outcome = (
        "and engine.memory=low had made a part of the update, so the weights in memory are thrown "
        "away; the last checkpoint is whole"
        if made_in_part
        else f"so the update was not made and the weights are still those of step {step}"
    )
    return (
        f"{what} became {value} at step {step + 1}, {outcome}. The rows of this batch: {shown}. "
        "Look at them, or lower engine.learning_rate."
    )
