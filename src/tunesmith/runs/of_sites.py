"""What a model makes of the learned tokens of many rows, computed in batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from tunesmith.core.batch import Batch
from tunesmith.core.records import Tokens
from tunesmith.data.pack import pack, within_budget
from tunesmith.engine.loop import on_device

Floats = NDArray[np.float32]
OfSites = Callable[[Batch], torch.Tensor]
"""A number for each site of a batch, (S,)."""


@torch.no_grad()
def of_each(
    of_sites: OfSites,
    rows: Sequence[Tokens],
    budget: int,
    share: bool,
    device: torch.device,
    *,
    whole: bool = False,
) -> list[Floats]:
    """What `of_sites` makes of the learned tokens of each row, in order.

    Args:
        of_sites: asked a batch at a time, without a gradient.
        rows: may be none.
        budget: tokens of a batch.
        share: whether a prefix that rows have in common is laid down once.
        device: where the model is.
        whole: whether the rows of one origin stay in one batch.
    """
    found: dict[int, Floats] = {}
    for run in within_budget(rows, budget, share, whole=whole):
        batch = pack([rows[place] for place in run], share)
        values_S = of_sites(on_device(batch, device)).float().cpu().numpy()
        ends = np.cumsum(np.bincount(batch.owner_S, minlength=len(run)))[:-1]
        found |= dict(zip(run, np.split(values_S, ends), strict=True))
    return [found[place] for place in range(len(rows))]
