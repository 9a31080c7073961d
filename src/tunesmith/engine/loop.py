"""The loop. It owns time: steps, validation, checkpoints, stopping. One loop for every objective.

    for each step:   micro-batches → LossSum each → backward      (sums only)
                     gradients ÷ the true count, once
                     clip → learning rate → update
                     validate?  checkpoint?  asked to stop?

Every random draw depends on (seed, step) alone, and everything that must survive is in the
checkpoint, so a resumed run is bitwise equal to an unbroken one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from tunesmith.core.batch import Batch
from tunesmith.core.errors import Interrupted, NonFiniteLoss
from tunesmith.core.ports import Batches, Objective, SiteModel, Watcher
from tunesmith.core.records import StepReport, Validation
from tunesmith.core.seeds import derive
from tunesmith.engine.checkpoints import Checkpoint, Checkpoints
from tunesmith.engine.masters import Masters
from tunesmith.engine.optimizers import (
    OPTIMIZERS,
    embedding_names,
    load_state,
    set_rate,
    state_tensors,
)
from tunesmith.engine.schedules import rate
from tunesmith.engine.stopping import StopRequest


@dataclass(frozen=True, slots=True)
class Settings:
    """What the loop needs to know; every value is concrete."""

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


@dataclass(slots=True)
class Progress:
    """What a run has come to; saved in each checkpoint as JSON."""

    step: int = 0
    best_step: int = 0
    best_loss: float = math.inf
    stopped_early: bool = False
    validations: list[Validation] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain values; an unset best loss is None."""
        return {
            "step": self.step,
            "best_step": self.best_step,
            "best_loss": None if math.isinf(self.best_loss) else self.best_loss,
            "stopped_early": self.stopped_early,
            "validations": [[v.step, v.epoch, v.loss, v.best] for v in self.validations],
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> Progress:
        """What `to_json` gave."""
        return Progress(
            step=value["step"],
            best_step=value["best_step"],
            best_loss=math.inf if value["best_loss"] is None else value["best_loss"],
            stopped_early=value["stopped_early"],
            validations=[Validation(*entry) for entry in value["validations"]],
        )


class Loop:
    """One training run over `batches`, from step 0 or from a checkpoint."""

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
    ) -> None:
        self._module = module
        self._model = model
        self._objective = objective
        self._batches = batches
        self._settings = settings
        self._validate = validate
        self._checkpoints = checkpoints
        self._watcher = watcher
        self._masters = Masters(module.named_parameters())
        self._optimizers = OPTIMIZERS[settings.optimizer](
            self._masters.weights, embedding_names(module), settings.weight_decay
        )
        self._device = next(module.parameters()).device
        self._progress = Progress()
        self._best: dict[str, torch.Tensor] = {}

    def resume(self, checkpoint: Checkpoint) -> None:
        """Take over weights, optimiser, best weights and progress."""
        self._masters.load(checkpoint.groups["weights"])
        load_state(self._optimizers, checkpoint.groups["optimizer"])
        self._best = dict(checkpoint.groups.get("best", {}))
        self._progress = Progress.from_json(checkpoint.state)

    def run(self, stop: StopRequest) -> Progress:
        """Train to the end and leave the best weights (or the last, by settings) in the model.

        Raises Interrupted after saving when `stop` is set, NonFiniteLoss before an update that
        would spoil the weights (or when the held-out loss shows that one did), StorageError when
        a checkpoint cannot be written.
        """
        progress, settings = self._progress, self._settings
        self._watcher.training(settings.total_steps, progress.step)
        while progress.step < settings.total_steps and not progress.stopped_early:
            self._watcher.step(self._update(progress.step))
            progress.step += 1
            last = progress.step == settings.total_steps
            if self._validate and (last or progress.step % settings.validate_every == 0):
                self._measure(self._validate())
            ended = last or progress.stopped_early
            if stop or ended or progress.step % settings.checkpoint_every == 0:
                self._save()
            if stop:
                raise Interrupted(
                    f"Stopped by {stop.signal} after step {progress.step} of "
                    f"{settings.total_steps}. All work is saved; resume the run to go on."
                )
        if self._best:
            self._masters.load(self._best)
        return progress

    def _update(self, step: int) -> StepReport:
        """One optimiser step."""
        started = time.perf_counter()
        settings, per_epoch = self._settings, self._batches.steps_per_epoch
        self._module.train()
        batches = self._batches.step(step // per_epoch, step % per_epoch)
        total, count = self._gradients(batches, step)
        weights = list(self._masters.weights.values())
        for weight in weights:
            if weight.grad is not None:
                weight.grad.div_(count)
        norm = float(nn.utils.clip_grad_norm_(weights, settings.clip))
        if not math.isfinite(norm):
            raise NonFiniteLoss(_non_finite("The gradient", norm, step, batches))
        learning_rate = rate(
            settings.schedule, step, settings.total_steps, settings.warmup, settings.learning_rate
        )
        set_rate(self._optimizers, learning_rate)
        for optimizer in self._optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self._masters.publish()
        return StepReport(
            step=step + 1,
            epoch=(step + 1) / per_epoch,
            loss=total / count,
            grad_norm=norm,
            lr=learning_rate,
            tokens=sum(batch.tokens for batch in batches),
            supervised_tokens=count,
            seconds=time.perf_counter() - started,
        )

    def _gradients(self, batches: Sequence[Batch], step: int) -> tuple[float, float]:
        """Add up the gradients of all micro-batches; returns the loss sum and its count."""
        total = count = 0.0
        for micro, batch in enumerate(batches):
            torch.manual_seed(derive(self._settings.seed, "dropout", step, micro))
            loss = self._objective.loss(self._model, on_device(batch, self._device))
            value = float(loss.sum.detach())
            if not math.isfinite(value):
                raise NonFiniteLoss(_non_finite("The loss", value, step, [batch]))
            loss.sum.backward()
            total += value
            count += loss.count
        return total, count

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
                self._best = self._masters.snapshot()
        since_best = [v for v in progress.validations if v.step > progress.best_step]
        progress.stopped_early = 0 < settings.patience <= len(since_best)
        self._watcher.validated(validation)

    def _save(self) -> None:
        groups: dict[str, dict[str, torch.Tensor]] = {
            "weights": self._masters.snapshot(),
            "optimizer": state_tensors(self._optimizers),
        }
        if self._best:
            groups["best"] = self._best
        self._checkpoints.save(self._progress.step, self._progress.to_json(), groups)


def on_device(batch: Batch, device: torch.device) -> Batch:
    """The same batch with torch tensors on `device`."""
    arrays = ("tokens_T", "positions_T", "sites_S", "targets_S", "weights_S", "owner_S")
    tensors = {name: torch.from_numpy(getattr(batch, name)).to(device) for name in arrays}
    return replace(batch, **tensors)  # type: ignore[arg-type]  # arrays only


def _non_finite(what: str, value: float, step: int, batches: Sequence[Batch]) -> str:
    origins = [str(origin) for batch in batches for origin in batch.origins]
    shown = ", ".join(origins[:8]) + (f" and {len(origins) - 8} more" if len(origins) > 8 else "")
    return (
        f"{what} became {value} at step {step + 1}, so the update was not made and the weights are "
        f"still those of step {step}. The rows of this batch: {shown}. Look at them, or lower "
        "engine.learning_rate."
    )
