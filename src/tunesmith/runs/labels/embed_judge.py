"""Measuring a model that makes vectors of texts, and what is written of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tunesmith.core.batch import Pooling
from tunesmith.core.files import read_json, write_json
from tunesmith.core.ports import Watcher
from tunesmith.core.records import Example, Origin, Text, Tokens
from tunesmith.data.labelled import LabelRenderer, texts_of
from tunesmith.data.lay import text_number
from tunesmith.evaluate.embeddings.card import shown_of_embeddings
from tunesmith.evaluate.embeddings.figures import ranks_of
from tunesmith.evaluate.embeddings.measured import (
    BASE,
    TUNED,
    Asked,
    EmbedMeasured,
    General,
    Way,
)
from tunesmith.evaluate.embeddings.page import render_embeddings
from tunesmith.evaluate.embeddings.verdict import judge_embeddings
from tunesmith.evaluate.labels.measured import Certificate
from tunesmith.evaluate.measure import Course
from tunesmith.evaluate.probes import general
from tunesmith.models.label_artefact import LABELS, Naming
from tunesmith.objectives.embeddings import Texts
from tunesmith.recipe.defaults import distractors
from tunesmith.runs.artefacts import hashes
from tunesmith.runs.finished import artefact_of
from tunesmith.runs.folder import RunFolder
from tunesmith.runs.labels.batches import embeddings_of
from tunesmith.runs.labels.frozen import Frozen
from tunesmith.runs.labels.judge import TOLERANCE
from tunesmith.runs.labels.pool import Pool, shared_words
from tunesmith.runs.labels.predict import Predictor
from tunesmith.runs.labels.setup import LabelSetup
from tunesmith.runs.labels.tuned import open_labelled
from tunesmith.runs.written import about, finish

Floats = NDArray[np.float32]


class EmbedJudge:
    """The Judge of embeddings; see `judges`."""

    begins = "what a search by the untrained base finds"

    def __init__(self, setup: LabelSetup) -> None:
        self._setup = setup
        self._objective = embeddings_of(setup)
        self._pool = pool_of(setup)
        self._probes = probes_of(setup)
        self._base: tuple[Floats, Floats] | None = None
        self._in_memory_UD: Floats

    def ask(self, watcher: Watcher) -> None:
        """Vectors are asked for by no prompt."""

    def look(self, predictor: Predictor, frozen: Frozen) -> None:
        self._base = vectors(predictor, self._pool.texts), vectors(predictor, self._probes)

    def criterion(self, predictor: Predictor) -> float:
        """The loss of a step of all rows that choose, nats a row."""
        rows = self._setup.held_out.choosing
        known = Texts(
            torch.tensor([row.part for row in rows]),
            torch.tensor([text_number(row) for row in rows]),
            torch.tensor(np.stack([self._setup.targets.of(row.labels) for row in rows])),
        )
        loss = self._objective.of_texts(torch.from_numpy(vectors(predictor, rows)), known)
        return float(loss.sum) / loss.count

    def naming(self, predictor: Predictor, pooling: Pooling) -> Naming:
        data = self._setup.recipe.data
        return Naming(
            "similarity", (), pooling, cut=int(data.context) if data.too_long == "cut" else 0
        )

    def trained(self, predictor: Predictor) -> None:
        self._in_memory_UD = vectors(predictor, self._pool.texts)

    def finish(self, folder: RunFolder, artefact: Path, course: Course) -> None:
        setup = self._setup
        described, model, naming = open_labelled(artefact, setup.recipe)
        predictor = Predictor(model, setup.recipe.engine.tokens_per_micro_batch)
        tuned = vectors(predictor, self._pool.texts), vectors(predictor, self._probes)
        renderer = LabelRenderer(described.tokenizer, cut=naming.cut > 0)
        measured = self._measured(tuned, renderer, naming, course)
        _write(setup, folder, measured)

    def _measured(
        self,
        tuned: tuple[Floats, Floats],
        renderer: LabelRenderer,
        naming: Naming,
        course: Course,
    ) -> EmbedMeasured:
        pool, setup = self._pool, self._setup
        judging = setup.held_out.judging
        # A row whose texts all stand in others, too, has none of its own in the pool.
        asked = [*pool.texts, *judging, *_rehearsed(setup)]
        written = written_of(setup, {text.origin for text in asked})
        return EmbedMeasured(
            scored=scored(setup),
            ways=() if self._base is None else self._ways(tuned[0], self._base[0], written),
            candidates=len(pool),
            distractors=pool.distractors,
            general=None if self._base is None else _general(self._base[1], tuned[1]),
            course=course,
            certificate=Certificate(
                float(np.abs(self._in_memory_UD - tuned[0]).max()),
                len({text.origin for text in judging}),
                _same_ids(renderer, judging, written, naming.cut),
                TOLERANCE[setup.recipe.model.dtype],
            ),
        )

    def _ways(
        self, tuned_UD: Floats, base_UD: Floats, written: Mapping[Origin, Example]
    ) -> tuple[Way, ...]:
        pool, judging = self._pool, self._setup.held_out.judging
        seen = _rehearsed(self._setup)
        if scored(self._setup):
            words = Way(
                "words",
                "the share of words in common",
                shared_words(judging, written),
                definition="the words that both texts have, over those that either has",
            )
        else:
            words = Way(
                "bm25",
                "a search by words",
                pool.searched(judging, pool.by_words(written), written),
                definition="BM25 over the candidates as they are written, of any length",
            )

        def way(name: str, title: str, unit_UD: Floats) -> Way:
            sides: list[tuple[Asked, ...]] = [
                pool.compared(rows, unit_UD)
                if scored(self._setup)
                else pool.searched(rows, pool.by_vectors(unit_UD), written)
                for rows in (judging, seen)
            ]
            return Way(name, title, sides[0], sides[1])

        return (way(TUNED, "tuned", tuned_UD), way(BASE, "the untrained base", base_UD), words)


def scored(setup: LabelSetup) -> bool:
    """Whether rows are pairs with scores."""
    return bool(setup.prepared.train[0].labels)


def pool_of(setup: LabelSetup) -> Pool:
    """The texts of the rows that judge and choose, and of trained rows."""
    most = 0 if scored(setup) else distractors(setup.recipe.evaluate.level)
    trained = {text.origin: None for text in _rehearsed(setup)}
    others = [text for text in setup.rehearsed(most) if text.origin not in trained]
    held_out = [*setup.held_out.judging]
    if not setup.held_out.shared:
        held_out += setup.held_out.choosing
    return Pool(held_out, [*_rehearsed(setup), *others])


def probes_of(setup: LabelSetup) -> list[Tokens]:
    """General texts in halves, the first before the second; those that the context holds."""
    found, renderer = [], setup.renderer
    assert isinstance(renderer, LabelRenderer)  # texts, and no answers
    for example in general(chat=False):
        assert isinstance(example.content, Text)
        words = example.content.text.split()
        middle = len(words) // 2
        halves = [" ".join(words[:middle]), " ".join(words[middle:])]
        ids = [renderer.ids(half) for half in halves]
        if all(0 < len(each) <= setup.recipe.data.context for each in ids):
            found += [
                Tokens(example.origin, each, np.zeros(len(each), np.float32), 0, part)
                for part, each in enumerate(ids)
            ]
    return found


def embedded(setup: LabelSetup) -> list[Tokens]:
    """All that judging a run makes vectors of, as often as it does."""
    once = [*pool_of(setup).texts, *probes_of(setup)]
    return [*once, *once, *once]


def vectors(predictor: Predictor, texts: Sequence[Tokens]) -> Floats:
    """The vector of each text at length 1, (U, D)."""
    found_UD = predictor.features(texts) if texts else np.empty((0, 1), np.float32)
    lengths_U1 = np.linalg.norm(found_UD, axis=1, keepdims=True)
    unit_UD: Floats = found_UD / np.maximum(lengths_U1, 1e-12)
    return unit_UD


def written_of(setup: LabelSetup, origins: Iterable[Origin]) -> dict[Origin, Example]:
    """These rows as they are written, read again from their files."""
    wanted, store = set(origins), setup.prepared.store
    sides = (setup.prepared.train, setup.prepared.held_out)
    rows = [row for side in sides for row in np.unique(side.rows).tolist()]
    chosen = [row for row in rows if store.origin(row) in wanted]
    return {each.origin: each for each in setup.prepared.examples(chosen)}


def _rehearsed(setup: LabelSetup) -> list[Tokens]:
    """As many trained rows as judge."""
    return setup.rehearsed(len({text.origin for text in setup.held_out.judging}))


def _general(base_UD: Floats, tuned_UD: Floats) -> General | None:
    """First halves ask for second ones; none where the context holds no two texts."""
    if len(base_UD) < 4:
        return None
    ranks, likeness = [], []
    for unit_UD in (base_UD, tuned_UD):
        near_QC = unit_UD[::2] @ unit_UD[1::2].T
        ranks.append(tuple(ranks_of(near_C, [q])[0] for q, near_C in enumerate(near_QC)))
        likeness.append(float(near_QC[~np.eye(len(near_QC), dtype=bool)].mean()))
    return General(ranks[0], ranks[1], (likeness[0], likeness[1]))


def _same_ids(
    renderer: LabelRenderer, rows: Sequence[Tokens], written: Mapping[Origin, Example], cut: int
) -> int:
    """How many rows a server that opens the artefact would ask with the ids of training."""
    other = {
        text.origin
        for text in rows
        if renderer.ids(texts_of(written[text.origin])[text.part], cut or None).tolist()
        != text.ids_N.tolist()
    }
    return len({text.origin for text in rows}) - len(other)


def _write(setup: LabelSetup, folder: RunFolder, measured: EmbedMeasured) -> None:
    """All that says what was made and how good it is."""
    verdict = judge_embeddings(measured, setup.recipe.engine.seed)
    artefact, said = artefact_of(folder), verdict.to_json()
    write_json(folder.hashes, hashes(artefact))
    recipe, naming = setup.recipe.model_dump(mode="json"), read_json(artefact / LABELS)
    shown = shown_of_embeddings(measured, artefact.name, recipe, naming)
    page = render_embeddings(said, measured, *about(folder))
    finish(folder, said, measured.to_json(), page, shown)
