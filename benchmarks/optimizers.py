"""Every optimiser on one small full fine-tune: `python -m benchmarks.optimizers`.

    python -m benchmarks.optimizers [--steps 60] [--times 1] [--only adamw lion] [--out FILE]

Anvil is tuned on the support conversations of `examples`, all weights, in float32. The optimisers
take turns step by step in one process, so that whatever else the machine does weighs on all alike.
Each has the learning rate that `auto` gives it, times `--times` where that is given. Found are the
loss on held-out rows, the median seconds of a step as a multiple of AdamW's, and bytes of state;
docs/optimizers.md is made from what is written (benchmarks/optimizers.json).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from benchmarks.machine import describe
from tunesmith.core.batch import Batch
from tunesmith.core.files import write_json
from tunesmith.data import PackedBatches
from tunesmith.engine.loop import on_device
from tunesmith.engine.schedules import rate
from tunesmith.engine.updates import UPDATES
from tunesmith.objectives import OBJECTIVES
from tunesmith.recipe import Recipe, load
from tunesmith.recipe.optimizers import RULES
from tunesmith.runs.assembly import batches_of, opened, settings_of
from tunesmith.runs.setup import Setup, set_up

FIGURES = Path(__file__).with_name("optimizers.json")
DATA = Path(__file__).parents[1] / "examples" / "support" / "conversations.jsonl"


@dataclass(frozen=True, slots=True)
class Found:
    """What one optimiser came to. `seconds` is a multiple of AdamW's step."""

    optimizer: str
    learning_rate: float
    loss: float
    seconds: float
    state_bytes: int
    weights: int


class Contender:
    """One model and one optimiser, trained a step at a time."""

    def __init__(self, setup: Setup, times: float) -> None:
        self._tuned = opened(setup, _Quiet())
        self._objective = OBJECTIVES["sft"]()
        self.batches = batches_of(setup, self._tuned.base.forward.shares)
        settings = settings_of(setup.recipe, self.batches)
        self.settings, self.peak = settings, settings.learning_rate * times
        self._updates = UPDATES[settings.memory](self._tuned.module, settings)
        self.seconds: list[float] = []

    def step(self, number: int) -> None:
        """One optimiser step."""
        began, settings = time.perf_counter(), self.settings
        self._tuned.module.train()
        self._updates.begin(
            rate(settings.schedule, number, settings.total_steps, settings.warmup, self.peak)
        )
        per_epoch = self.batches.steps_per_epoch
        batches = self.batches.step(number // per_epoch, number % per_epoch)
        for batch in batches:
            self._updates.backward(self._loss(batch), batch is batches[-1])
        self._updates.finish()
        self.seconds.append(time.perf_counter() - began)

    def found(self, held_out: Sequence[Batch], adamw: float) -> Found:
        """The figures after the last step."""
        self._tuned.module.eval()
        with self._updates.evaluated(), torch.no_grad():
            sums = [self._loss(batch) for batch in held_out]
        state = self._updates.state().values()
        return Found(
            optimizer=self.settings.optimizer,
            learning_rate=self.peak,
            loss=sum(float(each.sum) for each in sums) / sum(each.count for each in sums),
            seconds=statistics.median(self.seconds) / adamw,
            state_bytes=sum(each.numel() * each.element_size() for each in state),
            weights=self._tuned.trainable,
        )

    def _loss(self, batch: Batch):  # type: ignore[no-untyped-def]  # LossSum of torch
        return self._objective.loss(self._tuned.base.forward, on_device(batch, torch.device("cpu")))


class _Quiet:
    """Tells nobody that a base is opened."""

    def stage(self, *words: str) -> None:
        pass

    note = stage


def main() -> None:
    """Train, print the table, and write the figures."""
    asked = _arguments()
    names = asked.only or list(RULES)
    contenders = [
        Contender(set_up(_recipe(name, asked.steps)), times)
        for name in names
        for times in asked.times
    ]
    for number in range(asked.steps):
        for contender in contenders:
            contender.step(number)
    adamw = next((c for c in contenders if c.settings.optimizer == "adamw"), contenders[0])
    step = statistics.median(adamw.seconds)
    held_out = _held_out(set_up(_recipe("adamw", asked.steps)))
    found = [contender.found(held_out, step) for contender in contenders]
    print(table(found))
    if asked.out:
        figures = [asdict(each) for each in found]
        write_json(asked.out, {"machine": describe(), "steps": asked.steps, "found": figures})


def table(found: Sequence[Found]) -> str:
    """The figures as Markdown."""
    lines = [
        "| `engine.optimizer` | learning rate | held-out loss | a step, × AdamW's "
        "| state, bytes a weight |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| `{each.optimizer}` | {each.learning_rate:.3g} | {each.loss:.3f} | {each.seconds:.2f} "
        f"| {each.state_bytes / each.weights:.2f} |"
        for each in found
    ]
    return "\n".join(lines)


def _recipe(optimizer: str, steps: int) -> Recipe:
    asked = {
        "model.method": "full",
        "model.dtype": "float32",
        "data.train": str(DATA),
        "engine.max_steps": steps,
        "engine.batch_size": 4,
        "engine.optimizer": optimizer,
        "evaluate.level": "none",
    }
    return load(None, (), asked)


def _held_out(setup: Setup) -> list[Batch]:
    rows = setup.prepared.held_out
    batches = PackedBatches(rows, batch_size=8, tokens_per_micro_batch=2048, seed=0, share=False)
    return [batch for index in range(batches.steps_per_epoch) for batch in batches.step(0, index)]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--steps", type=int, default=60, help="optimiser steps")
    parser.add_argument("--times", type=float, nargs="+", default=[1.0], help="times the rate")
    parser.add_argument("--only", nargs="+", choices=list(RULES), help="some of the optimisers")
    parser.add_argument("--out", type=Path, help="write the figures to this file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
