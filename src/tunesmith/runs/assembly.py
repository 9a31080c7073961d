"""From a setup to what the loop works with: the opened base, its batches, its settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from tunesmith.core.batch import Batch
from tunesmith.core.ports import Batches, Objective, Watcher
from tunesmith.core.records import Tokens
from tunesmith.data import PackedBatches, Prepared
from tunesmith.data.kinds import PAIRED
from tunesmith.data.lay_compared import ComparedLayer, References, Unasked
from tunesmith.data.pack import pack
from tunesmith.engine.allocator import keep_freed_memory
from tunesmith.engine.loop import Settings
from tunesmith.evaluate.exposed import to_score
from tunesmith.models.checkpointing import checkpoint_activations
from tunesmith.models.methods import Tuned, attach
from tunesmith.models.open import open_base
from tunesmith.objectives import OBJECTIVES, Distillation, KlToBase, Penalised
from tunesmith.recipe import PREFERENCES, REFERRED, Recipe
from tunesmith.runs.labels.setup import Labelling
from tunesmith.runs.preferences.objective import looked_at, preference_objective, row_numbers_of
from tunesmith.runs.reinforce.setup import ReinforceSetup
from tunesmith.runs.setup import Setup
from tunesmith.runs.small_data import few_rows
from tunesmith.runs.teacher import open_teacher


def tell_data(setup: Setup | Labelling | ReinforceSetup, watcher: Watcher) -> None:
    """What became of the rows, and what there is to say about them."""
    totals = setup.prepared.ledger.totals()
    dropped = sum(totals["dropped"].values())
    watcher.note(
        f"{totals['rows_in']} rows in: {totals['trained']} to train on, {totals['held_out']} held "
        f"out, {dropped} dropped{_learned(setup, totals['supervised_tokens'])}."
    )
    for sentence in setup.prepared.recognised:
        watcher.note(sentence)
    for sentence in setup.prepared.mix.sentences(setup.recipe.engine.epochs):
        watcher.note(sentence)
    for finding in setup.prepared.findings:
        if finding.severity == "warn":
            watcher.note(finding.message)
    if counts := setup.prepared.account().get("planted"):
        rows = to_score(setup.prepared.canaries)
        watcher.note(
            f"data.canaries: {counts['secrets']} made-up secrets in {counts['rows']} planted rows "
            "an epoch. They stay in the weights, so the verdict will be hold. Measuring them takes "
            f"{len(rows):,} short rows of {sum(map(len, rows)):,} tokens, scored once."
        )
    few = few_rows(setup) if isinstance(setup, Setup) else ()
    for sentence in (*setup.warnings, *few):
        watcher.note(sentence)


def _learned(setup: Setup | Labelling | ReinforceSetup, count: int) -> str:
    if isinstance(setup, Setup):
        return f"; {count} supervised tokens"
    if isinstance(setup, ReinforceSetup):
        return "; what is learned are grades of what will be answered"
    return f"; {count} labels" if setup.targets.outputs else ""


def opened(setup: Setup, watcher: Watcher) -> Tuned:
    """The base, prepared for what is trained of it."""
    keep_freed_memory()
    recipe = setup.recipe
    watcher.stage("base", f"open {recipe.model.base}")
    base = open_base(
        setup.described,
        recipe.model.dtype,
        recipe.model.device,
        quantize=recipe.model.quantize,
        from_scratch_seed=recipe.engine.seed if recipe.model.from_scratch else None,
    )
    tuned = attach(base, recipe.model, recipe.engine.seed)
    if remembers(recipe):
        tuned = tuned.remembering()
    if recipe.engine.activation_checkpointing:
        checkpoint_activations(base.model)
    return replace(tuned, teacher=open_teacher(setup, watcher))


def remembers(recipe: Recipe) -> bool:
    """Whether training needs the base's own of the trained weights."""
    return bool(recipe.objective.kl_to_base or recipe.engine.decay_to_base)


def objective_of(recipe: Recipe, tuned: Tuned) -> Objective:
    """What is minimised; `tuned` remembers its start where the recipe holds it near the base."""
    objective = _of_data(recipe, tuned)
    return objective if tuned.penalty is None else Penalised(objective, tuned.penalty)


def _of_data(recipe: Recipe, tuned: Tuned) -> Objective:
    """What the rows say, without a cost of the weights themselves."""
    asked = recipe.objective
    if tuned.teacher is not None and asked.teacher_weight:
        teacher = tuned.teacher.forward
        return Distillation(
            teacher, asked.teacher_weight, asked.teacher_temperature, asked.teacher_divergence
        )
    if asked.kind in PREFERENCES:
        return preference_objective(recipe)
    if not recipe.objective.kl_to_base:
        return OBJECTIVES[recipe.objective.kind]()
    assert tuned.start is not None
    return KlToBase(recipe.objective.kl_to_base, tuned.start.restored)


def batches_of(setup: Setup, share: bool, references: References | None = None) -> PackedBatches:
    """The training batches; with `share` a prefix that rows have in common is laid down once.

    `references` are what the base holds of answers that were compared. Without them batches of such
    answers are for planning.
    """
    return batches_for(setup.recipe, setup.prepared, share, references)


def batches_for(
    recipe: Recipe, prepared: Prepared, share: bool, references: References | None = None
) -> PackedBatches:
    """As `batches_of`, from a resolved recipe and prepared data.

    With pictures no prefix is shared: equal tokens may stand for others.
    """
    engine = recipe.engine
    sequences = looked_at(recipe, prepared.trained_on)
    row_N = row_numbers_of(sequences)
    return PackedBatches(
        sequences,
        batch_size=engine.batch_size,
        tokens_per_micro_batch=engine.tokens_per_micro_batch,
        seed=engine.seed,
        shuffle=recipe.data.shuffle,
        share=share and not prepared.images,
        together=recipe.data.together,
        mix=prepared.mix if row_N is None else prepared.mix_of(row_N),
        lay=laying(recipe, references),
        whole=recipe.objective.kind in PAIRED,
    )


def laying(
    recipe: Recipe, references: References | None
) -> Callable[[Sequence[Tokens], bool], Batch]:
    """What makes a batch of sequences: as `batches_of` says."""
    if recipe.objective.kind not in PREFERENCES:
        return pack
    if recipe.objective.kind not in REFERRED:
        return ComparedLayer(None)
    return ComparedLayer(references or Unasked())


def settings_of(
    recipe: Recipe, batches: Batches, rate_factors: Mapping[str, float] | None = None
) -> Settings:
    """What the loop needs to know of a resolved recipe; `rate_factors` are those of a `Tuned`."""
    engine = recipe.engine
    steps = engine.epochs * batches.steps_per_epoch
    return Settings(
        total_steps=min(steps, engine.max_steps or steps),
        optimizer=engine.optimizer,
        learning_rate=engine.learning_rate,
        schedule=engine.schedule,
        warmup=engine.warmup,
        weight_decay=engine.weight_decay,
        clip=engine.clip,
        seed=engine.seed,
        checkpoint_every=engine.checkpoint_every,
        validate_every=engine.validate_every,
        patience=engine.patience,
        keep_best=bool(engine.keep_best),
        memory=engine.memory,
        rate_factors=rate_factors or {},
        decay_to_base=engine.decay_to_base,
    )
