"""What several rooms' tests build: recipes, loops and examples on a small base."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from tunesmith.core.files import read_jsonl
from tunesmith.core.ports import Silent
from tunesmith.core.records import Origin, StepReport, Tokens
from tunesmith.data.loader import PackedBatches
from tunesmith.engine.checkpoints import Checkpoints
from tunesmith.engine.loop import Loop, Settings
from tunesmith.models.methods import Tuned, attach
from tunesmith.models.open import Base, describe, open_base
from tunesmith.objectives import OBJECTIVES, Penalised
from tunesmith.recipe import ModelSection, Recipe, load
from tunesmith.recipe.methods import METHODS
from tunesmith.runs import plan as planning
from tunesmith.runs.calibrate import Passes, Rates, Sample, Update
from tunesmith.runs.estimate import Answering, Judging, Scoring
from tunesmith.runs.footprint import Line
from tunesmith.runs.workload import Shape, Work

SETTINGS = Settings(
    total_steps=6,
    optimizer="adamw",
    learning_rate=1e-2,
    schedule="cosine",
    warmup=0.2,
    weight_decay=0.01,
    clip=1.0,
    seed=3,
    checkpoint_every=100,
    validate_every=100,
    patience=0,
    keep_best=False,
)


def recipe(base: Path, data: Path, **fields: Any) -> Recipe:
    """A short, quick recipe; `fields` by name with two underscores for the dot."""
    settings = {
        "model.base": str(base),
        "model.dtype": "float32",
        "data.train": str(data),
        "engine.max_steps": 8,
        "engine.batch_size": 4,
        "engine.validate_every": 4,
        "engine.checkpoint_every": 2,
        "evaluate.level": "quick",
        "evaluate.rows": 12,
        "evaluate.max_new_tokens": 8,
    }
    return load(None, (), settings | {key.replace("__", "."): fields[key] for key in fields})


def model_section(**fields: Any) -> ModelSection:
    """A resolved model section."""
    adapts = "rank" in METHODS[fields.get("method", "lora")].keys
    layers = 3 if adapts else 1  # LoRA: all of the tiny base
    values = {"rank": 4, "alpha": 8, "layers": layers, "dtype": "float32", "device": "cpu"}
    return ModelSection(**(values | fields))


def opened(folder: Path, method: str = "full", dtype: str = "float32", **fields: Any) -> Tuned:
    """A base on the CPU, prepared for `method`."""
    base: Base = open_base(describe(str(folder)), dtype, "cpu")
    return attach(base, model_section(method=method, **fields), 0)


def examples(count: int, vocabulary: int = 300, seed: int = 0) -> list[Tokens]:
    """Random examples of 5 to 30 tokens whose second half is learned, with uneven weights."""
    draw = np.random.default_rng(seed)
    made = []
    for n in range(count):
        length = int(draw.integers(5, 31))
        weights = np.zeros(length, dtype=np.float32)
        weights[length // 2 :] = draw.choice([0.5, 1.0, 2.0], length - length // 2)
        ids = draw.integers(0, vocabulary, length).astype(np.int32)
        made.append(Tokens(Origin("made.jsonl", n + 1), ids, weights, length))
    return made


def loop_over(
    tuned: Tuned,
    rows: Sequence[Tokens],
    folder: Path,
    settings: Settings = SETTINGS,
    *,
    batch_size: int = 8,
    budget: int = 10_000,
    **ports: Any,
) -> Loop:
    """A loop over packed examples; `ports` replaces what else a loop takes."""
    batches = PackedBatches(
        rows,
        batch_size=batch_size,
        tokens_per_micro_batch=budget,
        seed=settings.seed,
        share=tuned.base.forward.shares,
    )
    folder.mkdir(parents=True, exist_ok=True)
    objective = ports.get("objective") or OBJECTIVES["sft"]()
    return Loop(
        tuned.module,
        tuned.base.forward,
        Penalised(objective, tuned.penalty) if tuned.penalty else objective,
        batches,
        settings,
        validate=ports.get("validate"),
        checkpoints=Checkpoints(folder, 2),
        watcher=ports.get("watcher") or Silent(),
        take_up=ports.get("take_up"),
        start=ports.get("start"),
        revision=tuned.revision(settings.total_steps) if tuned.revision else None,
    )


def nothing_measured(
    setup: Any, tuned: Tuned, settings: Settings, *arguments: Any
) -> planning.Costs:
    """Stands where `runs.plan` measures, which takes most of a small run's time."""
    shape = Shape(weights=1000, head=100, layers=2, width=10, padded=False)
    sample = Sample(Work(1, 10, 50, 5), 1.0, 10.0, 10.0)
    return planning.Costs(
        shape=shape,
        passes=Passes(Rates(0.0, 1e-6), (sample,), 0.0),
        update=Update(),
        judging=Judging(shape, 100, Scoring(1e-6, Line(0.0, 1.0)), Answering()),
        held=1e6,
        trained=tuned.trainable,
        arriving=2.0 * tuned.trainable,
        most_shapes=0,
        opening=0.0,
        saving=0.0,
        keeping=0.0,
    )


def weights_of(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A copy of all trainable weights."""
    return {n: w.detach().clone() for n, w in module.named_parameters() if w.requires_grad}


def gradients_of(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A copy of all gradients."""
    return {n: w.grad.clone() for n, w in module.named_parameters() if w.grad is not None}


def assert_near(
    left: dict[str, torch.Tensor], right: dict[str, torch.Tensor], tolerance: float = 1e-5
) -> None:
    """Equal to `tolerance` relative, tensor by tensor, in the Euclidean norm."""
    assert left.keys() == right.keys()
    for name, value in left.items():
        error = (value - right[name]).norm() / right[name].norm().clamp(min=1e-12)
        assert error < tolerance, f"{name} differs by {error:.1e}"


def saved_weights(run: Path) -> dict[str, torch.Tensor]:
    """What a finished run saved: the adapter or the model."""
    (file,) = [*run.glob("model/*.safetensors"), *run.glob("adapter/*.safetensors")]
    return load_file(file)


def assert_same_training(left: Path, right: Path) -> None:
    """Two runs saved the same bits by way of the same steps."""
    ours, theirs = saved_weights(left), saved_weights(right)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert metrics_of(left) == metrics_of(right)


def metrics_of(run: Path) -> list[dict[str, Any]]:
    """Its metrics without the seconds, which differ between equal runs."""
    lines = read_jsonl(run / "metrics.jsonl")
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


class Recorder(Silent):
    """Keeps what it is told of steps, and the notes."""

    def __init__(self) -> None:
        self.reports: list[StepReport] = []
        self.notes: list[str] = []

    @property
    def losses(self) -> list[float]:
        """Of each step."""
        return [report.loss for report in self.reports]

    def step(self, report: StepReport) -> None:
        self.reports.append(report)

    def note(self, message: str) -> None:
        self.notes.append(message)


class SignalAt(Silent):
    """Sends this process a signal after a step."""

    def __init__(self, number: int, step: int) -> None:
        self._number, self._step = number, step

    def step(self, report: StepReport) -> None:
        if report.step == self._step:
            os.kill(os.getpid(), self._number)


class Left(Exception):
    """The process ended here."""


class LeaveAt(Silent):
    """Raises Left after a step."""

    def __init__(self, step: int) -> None:
        self._step = step

    def step(self, report: StepReport) -> None:
        if report.step == self._step:
            raise Left
