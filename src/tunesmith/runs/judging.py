"""Measuring a model before and after, and the judgement that ends a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tunesmith.core.files import write_json
from tunesmith.core.records import Prompt, Score, Tokens
from tunesmith.data import Renderer
from tunesmith.evaluate.exposed import measure_exposure
from tunesmith.evaluate.measure import Measured, Side, parity
from tunesmith.evaluate.verdict import Verdict
from tunesmith.models.open import Base
from tunesmith.runs.artefacts import hashes
from tunesmith.runs.finished import artefact_of
from tunesmith.runs.folder import RunFolder
from tunesmith.runs.measuring import material_of, measured_on
from tunesmith.runs.open import open_artefact
from tunesmith.runs.scoring import ModelScorer
from tunesmith.runs.setup import Setup
from tunesmith.runs.show import shown_of_training
from tunesmith.runs.verdict_cost import note_verdict
from tunesmith.runs.written import write_judgement


def measure_side(base: Base, setup: Setup, samples: Sequence[Tokens]) -> Side:
    """Score and question the model in `base` as it stands; `samples` are the base's own texts."""
    return measured_on(base, setup.renderer, setup.recipe, material_of(setup, samples))


def score_judging(base: Base, setup: Setup) -> list[Score]:
    """The judging rows under the model in `base` as it stands."""
    scorer = ModelScorer(base, setup.recipe.engine.tokens_per_micro_batch)
    return scorer.score(setup.held_out.judging)


def measure_artefact(
    setup: Setup,
    artefact: Path,
    in_memory: Sequence[Score],
    measured: Measured,
    samples: Sequence[Tokens],
) -> Measured:
    """Measure what was saved, opened afresh, and hold it against the scores in memory."""
    saved = open_artefact(artefact, setup.recipe)
    side = measure_side(saved.base, setup, samples)
    prompts = [*setup.held_out.prompts, *setup.held_out.choosing_prompts]
    same = sum(_same_prefix(saved.renderer, prompt) for prompt in prompts)
    certificate = parity(in_memory, side.held_out, same_prefixes=same, prefixes=len(prompts))
    scorer = ModelScorer(saved.base, setup.recipe.engine.tokens_per_micro_batch)
    exposed = measure_exposure(scorer, saved.sampler, setup.prepared.canaries)
    return replace(measured, tuned=side, parity=certificate, exposed=exposed)


def judge_run(setup: Setup, folder: RunFolder, measured: Measured) -> Verdict:
    """Write what was trained and what of it was saved, and judge it, which ends the run."""
    write_json(folder.shown, shown_of_training(setup.prepared, setup.recipe))
    write_json(folder.hashes, hashes(artefact_of(folder)))
    note_verdict(folder, setup, measured)
    return write_judgement(folder, measured, setup.recipe.engine.seed)


def _same_prefix(renderer: Renderer, prompt: Prompt) -> bool:
    """Whether a server that opens the artefact would ask with the ids training put first."""
    served = renderer.ask(prompt.messages, prompt.tools)
    return served.tolist() == prompt.ids_N.tolist()
