"""The plan of an image run: images are all of one size, so a few micro-batches tell of the rest."""

from __future__ import annotations

import gc
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tunesmith.core.batch import ImageBatch
from tunesmith.core.errors import Unsupported
from tunesmith.core.ports import Objective, Watcher
from tunesmith.engine.loop import Settings, on_device
from tunesmith.engine.memory import is_out_of_memory
from tunesmith.models.seeding import seeded
from tunesmith.runs.assembly import settings_of
from tunesmith.runs.estimate import saving_seconds
from tunesmith.runs.fitting import gigabytes
from tunesmith.runs.images.batches import image_batches
from tunesmith.runs.images.predict import ImagePredictor
from tunesmith.runs.images.setup import ImageSetup
from tunesmith.runs.images.tuned import ImageTuned, opened_images
from tunesmith.runs.labels.batches import objective_of
from tunesmith.runs.labels.predict import Floats
from tunesmith.runs.memory import Meter, Room, room
from tunesmith.runs.planned import Plan, Predicted

_STATE = 12.0
"""Bytes a trained weight beside itself, in float32: its gradient and Adam's two moments."""


@dataclass(frozen=True, slots=True)
class _Sample:
    """One micro-batch of training: seconds with drawing its images, and bytes above what is held;
    and the seconds of asking about the same images."""

    images: int
    seconds: float
    bytes: float
    asking: float


def foresee_images(setup: ImageSetup, watcher: Watcher) -> Plan:
    """The plan alone, of a run that is not begun."""
    began = time.perf_counter()
    watcher.stage("base", f"open {setup.recipe.model.base} and give it a head")
    tuned = opened_images(setup)
    settings = settings_of(setup.recipe, image_batches(setup), tuned.rate_factors)
    shape = len(setup.rows), setup.described.width
    frozen = setup.recipe.model.method == "head"
    stand_in = np.zeros(shape, np.float32) if frozen else None
    watcher.stage("plan", "compute a few micro-batches")
    opening, disk = time.perf_counter() - began, Path(tempfile.gettempdir())
    trunk = _trunk_seconds(setup, tuned) if frozen else 0.0
    objective = objective_of(setup)
    return plan_images(setup, tuned, objective, settings, disk, opening, stand_in, trunk)[1]


def _trunk_seconds(setup: ImageSetup, tuned: ImageTuned) -> float:
    """What all images take through the frozen trunk, from a micro-batch of them."""
    size = int(setup.recipe.engine.images_per_micro_batch)
    predictor, rows = ImagePredictor(tuned.model, setup.gallery, size), setup.rows
    predictor.features(rows[:size])  # prepares kernels
    began = time.perf_counter()
    predictor.features(rows[:size])
    return (time.perf_counter() - began) / len(rows[:size]) * len(rows)


def plan_images(
    setup: ImageSetup,
    tuned: ImageTuned,
    objective: Objective,
    settings: Settings,
    disk: Path,
    opening: float,
    features_RD: Floats | None = None,
    trunk_seconds: float = 0.0,
) -> tuple[ImageSetup, Plan]:
    """Measure what the run costs; fewer images at once where it would not fit, which changes no
    result.

    Raises:
        Unsupported: one image at a time does not fit.
    """
    began = time.perf_counter()
    available = room(next(tuned.model.parameters()).device)
    changes: list[str] = []
    while True:
        held, sample = _measured(setup, tuned, objective, features_RD)
        peak = held + _STATE * tuned.trainable + sample.bytes
        if available is None or peak <= available.bytes:
            break
        setup = _narrower(setup, peak, available)
        changes = [
            f"engine.images_per_micro_batch={setup.recipe.engine.images_per_micro_batch}: more at "
            "once would not fit into memory; the result is the same."
        ]
    batches = image_batches(setup)
    predicted = _predicted(setup, tuned, settings, sample, disk, opening, peak)
    facts: dict[str, Any] = {
        "parameters": sum(weight.numel() for weight in tuned.model.parameters()),
        "trained_parameters": tuned.trainable,
        "steps_per_epoch": batches.steps_per_epoch,
        "steps": settings.total_steps,
        "tokens_per_epoch": batches.mix.epoch_size,
        "unit": "images",
    }
    seconds = time.perf_counter() - began
    plan = Plan(facts, {}, predicted, available, seconds, tuple(changes))
    return setup, plan.after_trunk(trunk_seconds, "" if features_RD is None else _KNOWN)


