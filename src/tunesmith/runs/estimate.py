"""The time of the stages around the training steps: scoring, answers, checkpoints."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from tunesmith.core.ports import Sampler, Scorer
from tunesmith.core.records import Prompt, Tokens
from tunesmith.data.pack import pack, within_budget
from tunesmith.engine.checkpoints import Checkpoints
from tunesmith.evaluate.exposed import to_score
from tunesmith.models.open import Base
from tunesmith.recipe import generated_rows, own_samples
from tunesmith.runs.calibrate import Clock
from tunesmith.runs.footprint import Line
from tunesmith.runs.frontier import compared_on, strength_bytes
from tunesmith.runs.heldout import spread, whole_rows
from tunesmith.runs.memory import Meter
from tunesmith.runs.open import Opened
from tunesmith.runs.scoring import ModelScorer
from tunesmith.runs.setup import Setup
from tunesmith.runs.workload import Shape, Work, work_of

# Bytes saved to learn the speed of the disk.
_PROBE = 16 << 20
# Tokens generated to learn the speed of answering, and prompts answered at one time.
_DECODED = 4
_TOGETHER = 16


class Scoring(NamedTuple):
    """What scoring costs: seconds a product (see Shape), and bytes over the tokens of a batch."""

    each: float
    bytes: Line


class Answering(NamedTuple):
    """Seconds to read a batch of prompts, and to write one more token of all its answers."""

    reading: float = 0.0
    writing: float = 0.0
    bytes: float = 0.0


@dataclass(frozen=True, slots=True)
class Judging:
    """What it costs to score rows and to let a model answer; measured on a few of each.

    `strengths` are the bytes that comparing strengths holds.
    """

    shape: Shape
    budget: int
    scoring: Scoring
    answering: Answering
    strengths: float = 0.0

    def scoring_seconds(self, examples: Sequence[Tokens]) -> float:
        """Of scoring all `examples`."""
        return self.scoring.each * self.shape.products(self._work(examples))

    def answering_seconds(self, prompts: int, max_new_tokens: int) -> float:
        """Of so many answers, at most: each batch is taken to need the longest."""
        one = self.answering.reading + (max_new_tokens - 1) * self.answering.writing
        return -(-prompts // _TOGETHER) * one

    def scoring_bytes(self, examples: Sequence[Tokens]) -> float:
        """The peak of scoring `examples`."""
        return self.scoring.bytes.at(min(self.budget, sum(map(len, examples))))

    def seconds(self, setup: Setup, opening: float) -> float:
        """Of judging a whole run, at most: base and result, and the result once more in memory."""
        if setup.recipe.evaluate.level == "none":
            return 0.0
        scored, prompts = asked_of(setup)
        answers = self.answering_seconds(len(prompts), setup.recipe.evaluate.max_new_tokens)
        again = self.scoring_seconds(setup.held_out.judging)
        kept = self._keeping_seconds(setup)
        secrets = self.scoring_seconds(to_score(setup.prepared.canaries))
        return 2 * (self.scoring_seconds(scored) + answers) + again + kept + secrets + opening

    def _keeping_seconds(self, setup: Setup) -> float:
        """Of letting the base write samples, and of measuring an adapter at several strengths."""
        level = "none" if setup.described.writes_apart else setup.recipe.evaluate.level
        written = self.answering_seconds(*own_samples(level))
        rows = compared_on(setup)
        if rows is None:
            return written
        each = self.scoring_seconds(rows.choosing) + self.scoring_seconds(rows.probes)
        return written + rows.strengths * each

    def bytes(self, setup: Setup) -> float:
        """The peak of judging, above what is held."""
        if setup.recipe.evaluate.level == "none":
            return 0.0
        scored, _ = asked_of(setup)
        return max(self.scoring_bytes(scored), self.answering.bytes) + self.strengths

    def _work(self, examples: Sequence[Tokens]) -> Work:
        return scoring_work(examples, self.budget, self.shape)


def asked_of(setup: Setup) -> tuple[list[Tokens], list[Prompt]]:
    """What one side is measured on: the rows that are scored, and the prompts that are answered."""
    evaluate = setup.recipe.evaluate
    trained = whole_rows(setup.prepared.train, evaluate.rows)
    generated = generated_rows(evaluate.level, evaluate.rows)
    scored = [*setup.held_out.judging, *trained, *setup.probes]
    return scored, spread(setup.held_out.prompts, generated)


def try_judging(
    setup: Setup, base: Base, most_tokens: int, shape: Shape, meter: Meter, clock: Clock
) -> Judging:
    """Score some rows, at most `most_tokens`, and let some prompts be answered."""
    budget = setup.recipe.engine.tokens_per_micro_batch
    scored, prompts = asked_of(setup)
    rows = setup.held_out.choosing or scored
    scorer = ModelScorer(base, budget)
    scoring = try_scoring(scorer, rows, min(budget, most_tokens), shape, meter, clock)
    if setup.recipe.evaluate.level == "none" or not prompts:
        return Judging(shape, budget, scoring, Answering(), strength_bytes(setup, base))
    longest = max(len(prompt.ids_N) for prompt in prompts)
    sampler = Opened(base, setup.renderer).sampler
    answering = try_answering(sampler, prompts, most_tokens // longest, meter, clock)
    return Judging(shape, budget, scoring, answering, strength_bytes(setup, base))


def scoring_work(examples: Sequence[Tokens], budget: int, shape: Shape) -> Work:
    """The work of scoring `examples` in batches of at most `budget` tokens."""
    total = Work()
    share = not shape.padded
    for run in within_budget(examples, budget, share):
        total = total.plus(work_of(pack([examples[i] for i in run], share), shape.padded))
    return total


def try_scoring(
    scorer: Scorer,
    examples: Sequence[Tokens],
    budget: int,
    shape: Shape,
    meter: Meter,
    clock: Clock,
) -> Scoring:
    """Score the first examples, at most `budget` tokens of them, in one batch."""
    rows = [examples[i] for i in within_budget(examples, budget, share=False)[0]]
    part = rows[: max(1, len(rows) // 4)]
    scorer.score(part)  # prepares kernels
    points, seconds = [], 0.0
    for chosen in (part, rows):
        meter.mark()
        held, began = meter.held(), clock()
        scorer.score(chosen)
        seconds = clock() - began
        points.append((sum(map(len, chosen)), meter.peak() - held))
    products = shape.products(scoring_work(rows, budget, shape))
    return Scoring(seconds / products, Line.through(points))


def try_answering(
    sampler: Sampler, prompts: Sequence[Prompt], most: int, meter: Meter, clock: Clock
) -> Answering:
    """Let prompts of middle length be answered with a few tokens.

    `most` are tried at one time (fewer where prompts are long); a whole batch is then taken to cost
    as many times as much, which is an upper bound.
    """
    if not prompts:
        return Answering()
    ordered = sorted(prompts, key=lambda prompt: len(prompt.ids_N))
    count = min(len(ordered), _TOGETHER)
    tried = min(count, max(1, most))
    start = (len(ordered) - tried) // 2
    chosen = ordered[start : start + tried]
    meter.mark()
    held = meter.held()
    seconds = []
    for tokens in (1, 1 + _DECODED):
        began = clock()
        sampler.answer(chosen, tokens)
        seconds.append(clock() - began)
    factor = count / tried
    writing = max(0.0, seconds[1] - seconds[0]) / _DECODED
    return Answering(factor * seconds[0], factor * writing, factor * (meter.peak() - held))


def saving_seconds(folder: Path, size: float, clock: Clock = time.perf_counter) -> float:
    """How long a checkpoint of `size` bytes takes on the disk of `folder`.

    Measured by saving two small ones, which are removed again: files and folders are synced one by
    one, which counts for small checkpoints, and bytes are written and hashed, which counts for
    large ones. Where `folder` cannot be written the system's temporary folder stands for it.
    """
    place = folder if os.access(folder, os.W_OK) else None
    seconds = []
    with tempfile.TemporaryDirectory(dir=place, prefix=".plan-") as temporary:
        for probe in (0, min(_PROBE, size)):
            tensors = {"probe": torch.zeros(int(probe), dtype=torch.uint8)}
            began = clock()
            groups = {"weights": tensors, "optimizer": {}, "best": {}}
            Checkpoints(Path(temporary), 1).save(int(probe), {}, groups)
            seconds.append(clock() - began)
    each = max(0.0, seconds[1] - seconds[0]) / max(1.0, min(_PROBE, size))
    return seconds[0] + each * size
