"""The plan of a run that learns from grades: every answer is taken to be as long as it may be."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.core.batch import Batch
from tunesmith.core.ports import Objective, RolloutSampler
from tunesmith.core.records import Grade, Prompt, Rollout, Tokens
from tunesmith.core.seeds import derive
from tunesmith.data import PackedBatches
from tunesmith.engine.loop import Settings
from tunesmith.models.methods import Tuned
from tunesmith.models.open import Base
from tunesmith.runs.calibrate import Clock
from tunesmith.runs.estimate import Answering, Judging, scoring_work, try_answering, try_scoring
from tunesmith.runs.heldout import spread
from tunesmith.runs.memory import Meter
from tunesmith.runs.open import Opened
from tunesmith.runs.plan import make_plan
from tunesmith.runs.planned import Plan
from tunesmith.runs.preferences.ways import asked_and_drawn
from tunesmith.runs.reinforce.experience import Experience, Tried
from tunesmith.runs.reinforce.lay import Layer
from tunesmith.runs.reinforce.setup import ReinforceSetup
from tunesmith.runs.scoring import ModelScorer
from tunesmith.runs.workload import Shape

_DIFFERENT = 4
"""Steps that are made up; others are taken to be like these."""

_TRIED_TOKENS = 8
"""Tokens of each answer that are sampled to learn the speed of it."""


class MadeUp:
    """The Batches port over answers that nobody gave: random tokens, as many as there may be."""

    def __init__(self, prompts: PackedBatches, setup: ReinforceSetup, share: bool) -> None:
        self._prompts = prompts
        self._asked = setup.recipe.rollouts
        self._lay = Layer(self._asked, setup.variant, share)
        self._budget = int(setup.recipe.engine.tokens_per_micro_batch)
        self._words = len(setup.described.tokenizer)
        self._step = lru_cache(maxsize=_DIFFERENT)(self._made)

    @property
    def steps_per_epoch(self) -> int:
        """As in the run itself."""
        return self._prompts.steps_per_epoch * self._asked.updates

    @property
    def tokens_per_micro_batch(self) -> int:
        """The budget of a micro-batch in tokens."""
        return self._budget

    def within(self, tokens_per_micro_batch: int) -> MadeUp:
        """Not asked for: a plan makes its batches anew."""
        raise NotImplementedError

    def step(self, epoch: int, index: int) -> Sequence[Batch]:
        """The micro-batches of a step."""
        return self._step(index // self._asked.updates % _DIFFERENT)

    def _made(self, place: int) -> Sequence[Batch]:
        rows = self._prompts.examples(0, place % self._prompts.steps_per_epoch)
        draw = np.random.default_rng(derive(0, "made up", place))
        tried = [self._tried(row, draw) for row in rows for _ in range(self._asked.answers)]
        return self._lay(Experience(tuple(tried), self._asked.answers, 0, 0, {}), self._budget)

    def _tried(self, row: Tokens, draw: np.random.Generator) -> Tried:
        size = int(self._asked.max_new_tokens)
        zeros_N = np.zeros(size, dtype=np.float32)
        rollout = Rollout(draw.integers(0, self._words, size).astype(np.int32), zeros_N, True, "")
        prompt = Prompt(row.origin, (), row.ids_N, "")
        return Tried(prompt, rollout, Grade(1.0), 1.0, zeros_N, zeros_N)


@dataclass(frozen=True, slots=True)
class _Exams(Judging):
    """Asking held-out prompts, `choosing` of them at a look while it learns, with answers of at
    most `longest` tokens; and scoring general probes."""

    choosing: int = 0
    longest: int = 0

    def scoring_seconds(self, examples: Sequence[Tokens]) -> float:
        """Of a look while it learns: answers, not scores."""
        return self.answering_seconds(self.choosing, self.longest)

    def seconds(self, setup: Any, opening: float) -> float:
        """Of judging a whole run, at most."""
        if setup.recipe.evaluate.level == "none":
            return opening
        asked = len(setup.held_out.prompts)
        most, each = asked_and_drawn(setup.recipe.evaluate.level)
        prompts = 2 * asked + min(asked, most) * each
        probes = self.scoring.each * self.shape.products(
            scoring_work(setup.probes, self.budget, self.shape)
        )
        return 2 * self.answering_seconds(prompts, self.longest) + 3 * probes + 2 * opening

    def bytes(self, setup: Any) -> float:
        """The peak of judging, above what is held."""
        return max(self.scoring_bytes(setup.probes), self.answering.bytes)


def plan_rollouts(
    setup: ReinforceSetup,
    tuned: Tuned,
    objective: Objective,
    settings: Settings,
    prompts: PackedBatches,
    sampler: RolloutSampler,
    disk: Path,
    opening: float,
) -> tuple[ReinforceSetup, Plan]:
    """Measure what the run costs, and make it fit where that changes no result."""

    def batches_of(fitted: Any, share: bool) -> Any:
        return MadeUp(prompts, fitted, share)

    setup, plan = make_plan(
        setup,  # type: ignore[arg-type]  # the plan reads what both kinds of run have
        tuned,
        settings,
        batches_of,
        opening=opening,
        folder=disk,
        objective=objective,
        judged=_try_exams,
    )
    rounds = -(-settings.total_steps // setup.recipe.rollouts.updates)
    sampling = rounds * _seconds_of_round(setup, prompts, sampler)
    steps = plan.predicted.steps + sampling
    return setup, replace(plan, predicted=replace(plan.predicted, steps=steps))


def _seconds_of_round(
    setup: ReinforceSetup, prompts: PackedBatches, sampler: RolloutSampler
) -> float:
    """Of sampling the answers of one round, at most, from a few tokens of each."""
    asked = setup.recipe.rollouts
    known = {prompt.origin: prompt for prompt in setup.prompts}
    rows = [known[row.origin] for row in prompts.examples(0, 0)]
    tokens = min(_TRIED_TOKENS, asked.max_new_tokens)
    seconds = []
    for count in (1, tokens):
        began = time.perf_counter()
        sampler.sample(rows, asked.answers, count, asked.temperature)
        seconds.append(time.perf_counter() - began)
    each = max(0.0, seconds[1] - seconds[0]) / max(1, tokens - 1)
    return seconds[0] + each * (asked.max_new_tokens - 1)


def _try_exams(
    setup: ReinforceSetup,
    base: Base,
    most: int,
    shape: Shape,
    meter: Meter,
    clock: Clock,
) -> Judging:
    """Score some probes, and let some prompts be answered."""
    budget = int(setup.recipe.engine.tokens_per_micro_batch)
    scorer = ModelScorer(base, budget)
    scoring = try_scoring(scorer, setup.probes, min(budget, most), shape, meter, clock)
    prompts = spread(setup.held_out.prompts, 16)
    longest = max((len(prompt.ids_N) for prompt in prompts), default=1)
    sampler = Opened(base, setup.renderer).sampler
    answering = (
        try_answering(sampler, prompts, most // longest, meter, clock) if prompts else Answering()
    )
    return _Exams(
        shape,
        budget,
        scoring,
        answering,
        choosing=len(setup.choosing()),
        longest=int(setup.recipe.rollouts.max_new_tokens),
    )
