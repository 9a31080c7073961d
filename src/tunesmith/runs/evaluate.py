"""The act `evaluate`: a finished run's model and its base on rows of another file.

What is measured is what `train` measures, but for the two things that only training knows: the
model in memory, and the adapter at other strengths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tunesmith.core.errors import DataError, RunFolderError
from tunesmith.core.files import iterate_jsonl, read_json
from tunesmith.core.ports import Silent, Watcher
from tunesmith.core.records import Example
from tunesmith.data import content_hash
from tunesmith.evaluate.measure import Baseline, Grading, Measured
from tunesmith.evaluate.verdict import judge
from tunesmith.models.open import Base, Described, open_base
from tunesmith.recipe import Recipe, compared_rows
from tunesmith.runs.baselines import asking, helped
from tunesmith.runs.eyes import described_base
from tunesmith.runs.grading import graded_by
from tunesmith.runs.heldout import spread, whole_rows
from tunesmith.runs.measuring import Material, measured_on, prices_of, trained_of
from tunesmith.runs.open import Run, device_here
from tunesmith.runs.samples import saved_samples
from tunesmith.runs.setup import Setup, probe_tokens, read_examples, render_all, set_up
from tunesmith.runs.verdict_cost import at_level
from tunesmith.runs.writing import require_writing


def evaluate(
    run: Run,
    data: Path,
    watcher: Watcher | None = None,
    *,
    level: str | None = None,
    only_rows: bool = False,
) -> dict[str, Any]:
    """The verdict of `run` on the rows of `data`, in the form of verdict.json. Writes nothing.

    The rows must be new to the model for the judgement to mean anything: rows that the run was
    trained on are refused.

    Args:
        run: a finished run.
        data: the file.
        watcher: told what happens.
        level: how much is measured, as in `evaluate.level`; None is as much as the run did, and
            standard where that measured nothing.
        only_rows: leave the training rows alone, and with them what needs them: whether the model
            memorised, and if the base with examples or search does as well.

    Raises:
        DataError: a row was trained on, or cannot be used.
        RunFolderError: what the run was made from has changed.
    """
    watcher = watcher or Silent()
    require_writing(run.recipe, "evaluate")
    recipe = _recipe(run, level)
    examples = read_examples([str(data)], recipe.data.mapping)
    _refuse_trained(run, examples, data)
    training = None if only_rows else _training(run, recipe, watcher)
    watcher.stage("tuned", f"open {run.artefact} and measure it")
    tuned = run.model
    sees = tuned.base.described.eyes is not None
    described, templated = _base(recipe, training, sees=sees)
    rows = _rows(run, recipe, examples, training, templated=templated)
    after = measured_on(tuned.base, tuned.renderer, recipe, rows.material)
    watcher.stage("base", f"open {recipe.model.base} and measure it")
    base = open_base(
        described, recipe.model.dtype, device_here(recipe), quantize=recipe.model.quantize
    )
    before = measured_on(base, tuned.renderer, recipe, rows.material)
    own = Measured.from_json(read_json(run.folder.measured))
    measured = Measured(
        base=before,
        tuned=after,
        course=replace(own.course, chosen_on_judged=False),  # other rows chose its weights
        baselines=_baselines(base, examples, rows.material, training, watcher),
        grading=rows.grading,
        prices=prices_of(recipe.evaluate),
        exposed=own.exposed,
        left_out=own.left_out,
    )
    return judge(measured, recipe.engine.seed).to_json()


def _recipe(run: Run, level: str | None) -> Recipe:
    """The run's recipe with the level asked for, one that measures something."""
    asked = run.recipe.evaluate
    wanted = level or ("standard" if asked.level == "none" else asked.level)
    return run.recipe.model_copy(update={"evaluate": at_level(asked, wanted)})


def _training(run: Run, recipe: Recipe, watcher: Watcher) -> Setup:
    """What the run was made from, read again; refused if it is no longer what it was."""
    watcher.stage("data", "read the training rows again (--only-rows leaves them alone)")
    setup = set_up(recipe)
    if changed := run.folder.changed_inputs(setup.inputs):
        raise RunFolderError(
            f"{', '.join(changed)} changed since the run in {run.path} was trained, so its "
            "training rows are not known any more. Put the file back, or leave them alone "
            "with --only-rows."
        )
    return setup


def _base(recipe: Recipe, training: Setup | None, *, sees: bool) -> tuple[Described, bool]:
    """The base, described once, and whether our general questions are asked of it as such."""
    if training is not None:
        return training.described, training.templated
    described = described_base(recipe.model.base, sees=sees)
    return described, bool(described.tokenizer.chat_template) or described.writes_apart


@dataclass(frozen=True, slots=True)
class _Rows:
    """What both sides are measured on, and what is looked for in their answers."""

    material: Material
    grading: Grading


def _rows(
    run: Run,
    recipe: Recipe,
    examples: Sequence[Example],
    training: Setup | None,
    *,
    templated: bool,
) -> _Rows:
    """The rows of the file, rendered once for both sides, with trained rows where there are any."""
    renderer, kind, context = run.model.renderer, recipe.objective.kind, recipe.data.context
    tokens = render_all(renderer, examples, kind, context)  # first: it names what cannot be used
    prompts = [renderer.prompt(example) for example in examples] if kind == "sft" else []
    asked = [prompt for prompt in prompts if prompt is not None]
    graded = graded_by(recipe, asked)
    material = Material(
        judging=whole_rows(tokens, recipe.evaluate.rows),
        prompts=spread(asked, recipe.evaluate.rows),
        check=graded.grader,
        probes=training.probes if training else probe_tokens(recipe, renderer, context, templated),
        samples=saved_samples(run.folder),
        trained=trained_of(training) if training else (),
        trained_prompts=training.trained_prompts if training else (),
    )
    return _Rows(material, graded.grading)


def _baselines(
    base: Base,
    examples: Sequence[Example],
    material: Material,
    training: Setup | None,
    watcher: Watcher,
) -> tuple[Baseline, ...]:
    """The base with each help, on some of the rows that judge."""
    if training is None:
        return ()
    evaluate = training.recipe.evaluate
    judging = {tokens.origin for tokens in material.judging}
    rows = asking([each for each in examples if each.origin in judging])
    if not rows or not (evaluate.examples or evaluate.prompt):
        return ()
    watcher.stage("compare", "the base with examples in its prompt, and with search")
    some = spread(rows, compared_rows(evaluate.level, evaluate.rows))
    return tuple(helped(base, replace(training, check=material.check), some))


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
