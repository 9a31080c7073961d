"""What a run will do and need, measured before it starts.

The work of every step is known beforehand (`workload`), what work costs is measured on a few real
micro-batches (`calibrate`), and memory is the peak of the stages (`footprint`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tunesmith.core.ports import Batches, Objective
from tunesmith.engine.loop import Settings
from tunesmith.models.forward import PackedForward
from tunesmith.models.methods import MODEL, Tuned
from tunesmith.models.quantised import weight_count
from tunesmith.objectives import OBJECTIVES
from tunesmith.runs.calibrate import Calibration, Clock, Passes, Update
from tunesmith.runs.estimate import Judging, saving_seconds, try_judging
from tunesmith.runs.fitting import fit_into
from tunesmith.runs.footprint import Footprint, Line
from tunesmith.runs.memory import Meter, Room, room
from tunesmith.runs.planned import Plan, Predicted
from tunesmith.runs.routes import paths_of
from tunesmith.runs.setup import Setup
from tunesmith.runs.workload import OTHERS, Shape, Workload, lay_out, shape_of

# Entries of oneDNN's cache of primitives, unless an environment variable says otherwise.
_KERNELS = 1024
# Bytes a weight that AdaLoRA's allocator holds: its importance, and two running means of it.
_REVISED = 12
# Sizes of micro-batches that calibration has met itself.
_MET = OTHERS + 3

Limit = Callable[[torch.device], Room | None]
TryJudging = Callable[[Any, Any, int, Shape, Meter, Clock], Judging]


@dataclass(frozen=True, slots=True)
class Costs:
    """What was measured of a model: time and memory of a micro-batch, an update, and judging.

    `held` are bytes before training, `trained` is how many weights are trained and `arriving` the
    bytes of their gradients as they come; `opening` are seconds of opening the model, `saving` of
    writing a checkpoint, `keeping` of writing the best weights.
    """

    shape: Shape
    passes: Passes
    update: Update
    judging: Judging
    held: float
    trained: int
    arriving: float
    most_shapes: int
    opening: float
    saving: float
    keeping: float

    def footprint(self, shapes: int, keeps_gradients: bool) -> Footprint:
        """Memory over the tokens of a micro-batch."""
        samples = self.passes.samples
        unmet = max(0, min(shapes, self.most_shapes) - _MET)
        return Footprint(
            held=self.held,
            state=self.update.masters_bytes + self.update.optimizer_bytes,
            gradients=4.0 * self.trained,
            arriving=self.arriving,
            kept=keeps_gradients,
            forward=Line.through([(s.work.tokens, s.forward_bytes) for s in samples]),
            both=Line.through(
                [(s.work.tokens, s.peak_bytes) for s in samples],
                start=self.arriving if keeps_gradients else 0.0,
            ),
            shapes=self.passes.shape_bytes * unmet,
        )


def make_plan(
    setup: Setup,
    tuned: Tuned,
    settings: Settings,
    batches_of: Callable[[Setup, bool], Batches],
    *,
    opening: float,
    folder: Path,
    objective: Objective | None = None,
    judged: TryJudging = try_judging,
    limit: Limit | None = None,
    clock: Clock = time.perf_counter,
) -> tuple[Any, Plan]:
    """Measure what a run costs, and make it fit where that changes no result.

    Args:
        setup: the run; it comes back with a smaller micro-batch, or with activation checkpointing,
            where that was needed.
        tuned: the model as it will be trained. Nothing is changed in it.
        settings: of the loop.
        batches_of: the training batches of a setup; the flag is whether prefixes are shared.
        opening: seconds that opening the model took.
        folder: a folder on the disk that checkpoints will go to.
        objective: the loss; by default the one that the recipe names.
        judged: measures what judging costs.
        limit: how much memory there is on a device; by default what the system says.
        clock: seconds, for measuring.

    Raises:
        Unsupported: it does not fit, and nothing that keeps the result would make it fit.
    """
    began, share = clock(), tuned.shares
    available = (limit or room)(tuned.base.model.device)
    batches = batches_of(setup, share)
    objective = objective or OBJECTIVES[setup.recipe.objective.kind]()
    padded = tuned.base.forward.name != PackedForward.name
    work = lay_out(batches, settings.total_steps, padded)
    costs = _measure(
        setup, tuned, settings, work, available, opening, folder, objective, judged, clock
    )
    memory = costs.footprint(work.shapes, settings.memory == "normal")
    fitted = fit_into(setup, tuned, memory, work, available)
    if fitted.changes:
        setup, memory = fitted.setup, fitted.memory
        work = lay_out(batches_of(setup, share), settings.total_steps, padded)
    return setup, Plan(
        facts=_facts(setup, tuned, batches, settings.total_steps),
        paths=paths_of(setup, tuned, work, batches.steps_per_epoch),
        predicted=_predict(setup, settings, costs, work, memory),
        room=available,
        calibration_seconds=clock() - began,
        changes=fitted.changes,
    )


def _measure(
    setup: Setup,
    tuned: Tuned,
    settings: Settings,
    work: Workload,
    available: Room | None,
    opening: float,
    folder: Path,
    objective: Objective,
    judged: TryJudging,
    clock: Clock,
) -> Costs:
    """Compute a little of everything that the run will compute."""
    base = tuned.base
    meter = Meter(base.model.device)
    meter.mark()
    weights = weight_count(base.model.parameters())
    shape = shape_of(base.described, weights, work.padded, base.forward.outputs)
    free = float("inf") if available is None else available.bytes - meter.held()
    keeps = settings.memory == "normal"
    calibration = Calibration(tuned, objective, shape, meter, free, keeps, clock)
    passes = calibration.passes(work, lambda rates: rates.seconds(shape, work.total))
    update = calibration.update(settings)
    if tuned.revision is not None:
        held = update.optimizer_bytes + _REVISED * tuned.trainable
        update = update._replace(optimizer_bytes=held)
    judging = judged(setup, base, int(passes.samples[-1].work.tokens), shape, meter, clock)
    weights_bytes = 4.0 * tuned.trainable
    saving = saving_seconds(folder, update.optimizer_bytes + weights_bytes, clock)
    keeping = saving_seconds(folder, weights_bytes, clock) if settings.keep_best else 0.0
    meter.mark()
    return Costs(
        shape=shape,
        passes=passes,
        update=update,
        judging=judging,
        held=meter.held(),
        trained=tuned.trainable,
        arriving=float(sum(w.nbytes for w in tuned.module.parameters() if w.requires_grad)),
        most_shapes=_most_shapes(tuned),
        opening=opening,
        saving=saving,
        keeping=keeping,
    )


def _predict(
    setup: Setup, settings: Settings, costs: Costs, work: Workload, memory: Footprint
) -> Predicted:
    choosing = setup.held_out.choosing
    steps, rates = work.steps, costs.passes.rates
    judging = costs.judging
    validations = _times(steps, settings.validate_every) if choosing else 0
    return Predicted(
        steps=rates.seconds(costs.shape, work.total) + steps * costs.update.seconds,
        validation=validations * (judging.scoring_seconds(choosing) + costs.keeping),
        checkpoints=_times(steps, settings.checkpoint_every) * costs.saving,
        judging=judging.seconds(setup, costs.opening),
        tokens=work.tokens,
        peak_bytes=memory.peak(work.most.tokens, work.several),
        judging_peak_bytes=costs.held + judging.bytes(setup),
    )


def _most_shapes(tuned: Tuned) -> int:
    """For how many sizes of micro-batches oneDNN keeps code: none for float32, none on cuda.

    Each size needs two products a shape of linear layer (its output, its input's gradient), and a
    third where it is trained.
    """
    model = tuned.base.model
    if model.dtype != torch.bfloat16 or model.device.type != "cpu":
        return 0
    linear = [each.weight for each in tuned.module.modules() if isinstance(each, nn.Linear)]
    found = {(weight.shape, weight.requires_grad) for weight in linear}
    return _KERNELS // max(1, sum(3 if trained else 2 for _, trained in found))


def _times(steps: int, every: int) -> int:
    """How often something happens each so many steps, and after the last."""
    return -(-steps // every)


def _facts(setup: Setup, tuned: Tuned, batches: Batches, steps: int) -> dict[str, Any]:
    """Counts that need no measuring. `parameters` counts the adapter, too."""
    train, mix = setup.prepared.trained_on, setup.prepared.mix
    return {
        "parameters": weight_count(tuned.module.parameters()),
        "trained_parameters": tuned.trainable,
        "forward": tuned.base.forward.name,
        "opened_by": tuned.base.described.opened_by,
        "steps_per_epoch": batches.steps_per_epoch,
        "steps": steps,
        "tokens_per_epoch": mix.per_epoch(train.lengths),
        "supervised_tokens_per_epoch": mix.per_epoch(train.sites),
    }


def bytes_needed(tuned: Tuned, keep_checkpoints: int) -> int:
    """What a run may write: its checkpoints, one more while it is being written, and the result.

    A checkpoint holds, in float32, each trained weight, its best value, and two moments; and what a
    method remembers of it, where it revises its weights.
    """
    each = 16 + (_REVISED if tuned.revision else 0)
    whole = sum(weight.numel() * weight.element_size() for weight in tuned.module.parameters())
    result = whole if tuned.artefact == MODEL else tuned.trainable * 4
    return (keep_checkpoints + 1) * each * tuned.trainable + result
