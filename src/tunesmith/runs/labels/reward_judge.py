"""Measuring a reward model of pairs, and what is written of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.batch import Pooling
from tunesmith.core.errors import ModelError, Unsupported
from tunesmith.core.files import read_json, write_json
from tunesmith.core.ports import Watcher
from tunesmith.core.records import Tokens
from tunesmith.data.quality.view import Seen, view
from tunesmith.evaluate.charts import shortened
from tunesmith.evaluate.labels.calibration import fit_temperature, negative_log_likelihood
from tunesmith.evaluate.labels.measured import Certificate
from tunesmith.evaluate.measure import Course
from tunesmith.evaluate.rewards.card import shown_of_rewards
from tunesmith.evaluate.rewards.measured import (
    LIKELIER,
    LINEAR,
    LONGER,
    TUNED,
    Compared,
    RewardMeasured,
    Way,
)
from tunesmith.evaluate.rewards.page import render_rewards
from tunesmith.evaluate.rewards.verdict import judge_rewards
from tunesmith.models.classifier_form import reads_onwards
from tunesmith.models.label_artefact import LABELS, Naming
from tunesmith.models.open import open_base
from tunesmith.runs.artefacts import hashes
from tunesmith.runs.finished import artefact_of
from tunesmith.runs.folder import RunFolder
from tunesmith.runs.labels.frozen import Frozen
from tunesmith.runs.labels.judge import TOLERANCE, same_ids
from tunesmith.runs.labels.predict import Asked, Predictor
from tunesmith.runs.labels.setup import LabelSetup, label_renderer
from tunesmith.runs.labels.tuned import open_labelled
from tunesmith.runs.scoring import ModelScorer
from tunesmith.runs.written import about, finish

Floats = NDArray[np.float32]

_LETTERS = 240
"""Of each text that the report shows."""

MOST_TOKENS = 400_000
"""Where the pairs that judge have more tokens, the base is not asked how likely they are."""


class RewardJudge:
    """The Judge of pairs; see `judges`."""

    begins = "a linear reward on what the untrained base makes of the answers"

    def __init__(self, setup: LabelSetup) -> None:
        self._setup = setup
        self._judging = setup.held_out.judging
        self._others: list[Way] = []
        self._left = ""
        self._in_memory_B: Floats

    def ask(self, watcher: Watcher) -> None:
        """How likely the untrained base finds each answer, by its tokens' mean."""
        watcher.stage("compare", "how likely the untrained base finds the answers")
        found = likelihoods(self._setup)
        if isinstance(found, str):
            self._left = found
            watcher.note(found)
            return
        self._others.append(
            Way(
                LIKELIER,
                "the answer that the untrained base finds likelier",
                compared(self._judging, found),
                definition="by the mean log-probability of its tokens",
            )
        )

    def look(self, predictor: Predictor, frozen: Frozen) -> None:
        told = frozen.probe(bias=False)(predictor.features(self._judging))
        self._others.append(
            Way(
                LINEAR,
                "a linear reward on the frozen base",
                compared(self._judging, told[:, 0]),
                definition="logistic regression on the difference of the states of two answers",
            )
        )

    def criterion(self, predictor: Predictor) -> float:
        """Nats a pair at the best temperature: see `judge.criterion`."""
        logits_P2 = _pairs(predictor, self._setup.held_out.choosing)
        chosen_P = np.zeros(len(logits_P2), dtype=np.int64)
        temperature = fit_temperature(logits_P2, chosen_P, "single_label")
        doubt = 1 / (len(logits_P2) + 2)
        return negative_log_likelihood(logits_P2, chosen_P, "single_label", temperature, doubt)

    def naming(self, predictor: Predictor, pooling: Pooling) -> Naming:
        rows, temperature = self._setup.held_out.choosing, 1.0
        if rows:
            logits_P2 = _pairs(predictor, rows)
            chosen_P = np.zeros(len(logits_P2), dtype=np.int64)
            temperature = fit_temperature(logits_P2, chosen_P, "single_label")
        written = self._setup.recipe.data.completion_as
        return Naming("preference", (), pooling, temperature=temperature, written=written)

    def trained(self, predictor: Predictor) -> None:
        self._in_memory_B = predictor.outputs(self._judging)

    def finish(self, folder: RunFolder, artefact: Path, course: Course) -> None:
        recipe, rows = self._setup.recipe, self._judging
        described, model, naming = open_labelled(artefact, recipe)
        if not rows:
            _write(self._setup, folder, RewardMeasured(course=course))
            return
        predictor = Predictor(model, recipe.engine.tokens_per_micro_batch)
        rewards_B = predictor.outputs(rows)
        seen = self._setup.rehearsed(len(rows) // 2)
        numbers = np.unique(self._setup.prepared.held_out.rows).tolist()
        examples = {each.origin: each for each in self._setup.prepared.examples(numbers)}
        held_out = tuple(
            shown(row, view(examples[row.origin])) for row in compared(rows, rewards_B[:, 0])
        )
        renderer = label_renderer(described, recipe.objective.kind, recipe.data)
        tuned = Way(TUNED, "tuned", held_out, compared(seen, predictor.outputs(seen)[:, 0]))
        longer = Way(
            LONGER,
            "the longer answer",
            compared(rows, _lengths(rows).astype(np.float32)),
            definition="by its tokens",
        )
        certificate = Certificate(
            float(np.abs(self._in_memory_B - rewards_B).max()),
            len(held_out),
            same_ids(renderer, recipe, rows, examples),
            TOLERANCE[recipe.model.dtype],
        )
        ways = (tuned, longer, *self._others)
        _write(
            self._setup,
            folder,
            RewardMeasured(ways, naming.temperature, course, certificate, self._left),
        )


def compared(rows: Sequence[Tokens], rewards_B: Floats) -> tuple[Compared, ...]:
    """The pairs of `rows`, each a chosen answer before a rejected one, with their rewards."""
    rewards, lengths = rewards_B.astype(np.float64).tolist(), _lengths(rows).tolist()
    return tuple(
        Compared(
            rows[place].origin,
            rewards[place],
            rewards[place + 1],
            (lengths[place], lengths[place + 1]),
        )
        for place in range(0, len(rows), 2)
    )


def shown(row: Compared, seen: Seen) -> Compared:
    """With as much of its texts as the report shows."""
    texts = [shortened(text, _LETTERS) for text in (seen.prompt, *(seen.choice or ("", "")))]
    return replace(row, prompt=texts[0], answers=(texts[1], texts[2]))


def likelihoods(setup: LabelSetup) -> Floats | str:
    """The mean log-probability of the tokens of each answer that judges, in nats (B), by the
    untrained base; or a sentence, why it was not asked."""
    rows, described, recipe = setup.held_out.judging, setup.described, setup.recipe
    if not reads_onwards(described.config):
        return f"{described.name} writes nothing, so it was not asked how likely answers are."
    tokens = sum(map(len, rows))
    if tokens > MOST_TOKENS:
        return (
            f"The base was not asked how likely it finds the answers: they have {tokens:,} tokens "
            f"in all, and {MOST_TOKENS:,} at most are asked about. Set evaluate.rows lower."
        )
    try:
        base = open_base(
            described, recipe.model.dtype, recipe.model.device, quantize=recipe.model.quantize
        )
    except (ModelError, Unsupported) as error:
        return f"The base was not asked how likely it finds the answers: {error}"
    scores = ModelScorer(base, recipe.engine.tokens_per_micro_batch).score(rows)
    return np.array([-each.nll / max(each.count, 1.0) for each in scores], dtype=np.float32)


def _pairs(predictor: Asked, rows: Sequence[Tokens]) -> NDArray[np.float64]:
    """The rewards of the chosen and of the rejected answer of each pair, (P, 2)."""
    return predictor.outputs(rows)[:, 0].astype(np.float64).reshape(-1, 2)


def _lengths(rows: Sequence[Tokens]) -> NDArray[np.int64]:
    """The tokens of each answer, without those of its prompt."""
    return np.array([int(np.count_nonzero(row.weights_N)) for row in rows])


def _write(setup: LabelSetup, folder: RunFolder, measured: RewardMeasured) -> None:
    """All that says what was made and how good it is."""
    verdict = judge_rewards(measured, setup.recipe.engine.seed)
    artefact, said = artefact_of(folder), verdict.to_json()
    write_json(folder.hashes, hashes(artefact))
    recipe, naming = setup.recipe.model_dump(mode="json"), read_json(artefact / LABELS)
    shown = shown_of_rewards(said, measured, artefact.name, recipe, naming)
    page = render_rewards(said, measured, *about(folder))
    finish(folder, said, measured.to_json(), page, shown)
