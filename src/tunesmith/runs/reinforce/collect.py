"""Sampling a round of answers with the weights as they are, having it graded, and keeping it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tunesmith.core.errors import NoGrades
from tunesmith.core.ports import Grader, RolloutSampler, Watcher
from tunesmith.core.records import Answered, Grade, Origin, Prompt, Rollout
from tunesmith.core.seeds import derive
from tunesmith.objectives.reinforcement import VARIANTS
from tunesmith.objectives.reinforcement.advantages import of_answers, without_signal
from tunesmith.recipe import RolloutsSection
from tunesmith.runs.reinforce.actor import Actor
from tunesmith.runs.reinforce.experience import Experience, Tried, load, save
from tunesmith.runs.reinforce.look_back import LookBack, require_on_policy

_REASONS = 3


class Source(NamedTuple):
    """`of_round` gives the prompts of a round; `others` those that may stand in for them, from the
    round and the number of the attempt; `all` every prompt of the run, by its place."""

    of_round: Callable[[int], Sequence[Prompt]]
    others: Callable[[int, int], Sequence[Prompt]]
    all: Mapping[Origin, Prompt]


@dataclass
class Collector:
    """Makes the experience of each round, once.

    `name` is a line of `VARIANTS`; `folder` is where rounds are kept.
    """

    source: Source
    actor: Actor
    sampler: RolloutSampler
    grader: Grader
    asked: RolloutsSection
    name: str
    seed: int
    folder: Path
    look_back: LookBack
    watcher: Watcher
    _spent: Counter[str] = field(default_factory=Counter)

    def round(self, number: int) -> Experience:
        """The answers of round `number`, counted from 0: from disk, or tried now.

        Raises:
            NoGrades: not one answer was graded.
            Unsupported: sampler and trainer are not one policy.
        """
        path = self.folder / f"step-{number * self.asked.updates + 1:06d}.jsonl"
        if path.exists():
            return load(path, self.source.all)
        self._spent.clear()
        with self.actor.at_rest():
            tried, drawn = self._answers(number)
            tried = self._looked_back(tried, number)
        tried = self._judged(tried)
        experience = Experience(
            tuple(tried),
            self.asked.answers,
            len(drawn),
            sum(len(each.ids_N) for each in drawn),
            dict(self._spent),
        )
        save(experience, path)
        return experience

    def _answers(self, number: int) -> tuple[list[Tried], list[Rollout]]:
        """Graded answers, and all that were sampled for them: prompts whose answers are all graded
        alike are replaced, as often as the recipe says."""
        tried = self._tried(self.source.of_round(number), derive(self.seed, "rollouts", number))
        drawn = [each.rollout for each in tried]
        for attempt in range(self.asked.resample):
            idle = np.flatnonzero(without_signal(self._grades(tried)))
            if not len(idle):
                break
            others = self.source.others(number, attempt)[: len(idle)]
            again = self._tried(others, derive(self.seed, "rollouts", number, attempt))
            drawn += [each.rollout for each in again]
            groups, fresh = self._groups(tried), self._groups(again)
            dull = without_signal(self._grades(again))
            useful = [group for group, is_dull in zip(fresh, dull, strict=True) if not is_dull]
            for place, group in zip(idle, useful, strict=False):
                groups[place] = group
            tried = [each for group in groups for each in group]
        return tried, drawn

    def _tried(self, prompts: Sequence[Prompt], seed: int) -> list[Tried]:
        asked = self.asked
        with self._timed("sampling"):
            rollouts = self.sampler.sample(
                prompts, asked.answers, asked.max_new_tokens, asked.temperature, seed
            )
        pairs = [
            (prompt, each)
            for prompt, group in zip(prompts, rollouts, strict=True)
            for each in group
        ]
        with self._timed("grading"):
            grades = self.grader.grade([answered(*pair) for pair in pairs])
        require_grades(grades)
        return [Tried(*pair, grade) for pair, grade in zip(pairs, grades, strict=True)]

    def _looked_back(self, tried: list[Tried], number: int) -> list[Tried]:
        """With what the base and the critic say of the answers, where something asks for it."""
        actor, temperature = self.actor, self.asked.temperature
        with self._timed("looking_back"):
            if number == 0:
                again = self.look_back.log_probs(actor.forward, tried, temperature)
                self.watcher.note(require_on_policy(tried, again, actor.dtype))
            if self.asked.kl_weight:
                with actor.as_base() as base:
                    reference = self.look_back.log_probs(base, tried, temperature)
                pairs = zip(tried, reference, strict=True)
                tried = [replace(each, reference_N=found_N) for each, found_N in pairs]
            if actor.value is not None:
                pairs = zip(tried, self.look_back.each(actor.value, tried), strict=True)
                tried = [replace(each, values_N=found_N) for each, found_N in pairs]
        return tried

    def _judged(self, tried: Sequence[Tried]) -> list[Tried]:
        """With the advantage of each."""
        baseline, grades_Pn = VARIANTS[self.name].baseline, self._grades(tried)
        if baseline == "critic":
            first = [0.0 if each.values_N is None else float(each.values_N[0]) for each in tried]
            found = grades_Pn.ravel() - np.array(first)
        else:
            found = of_answers(grades_Pn - self._cost(tried), baseline).ravel()
        return [
            replace(each, advantage=None if np.isnan(value) else float(value))
            for each, value in zip(tried, found, strict=True)
        ]

    def _cost(self, tried: Sequence[Tried]) -> np.ndarray:
        """What leaving the base costs each answer, where that stands in its grade (P, n)."""
        costs = np.zeros(len(tried))
        if self.asked.kl_weight and self.asked.kl_in == "reward":
            left = [
                float((each.rollout.log_probs_N - each.reference_N).sum(dtype=np.float64))
                for each in tried
            ]
            costs = self.asked.kl_weight * np.array(left)
        return costs.reshape(-1, self.asked.answers)

    def _grades(self, tried: Sequence[Tried]) -> np.ndarray:
        return Experience(tuple(tried), self.asked.answers, 0, 0, {}).grades()

    def _groups(self, tried: Sequence[Tried]) -> list[Sequence[Tried]]:
        size = self.asked.answers
        return [tried[start : start + size] for start in range(0, len(tried), size)]

    @contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self._spent[part] += time.perf_counter() - began  # type: ignore[assignment]


def answered(prompt: Prompt, rollout: Rollout) -> Answered:
    """What a grader is shown of an answer."""
    return Answered(prompt.origin, prompt.messages, rollout.text, prompt.reference, prompt.tests)


def require_grades(grades: Sequence[Grade]) -> None:
    """Raises NoGrades where there is not one."""
    if any(grade.value is not None for grade in grades):
        return
    reasons = Counter(grade.failed for grade in grades).most_common(_REASONS)
    told = "; ".join(f"{count} times: {reason}" for reason, count in reasons)
    raise NoGrades(
        f"Not one of {len(grades)} answers could be graded ({told}), so there is nothing to learn "
        "from. The weights are those of the last step; put the grader right and resume the run."
    )
