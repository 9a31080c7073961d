"""Measuring a model before and after it learned from grades, and what is written of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tunesmith.core.files import iterate_jsonl, read_json, read_jsonl, write_json
from tunesmith.core.ports import Watcher
from tunesmith.core.records import Prompt, Rollout, Score, Tokens
from tunesmith.evaluate.measure import Course, Measured, Side, parity, scored
from tunesmith.evaluate.preferences.measured import Asked, PreferenceMeasured, Seen, Tries, Way
from tunesmith.evaluate.verdict import Verdict
from tunesmith.models.open import Base, open_base
from tunesmith.models.rollouts import InProcessRollouts
from tunesmith.runs.artefacts import hashes
from tunesmith.runs.folder import RunFolder
from tunesmith.runs.open import Opened, device_here, open_artefact
from tunesmith.runs.preferences.judge import write_preferences
from tunesmith.runs.preferences.ways import draw, prompts_of, way, with_log_probs
from tunesmith.runs.reinforce.exam import Examiner
from tunesmith.runs.reinforce.setup import ReinforceSetup
from tunesmith.runs.rewards import knows_the_answer
from tunesmith.runs.samples import own_samples
from tunesmith.runs.scoring import ModelScorer


@dataclass(frozen=True, slots=True)
class Exam:
    """What was measured of one model: general text; its graded answers to held-out prompts, and to
    some that were learned from; and answers to held-out prompts drawn as by chance, ungraded."""

    side: Side
    answers: Way
    rehearsed: Way
    sampled: Way

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json`; `from_json` is the way back."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Exam:
        """What `to_json` wrote."""
        ways = {name: Way.from_json(value[name]) for name in ("answers", "rehearsed", "sampled")}
        return cls(Side.from_json(value["side"]), **ways)


@dataclass(frozen=True, slots=True)
class Judge:
    """Measures the run of `setup`, whose files are in `folder`."""

    setup: ReinforceSetup
    folder: RunFolder
    examiner: Examiner
    watcher: Watcher

    @property
    def measures(self) -> bool:
        """Whether anything is measured."""
        return bool(self.setup.recipe.evaluate.level != "none")

    @property
    def _sampled(self) -> list[Prompt]:
        return prompts_of(self.setup.held_out.prompts, self.setup.recipe.evaluate.level)

    def look_at_base(self, plain: Base) -> tuple[Exam | None, list[Tokens]]:
        """The base's measurements and the texts that it wrote, made once and kept."""
        if not self.measures:
            return None, []
        samples = own_samples(plain, self.setup, self.folder)  # type: ignore[arg-type]
        if self.folder.base_side.exists():
            return Exam.from_json(read_json(self.folder.base_side)), samples
        self.watcher.stage("measure", "the base on held-out prompts and general probes")
        exam, _ = self._exam(plain, samples, "base", "the base")
        write_json(self.folder.base_side, exam.to_json())
        return exam, samples

    def probes_of(self, base: Base) -> tuple[Score, ...]:
        """The general probes under a model as it stands."""
        budget = self.setup.recipe.engine.tokens_per_micro_batch
        return scored(ModelScorer(base, budget), self.setup.probes)

    def finish(
        self,
        before: Exam | None,
        samples: Sequence[Tokens],
        in_memory: Sequence[Score],
        artefact: Path,
        course: Course,
    ) -> Verdict:
        """Measure what was saved, opened afresh, and write verdict, report and card."""
        recipe = self.setup.recipe
        found = PreferenceMeasured(
            run=Measured(course=course),
            grader="the reward",
            proxy=not knows_the_answer(recipe.reward),
            temperature=recipe.rollouts.held_out_temperature,
            loss="minus the mean grade",
            tries=_tries(self.folder, recipe.rollouts.success),
        )
        if before is not None:
            self.watcher.stage("evaluate", "the tuned model, opened afresh")
            found = self._compared(found, before, samples, in_memory, artefact)
        write_json(self.folder.hashes, hashes(artefact))
        return write_preferences(self.folder, found, recipe.engine.seed)

    def _compared(
        self,
        found: PreferenceMeasured,
        before: Exam,
        samples: Sequence[Tokens],
        in_memory: Sequence[Score],
        artefact: Path,
    ) -> PreferenceMeasured:
        prompts, rehearsed = self.setup.held_out.prompts, self._rehearsed
        after, drawn, same = self._of_saved(artefact, samples)
        sides = parity(in_memory, after.side.probes, same, len(prompts))
        return replace(
            found,
            run=replace(found.run, base=before.side, tuned=after.side, parity=sides),
            prompts=tuple(Asked(each.origin, each.messages) for each in prompts),
            base=before.answers,
            tuned=after.answers,
            seen=_seen(rehearsed, before.rehearsed, after.rehearsed),
            sampled=(before.sampled, self._weighed(after.sampled, drawn)),
        )

    def _of_saved(
        self, artefact: Path, samples: Sequence[Tokens]
    ) -> tuple[Exam, list[list[Rollout]], int]:
        """The saved model's measurements, the answers that it drew, and to how many held-out
        prompts it has the token ids of training."""
        saved = open_artefact(artefact, self.setup.recipe)
        exam, drawn = self._exam(saved.base, samples, "tuned", "the tuned model")
        return exam, drawn, self._same_prompts(saved)

    def _exam(
        self, base: Base, samples: Sequence[Tokens], name: str, title: str
    ) -> tuple[Exam, list[list[Rollout]]]:
        setup, ids = self.setup, self.setup.renderer.stop_ids()
        recipe, sampler = setup.recipe, InProcessRollouts(base, ids)
        base.model.eval()
        drawn = draw(base, ids, self._sampled, recipe, int(recipe.rollouts.max_new_tokens))
        scorer = ModelScorer(base, recipe.engine.tokens_per_micro_batch)
        exam = Exam(
            Side(probes=self.probes_of(base), samples=scored(scorer, samples)),
            self.examiner.ask(sampler, setup.held_out.prompts, name, title),
            self.examiner.ask(sampler, self._rehearsed, name, title),
            way(name, title, self._sampled, drawn, None),
        )
        return exam, drawn

    @property
    def _rehearsed(self) -> list[Prompt]:
        return self.setup.rehearsed(len(self.setup.held_out.prompts))

    def _weighed(self, sampled: Way, drawn: list[list[Rollout]]) -> Way:
        """With what the base holds of the tuned model's answers: it is opened when that one is
        closed, so that one model is open at a time."""
        model, budget = self.setup.recipe.model, self.setup.recipe.engine.tokens_per_micro_batch
        device = device_here(self.setup.recipe)
        base = open_base(self.setup.described, model.dtype, device, quantize=model.quantize)
        return with_log_probs(sampled, self._sampled, drawn, base, budget)

    def _same_prompts(self, saved: Opened) -> int:
        return sum(
            saved.renderer.ask(each.messages, each.tools).tolist() == each.ids_N.tolist()
            for each in self.setup.held_out.prompts
        )


def _seen(prompts: Sequence[Prompt], base: Way, tuned: Way) -> tuple[Seen, ...]:
    """The grades of the prompts that were learned from, where both answers have one."""
    rows = zip(prompts, base.answers, tuned.answers, strict=True)
    return tuple(
        Seen(prompt.origin, before.score, after.score)
        for prompt, (before,), (after,) in rows
        if before.score is not None and after.score is not None
    )


def _tries(folder: RunFolder, success: float) -> Tries:
    """What was sampled to learn from, and the seconds of the steps by what they were spent on."""
    rounds = sorted(folder.rollouts.glob("step-*.jsonl"))
    tokens = sum(next(iterate_jsonl(path))["drawn_tokens"] for path in rounds)
    lines = read_jsonl(folder.metrics)
    whole = sum(line.get("seconds", 0.0) for line in lines)
    seconds = {
        name: sum(line.get(f"{key}_seconds", 0.0) for line in lines)
        for key, name in (
            ("sampling", "sampling answers"),
            ("grading", "grading them"),
            ("looking_back", "the base and the critic"),
        )
    }
    rest = max(0.0, whole - sum(seconds.values()))
    return Tries(success, tokens, seconds | {"learning from them": rest})
