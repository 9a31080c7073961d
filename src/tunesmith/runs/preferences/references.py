"""What the base holds of each answer: computed once, kept on disk, looked up from then on.

The base is the model itself with its adapter switched off, or, where its own weights are trained,
as it was before: no second copy is ever in memory. Shares of some hundred sequences appear whole or
not at all, so that a run which was killed goes on where it was; each share is computed in the same
batches whenever that is, so that a resumed run has the same bits.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from tunesmith.core.errors import NonFiniteLoss, RunFolderError
from tunesmith.core.files import remove_partial, write_bytes
from tunesmith.core.ports import Watcher
from tunesmith.core.records import Tokens
from tunesmith.data import PackedBatches
from tunesmith.data.known import Known
from tunesmith.data.lay_compared import known_tokens
from tunesmith.models.open import Base
from tunesmith.objectives.cross_entropy import nll_of_batch
from tunesmith.recipe import REFERRED
from tunesmith.runs.folder import RunFolder
from tunesmith.runs.of_sites import of_each
from tunesmith.runs.preferences.objective import looked_at
from tunesmith.runs.setup import Setup

SHARE = 256
"""Sequences whose log-probabilities are one file: what a kill costs at most."""


def known_of(
    base: Base,
    setup: Setup,
    batches: PackedBatches,
    steps: int,
    folder: RunFolder,
    watcher: Watcher,
) -> Known | None:
    """What `base`, as it stands, holds of the answers that `steps` steps of `batches` train on, and
    of those that choose.

    None where the loss does not look back at the base. Raises as `references`.
    """
    if setup.recipe.objective.kind not in REFERRED:
        return None
    known, budget = known_tokens(), setup.recipe.engine.tokens_per_micro_batch
    recipe = setup.recipe
    for part, rows in (
        ("trained", _met(looked_at(recipe, setup.prepared.trained_on), batches, steps)),
        ("choosing", looked_at(recipe, setup.held_out.choosing)),
    ):
        references(base, rows, budget, folder.references / part, known, watcher)
    return known


def _met(all_rows: Sequence[Tokens], batches: PackedBatches, steps: int) -> Sequence[Tokens]:
    """What the first `steps` steps train on: all rows, unless they end within the first epoch."""
    if steps >= batches.steps_per_epoch:
        return all_rows
    met = [each for step in range(steps) for each in batches.examples(0, step)]
    return list({(each.origin, each.part): each for each in met}.values())


def references(
    base: Base,
    rows: Sequence[Tokens],
    budget: int,
    folder: Path,
    known: Known,
    watcher: Watcher,
) -> None:
    """Tell `known` the log-probability under `base` of every learned token of `rows`.

    Those that `folder` holds are read from there; all others are computed, in micro-batches of at
    most `budget` tokens, and kept there.

    Raises:
        NonFiniteLoss: the base gives an answer no finite probability.
        RunFolderError: what is kept is not of these rows.
    """
    folder.mkdir(parents=True, exist_ok=True)
    remove_partial(folder)
    starts = range(0, len(rows), SHARE)
    done = sum(_file(folder, start).exists() for start in starts)
    if done < len(starts):
        kept = f", {done} of {len(starts)} parts of which are kept" if done else ""
        watcher.stage("reference", f"what the base holds of {len(rows):,} answers{kept}")
    for start in starts:
        share = [rows[number] for number in range(start, min(start + SHARE, len(rows)))]
        file = _file(folder, start)
        if not file.exists():
            write_bytes(file, _packed(log_probs(base, share, budget)))
        known.put(share, _read(file, share))


def log_probs(base: Base, rows: Sequence[Tokens], budget: int) -> np.ndarray:
    """log p of every learned token of `rows`, end to end, in nats (float32).

    Raises NonFiniteLoss, naming the rows, where one is not finite.
    """
    base.model.eval()
    share, device = base.forward.shares, base.model.device
    nll = of_each(partial(nll_of_batch, base.forward), rows, budget, share, device, whole=True)
    broken = [
        str(row.origin)
        for row, nll_S in zip(rows, nll, strict=True)
        if not np.isfinite(nll_S).all()
    ]
    if broken:
        raise NonFiniteLoss(
            f"The base gives {len(broken)} of these answers no finite probability, first "
            f"{', '.join(broken[:5])}. Try --set model.dtype=float32, or look at these rows."
        )
    return -np.concatenate(nll)


def _file(folder: Path, start: int) -> Path:
    return folder / f"{start:08d}.npy"


def _packed(values_S: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values_S.astype("<f4"), allow_pickle=False)
    return file.getvalue()


def _read(file: Path, rows: Sequence[Tokens]) -> np.ndarray:
    """Raises RunFolderError where the file is not what was written for these rows."""
    wanted = sum(row.sites for row in rows)
    try:
        values_S = np.load(file, allow_pickle=False)
        fits = values_S.dtype == np.float32 and values_S.shape == (wanted,)
    except (OSError, ValueError, EOFError):
        fits = False
    if not fits or not np.isfinite(values_S).all():
        raise RunFolderError(
            f"{file} does not hold what the base says of the {wanted:,} learned tokens from "
            f"{rows[0].origin} on. Remove the file, and resume: it is computed again."
        )
    return np.asarray(values_S)
