"""What a labelling run trains on, and the loss that it minimises."""

from __future__ import annotations

import numpy as np

from tunesmith.core.ports import Objective
from tunesmith.data import PackedBatches
from tunesmith.data.known import Known
from tunesmith.data.lay import Layer
from tunesmith.objectives.embeddings import Embeddings
from tunesmith.objectives.labels import Labels
from tunesmith.objectives.rewards import BradleyTerry
from tunesmith.runs.labels.setup import Labelling, LabelSetup
from tunesmith.runs.labels.tuned import LabelTuned


def label_batches(
    setup: LabelSetup, tuned: LabelTuned, known: Known | None = None
) -> PackedBatches:
    """The training batches; with what is known where the body is frozen."""
    recipe = setup.recipe
    return PackedBatches(
        setup.prepared.train,
        batch_size=recipe.engine.batch_size,
        tokens_per_micro_batch=recipe.engine.tokens_per_micro_batch,
        seed=recipe.engine.seed,
        shuffle=recipe.data.shuffle,
        share=tuned.shares,
        whole=recipe.objective.kind == "reward",
        mix=setup.prepared.mix,
        lay=Layer(tuned.model.pooling, setup.targets, known),
    )


def objective_of(setup: Labelling) -> Objective:
    """The loss that the recipe's objective and the rows ask for."""
    problem, asked = setup.targets.problem, setup.recipe.objective
    if problem == "preference":
        return BradleyTerry(asked.margin_scale, asked.centre_rewards)
    return embeddings_of(setup) if problem == "similarity" else _labels_of(setup)


def embeddings_of(setup: Labelling) -> Embeddings:
    """The loss of texts beside others: by their scores, where rows have any."""
    asked = setup.recipe.objective
    scored = bool(setup.prepared.train[0].labels)
    return Embeddings(asked.temperature, symmetric=asked.symmetric, scored=scored)


def _labels_of(setup: Labelling) -> Labels:
    """The loss of labels, with the weights of the classes where they are asked for."""
    targets, words = setup.targets, setup.targets.words
    if setup.recipe.objective.class_weights == "none" or targets.problem == "regression":
        return Labels(targets.problem, words=words)
    rows = targets.of_rows(setup.prepared.train)
    if targets.problem == "single_label":
        counts_C = np.bincount(rows, minlength=targets.outputs)
        weights_C = (len(rows) / (targets.outputs * counts_C)).tolist()
        return Labels(targets.problem, weights_C, words=words)
    counts_C = rows.sum(0)
    return Labels(targets.problem, ((len(rows) - counts_C) / counts_C).tolist())
