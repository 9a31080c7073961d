"""A frozen body run once for each text: what the head alone is trained on from then on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from tunesmith.core.ports import Watcher
from tunesmith.core.records import Tokens
from tunesmith.data.known import Known
from tunesmith.models.labelled import LabelModel
from tunesmith.runs.environment import memory_bytes
from tunesmith.runs.fitting import gigabytes
from tunesmith.runs.labels.predict import Predictor
from tunesmith.runs.labels.setup import LabelSetup
from tunesmith.runs.planned import minutes
from tunesmith.runs.trunk import MEMORY_SHARE

_AT_ONCE = 4096
"""Texts whose tokens are in memory at a time."""

_TIMED = 64
"""Texts whose time says what all of them will take."""

_KNOWN = "What the frozen body makes of each text is computed once; training reads that."


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of the texts (None where nothing is kept), the seconds it took or will take,
    and a sentence for the user, "" where the body is trained."""

    known: Known | None = None
    seconds: float = 0.0
    note: str = ""


def keep_frozen(setup: LabelSetup, model: LabelModel, watcher: Watcher) -> Kept:
    """Run the body once for each text, where the head alone is trained and memory allows it.

    Texts are met in the same batches whenever a run is begun or resumed: the same bits.
    """
    found = _room(setup)
    if found.known is None:
        return found
    watcher.stage("trunk", "each text through the frozen body, once")
    began, predictor = time.perf_counter(), _predictor(setup, model)
    for rows in _chunks(setup):
        found.known.put(rows, predictor.features(rows))
    seconds = time.perf_counter() - began
    watcher.note(f"That took {minutes(seconds)}; no epoch does so again.")
    return replace(found, seconds=seconds)


def foresee_kept(setup: LabelSetup, model: LabelModel) -> Kept:
    """As `keep_frozen`, with zeros for what is not computed, and its seconds from a few texts."""
    found = _room(setup)
    if found.known is None:
        return found
    tokens, zero_D = 0, np.zeros(setup.described.hidden_size, dtype=np.float32)
    for rows in _chunks(setup):
        tokens += sum(map(len, rows))
        lines = sum(map(found.known.lines, rows))
        found.known.put(rows, np.broadcast_to(zero_D, (lines, len(zero_D))))
    sample, predictor = setup.rehearsed(_TIMED), _predictor(setup, model)
    predictor.features(sample)  # prepares kernels
    began = time.perf_counter()
    predictor.features(sample)
    seconds = (time.perf_counter() - began) / sum(map(len, sample)) * tokens
    return replace(found, seconds=seconds)


def _room(setup: LabelSetup) -> Kept:
    """Nothing known yet, or why nothing will be."""
    if setup.recipe.model.method != "head":
        return Kept()
    sides, words = (setup.prepared.train, setup.prepared.held_out), setup.targets.words
    lines = sum(int(side.sites.sum()) if words else len(side) for side in sides)
    needed, most = 4.0 * lines * setup.described.hidden_size, MEMORY_SHARE * (memory_bytes() or 0)
    if needed > most:
        return Kept(
            note="The frozen body is run in every epoch: what it makes of all texts would take "
            f"{gigabytes(needed)}, and {gigabytes(most)} may be kept in memory."
        )
    return Kept(Known(words=words), note=_KNOWN)


def _chunks(setup: LabelSetup) -> Iterator[list[Tokens]]:
    """What is trained on, and what chooses and judges, some at a time."""
    train = setup.prepared.train
    for start in range(0, len(train), _AT_ONCE):
        yield list(train[start : start + _AT_ONCE])
    held_out = {row.origin: row for row in (*setup.held_out.choosing, *setup.held_out.judging)}
    if held_out:
        yield list(held_out.values())


def _predictor(setup: LabelSetup, model: LabelModel) -> Predictor:
    return Predictor(model, setup.recipe.engine.tokens_per_micro_batch)
