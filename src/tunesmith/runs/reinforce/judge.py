"""Measuring a model before and after it learned from grades, and what is written of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tunesmith.core.files import iterate_jsonl, read_json, write_json
from tunesmith.core.ports import Watcher
from tunesmith.core.records import Score, Tokens
from tunesmith.evaluate.card import Shown, opening
from tunesmith.evaluate.labels.measured import Certificate
from tunesmith.evaluate.measure import PARITY_TOLERANCE, Course, scored
from tunesmith.evaluate.reinforcement.measured import Exam, ReinforceMeasured
from tunesmith.evaluate.reinforcement.page import render_reinforced, tables_of_grades
from tunesmith.evaluate.reinforcement.verdict import LOSS, judge_reinforced
from tunesmith.evaluate.verdict import Verdict
from tunesmith.models.open import Base
from tunesmith.models.rollouts import InProcessRollouts
from tunesmith.runs.artefacts import hashes
from tunesmith.runs.finished import artefact_of
from tunesmith.runs.folder import RunFolder
from tunesmith.runs.open import Opened, open_artefact
from tunesmith.runs.reinforce.exam import Examiner
from tunesmith.runs.reinforce.setup import ReinforceSetup
from tunesmith.runs.samples import own_samples
from tunesmith.runs.scoring import ModelScorer
from tunesmith.runs.written import about, finish


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

    def look_at_base(self, plain: Base) -> tuple[Exam, list[Tokens]]:
        """The base's measurements and the texts that it wrote, made once and kept."""
        if not self.measures:
            return Exam(), []
        samples = own_samples(plain, self.setup, self.folder)  # type: ignore[arg-type]
        if self.folder.base_side.exists():
            return Exam.from_json(read_json(self.folder.base_side)), samples
        self.watcher.stage("measure", "the base on held-out prompts and general probes")
        exam = self._exam(plain, samples)
        write_json(self.folder.base_side, exam.to_json())
        return exam, samples

    def probes_of(self, base: Base) -> tuple[Score, ...]:
        """The general probes under a model as it stands."""
        budget = self.setup.recipe.engine.tokens_per_micro_batch
        return scored(ModelScorer(base, budget), self.setup.probes)

    def finish(
        self,
        before: Exam,
        samples: Sequence[Tokens],
        in_memory: Sequence[Score],
        artefact: Path,
        course: Course,
    ) -> Verdict:
        """Measure what was saved, opened afresh, and write verdict, report and card."""
        measured = ReinforceMeasured(
            before,
            Exam(),
            self.setup.recipe.rollouts.success,
            course,
            tokens_sampled=_sampled(self.folder),
        )
        if self.measures:
            self.watcher.stage("evaluate", "the tuned model, opened afresh")
            saved = open_artefact(artefact, self.setup.recipe)
            after = self._exam(saved.base, samples)
            certificate = self._certificate(in_memory, after.probes, saved)
            measured = replace(measured, tuned=after, certificate=certificate)
        return self._write(measured)

    def _exam(self, base: Base, samples: Sequence[Tokens]) -> Exam:
        setup, held_out = self.setup, self.setup.held_out.prompts
        budget = setup.recipe.engine.tokens_per_micro_batch
        sampler = InProcessRollouts(base, setup.renderer.stop_ids())
        base.model.eval()
        return Exam(
            held_out=self.examiner.ask(sampler, held_out),
            trained=self.examiner.ask(sampler, setup.rehearsed(len(held_out))),
            probes=self.probes_of(base),
            samples=scored(ModelScorer(base, budget), samples),
        )

    def _certificate(
        self, in_memory: Sequence[Score], after: Sequence[Score], saved: Opened
    ) -> Certificate:
        prompts = self.setup.held_out.prompts
        same = sum(
            saved.renderer.ask(each.messages, each.tools).tolist() == each.ids_N.tolist()
            for each in prompts
        )
        apart = [
            abs(one.nll / one.count - other.nll / other.count)
            for one, other in zip(in_memory, after, strict=True)
        ]
        return Certificate(max(apart, default=0.0), len(prompts), same, PARITY_TOLERANCE)

    def _write(self, measured: ReinforceMeasured) -> Verdict:
        folder, recipe = self.folder, self.setup.recipe
        verdict = judge_reinforced(measured, recipe.engine.seed)
        artefact, said = artefact_of(folder), verdict.to_json()
        write_json(folder.hashes, hashes(artefact))
        told = about(folder)
        page = render_reinforced(said, measured, *told)
        tables = {"learned": tables_of_grades(measured, told[0])}
        opened_by = read_json(folder.plan).get("opened_by", "AutoModelForCausalLM")
        lines = opening(artefact.name, recipe.model_dump(mode="json"), opened_by)
        shown = Shown(course=measured.course, tables=tables, opening=tuple(lines), loss=LOSS)
        finish(folder, said, measured.to_json(), page, shown)
        return verdict


def _sampled(folder: RunFolder) -> int:
    """All tokens that were sampled to learn from."""
    rounds = sorted(folder.rollouts.glob("step-*.jsonl"))
    return sum(next(iterate_jsonl(path))["drawn_tokens"] for path in rounds)