_KNOWN = "What the frozen trunk makes of each image was computed once; training reads that."


def _measured(
    setup: ImageSetup, tuned: ImageTuned, objective: Objective, features_RD: Floats | None
) -> tuple[float, _Sample]:
    """Bytes held before, and a micro-batch; where it fails for want of memory, with no end of it.

    Leaves no gradient, mode or random draw behind.
    """
    device = next(tuned.model.parameters()).device
    meter = Meter(device)
    gc.collect()
    meter.mark()
    held = meter.held()
    batch = max(image_batches(setup, features_RD).step(0, 0), key=lambda each: each.tokens)
    try:
        with seeded(0, device):
            _pass(tuned, objective, batch)  # prepares kernels
            began = time.perf_counter()
            again = image_batches(setup, features_RD).step(0, 0)
            drawing = (time.perf_counter() - began) / sum(each.tokens for each in again)
            began = time.perf_counter()
            _pass(tuned, objective, batch)
            seconds = time.perf_counter() - began + drawing * batch.tokens
        asking = _asking(tuned, batch)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return held, _Sample(batch.tokens, 0.0, float("inf"), 0.0)
    finally:
        tuned.model.zero_grad(set_to_none=True)
        tuned.model.eval()
    return held, _Sample(batch.tokens, seconds, meter.peak() - held, asking)


def _pass(tuned: ImageTuned, objective: Objective, batch: ImageBatch) -> None:
    tuned.model.train()
    device = next(tuned.model.parameters()).device
    objective.loss(tuned.model, on_device(batch, device)).sum.backward()
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _asking(tuned: ImageTuned, batch: ImageBatch) -> float:
    """Seconds of the forward pass alone."""
    tuned.model.eval()
    began = time.perf_counter()
    with torch.inference_mode():
        moved = on_device(batch, next(tuned.model.parameters()).device)
        tuned.model.head(tuned.model.features(moved)).float().cpu()
    return time.perf_counter() - began


def _narrower(setup: ImageSetup, peak: float, available: Room) -> ImageSetup:
    """With half as many images at once. Raises Unsupported where it is one already."""
    engine = setup.recipe.engine
    most = min(engine.images_per_micro_batch, engine.batch_size)
    if most == 1:
        raise Unsupported(
            f"One image at a time needs {gigabytes(peak)}, and {available.limit} is "
            f"{gigabytes(available.bytes)}. Set a smaller data.image_size, or model.method=head."
        )
    engine = engine.model_copy(update={"images_per_micro_batch": most // 2})
    recipe = setup.recipe.model_copy(update={"engine": engine})
    return replace(setup, resolved=replace(setup.resolved, recipe=recipe))


def _predicted(
    setup: ImageSetup,
    tuned: ImageTuned,
    settings: Settings,
    sample: _Sample,
    disk: Path,
    opening: float,
    peak: float,
) -> Predicted:
    batches, choosing = image_batches(setup), setup.held_out.choosing
    images = round(settings.total_steps / batches.steps_per_epoch * batches.mix.epoch_size)
    each, asked = sample.seconds / sample.images, sample.asking / sample.images
    saving = saving_seconds(disk, 12.0 * tuned.trainable)
    judging = 2 * len(setup.held_out.judging) + len(setup.rehearsed(len(setup.held_out.judging)))
    validations = -(-settings.total_steps // settings.validate_every) if choosing else 0
    level = setup.recipe.evaluate.level
    again = images * each if level == "full" else 0.0  # the same from scratch
    return Predicted(
        steps=images * each,
        validation=validations * (len(choosing) * asked + saving / 3),
        checkpoints=-(-settings.total_steps // settings.checkpoint_every) * saving,
        judging=judging * asked + opening + again,
        tokens=images,
        peak_bytes=peak,
        judging_peak_bytes=0.0,
    )
