"""The act `evaluate`: a finished run's model and its base on rows of another file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tunesmith.core.errors import DataError
from tunesmith.core.files import iterate_jsonl
from tunesmith.core.ports import Silent, Watcher
from tunesmith.core.records import Example
from tunesmith.data import content_hash
from tunesmith.evaluate.measure import Measured, Side, measure
from tunesmith.evaluate.noise import MEASURED_AGAIN
from tunesmith.evaluate.verdict import judge
from tunesmith.models.open import describe, open_base
from tunesmith.recipe import Recipe, generated_rows
from tunesmith.runs.grading import graded_by
from tunesmith.runs.heldout import spread, whole_rows
from tunesmith.runs.open import Opened, Run, device_here
from tunesmith.runs.samples import saved_samples
from tunesmith.runs.scoring import ModelScorer
from tunesmith.runs.setup import probe_tokens, read_examples, render_all


def evaluate(run: Run, data: Path, watcher: Watcher | None = None) -> dict[str, Any]:
    """The verdict of `run` on the rows of `data`, in the form of verdict.json. Writes nothing.

    The rows must be new to the model for the judgement to mean anything: rows that the run was
    trained on are refused. Raises DataError for those and for rows that cannot be used.
    """
    watcher = watcher or Silent()
    recipe = run.recipe
    watcher.stage("tuned", f"open {run.artefact} and measure it")
    tuned = run.model
    rows = _Rows(run, data)
    after = rows.measure(tuned, recipe)
    watcher.stage("base", f"open {recipe.model.base} and measure it")
    described = describe(recipe.model.base, tokenizer_folder=run.artefact)
    base = open_base(described, recipe.model.dtype, device_here(recipe))
    before = rows.measure(Opened(base, tuned.renderer), recipe)
    measured = Measured(base=before, tuned=after, grading=rows.graded.grading)
    return judge(measured, recipe.engine.seed).to_json()


class _Rows:
    """The rows of one file, rendered once for both sides."""

    def __init__(self, run: Run, data: Path) -> None:
        recipe, renderer = run.recipe, run.model.renderer
        examples = read_examples([str(data)], recipe.data.mapping)
        _refuse_trained(run, examples, data)
        kind, context = recipe.objective.kind, recipe.data.context
        self.tokens = render_all(renderer, examples, kind, context)
        prompts = [renderer.prompt(example) for example in examples] if kind == "sft" else []
        self.prompts = [prompt for prompt in prompts if prompt is not None]
        self.graded = graded_by(recipe, self.prompts)
        templated = bool(describe(recipe.model.base).tokenizer.chat_template)
        self.probes = probe_tokens(recipe, renderer, context, templated)
        self.samples = saved_samples(run.folder)

    def measure(self, opened: Opened, recipe: Recipe) -> Side:
        """One side, as a training run measures it, without trained rows."""
        settings = recipe.evaluate
        level = "standard" if settings.level == "none" else settings.level
        return measure(
            ModelScorer(opened.base, recipe.engine.tokens_per_micro_batch),
            opened.sampler,
            whole_rows(self.tokens, settings.rows),
            [],
            self.probes,
            spread(self.prompts, generated_rows(level, settings.rows)),
            check=self.graded.grader,
            max_new_tokens=settings.max_new_tokens,
            count_tokens=opened.renderer.length,
            samples=self.samples,
            twice=MEASURED_AGAIN,
        )


def _refuse_trained(run: Run, examples: Sequence[Example], data: Path) -> None:
    """Raises DataError if any row is word for word one that the run was trained on."""
    hashes = [content_hash(example.content) for example in examples]
    asked = set(hashes)
    trained = {
        line["content"]: line["origin"]
        for line in iterate_jsonl(run.folder.ledger_rows)
        if line["outcome"] == "trained" and line["content"] in asked
    }
    twins = [place for place, content in enumerate(hashes) if content in trained]
    if twins:
        first = twins[0]
        raise DataError(
            f"{examples[first].origin} is the row this run was trained on at "
            f"{trained[hashes[first]]}; {len(twins)} of {len(examples)} rows of "
            f"{data} are such. Evaluate on rows the model has not seen."
        )
