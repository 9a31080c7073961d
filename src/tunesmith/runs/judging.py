"""Measuring a model before and after, and what is written of it: measured, verdict, report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tunesmith.core.files import read_json, read_jsonl, write_json, write_text
from tunesmith.core.records import Prompt, Score, Tokens
from tunesmith.data import Renderer
from tunesmith.evaluate.card import card
from tunesmith.evaluate.exposed import measure_exposure
from tunesmith.evaluate.measure import Measured, Side, parity
from tunesmith.evaluate.report import render
from tunesmith.evaluate.verdict import Verdict, judge
from tunesmith.models.open import Base
from tunesmith.recipe import load
from tunesmith.runs.artefacts import hashes
from tunesmith.runs.finished import artefact_of
from tunesmith.runs.folder import RunFolder
from tunesmith.runs.measuring import material_of, measured_on
from tunesmith.runs.open import open_artefact
from tunesmith.runs.scoring import ModelScorer
from tunesmith.runs.setup import Setup
from tunesmith.runs.show import shown_of_training
from tunesmith.runs.verdict_cost import note_verdict


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
    """Write all that says what was made and how good it is; verdict.json last: it ends the run."""
    verdict = judge(measured, setup.recipe.engine.seed)
    write_json(folder.measured, measured.to_json())
    write_json(folder.hashes, hashes(artefact_of(folder)))
    plan = note_verdict(folder, setup, measured)
    page = render(
        verdict.to_json(),
        measured,
        read_jsonl(folder.metrics) if folder.metrics.exists() else [],
        read_json(folder.ledger),
        folder.recipe.read_text(encoding="utf-8"),
        read_json(folder.environment),
        plan,
        shown_of_training(setup.prepared, setup.recipe),
    )
    write_text(folder.report, page)
    write_text(folder.card, card_of(folder, measured, verdict.to_json()))
    write_json(folder.verdict, verdict.to_json())
    return verdict


def card_of(folder: RunFolder, measured: Measured, verdict: Mapping[str, Any]) -> str:
    """The model card of a run whose other files are written."""
    return card(
        name=folder.path.absolute().name,
        artefact=artefact_of(folder).name,
        verdict=verdict,
        measured=measured,
        recipe=load(folder.recipe).model_dump(mode="json"),
        ledger=read_json(folder.ledger),
        environment=read_json(folder.environment),
        plan=read_json(folder.plan),
        hashes=read_json(folder.hashes),
    )


def _same_prefix(renderer: Renderer, prompt: Prompt) -> bool:
    """Whether a server that opens the artefact would ask with the ids training put first."""
    served = renderer.ask(prompt.messages, prompt.tools)
    return served.tolist() == prompt.ids_N.tolist()
