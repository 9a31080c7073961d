"""Running the loop of any kind of run: from its start or a checkpoint, and what it took."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tunesmith.core.files import read_jsonl
from tunesmith.core.ports import Batches, Watcher
from tunesmith.engine.allocator import give_back
from tunesmith.engine.loop import Loop, Settings
from tunesmith.engine.progress import Progress
from tunesmith.engine.stopping import StopRequest
from tunesmith.evaluate.measure import Course
from tunesmith.runs.folder import RunFolder
from tunesmith.runs.memory import Meter
from tunesmith.runs.planned import afterwards, note_cost


def run_loop(
    loop: Loop,
    folder: RunFolder,
    from_step: int | None,
    said: Sequence[str],
    watcher: Watcher,
    stop: StopRequest,
) -> Progress:
    """Train to the end, from the newest checkpoint or that of `from_step`, else from the start.

    The metrics of steps that are made again are forgotten; the plan is told what training took.
    `said` tells what is trained, then what else is to be known. Raises what `Loop.run` raises.
    """
    if from_step is not None or loop.checkpoints.steps():
        checkpoint = loop.checkpoints.load(from_step)
        loop.resume(checkpoint)
        folder.forget_metrics_after(checkpoint.step)
    else:
        folder.forget_metrics_after(0)
    watcher.stage("train", said[0])
    for sentence in said[1:]:
        watcher.note(sentence)
    meter = Meter(loop.device)
    give_back()
    meter.mark()
    began = time.perf_counter()
    with stop.between_steps():
        progress = loop.run(stop)
    watcher.note(afterwards(note_cost(folder, time.perf_counter() - began, meter.peak())))
    return progress


def course_of(
    progress: Progress, settings: Settings, batches: Batches, folder: RunFolder, *, shared: bool
) -> Course:
    """How training went, for the verdict and its picture; `shared`: see `heldout.HeldOut`."""
    best = progress.best_step if settings.keep_best else 0
    return Course(
        validations=tuple(progress.validations),
        kept_step=best or progress.step,
        last_step=progress.step,
        planned_steps=settings.total_steps,
        planned_epochs=settings.total_steps / batches.steps_per_epoch,
        chosen_on_judged=shared and settings.keep_best,
        seconds=sum(line.get("seconds", 0.0) for line in read_jsonl(folder.metrics)),
    )
