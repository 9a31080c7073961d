"""Some sequences of a batch, without the tokens that only the others need."""

from __future__ import annotations

from dataclasses import replace
from itertools import compress

import torch

from tunesmith.core.batch import ROOT, Batch, Segment, path


def only(batch: Batch, kept_B: torch.Tensor) -> Batch:
    """The sequences that the mask `kept_B` chooses, in their order; shared prefixes stay shared."""
    if bool(kept_B.all()):
        return batch
    kept_S = kept_B[batch.owner_S]
    segments, rows_T = _segments(batch, batch.sites_S[kept_S])
    place_T = torch.empty_like(batch.tokens_T).scatter(
        0, rows_T, torch.arange(len(rows_T), device=rows_T.device)
    )
    kept = kept_B.tolist()
    return replace(
        batch,
        tokens_T=batch.tokens_T[rows_T],
        positions_T=batch.positions_T[rows_T],
        segments=segments,
        sites_S=place_T[batch.sites_S[kept_S]],
        targets_S=batch.targets_S[kept_S],
        weights_S=batch.weights_S[kept_S],
        owner_S=(kept_B.cumsum(0) - 1)[batch.owner_S[kept_S]],
        origins=tuple(compress(batch.origins, kept)),
        parts_B=None if batch.parts_B is None else batch.parts_B[kept_B],
        images=None if batch.images is None else tuple(compress(batch.images, kept)),
        reference_S=None if batch.reference_S is None else batch.reference_S[kept_S],
    )


def _segments(batch: Batch, sites: torch.Tensor) -> tuple[tuple[Segment, ...], torch.Tensor]:
    """The segments with these sites and their ancestors, moved together; and where they stood."""
    starts = torch.tensor([segment.start for segment in batch.segments], device=sites.device)
    holding = (torch.searchsorted(starts, sites, right=True) - 1).unique().tolist()
    needed = sorted({each for place in holding for each in path(batch.segments, place)})
    moved: dict[Segment, tuple[int, Segment]] = {}
    end = 0
    for place, segment in enumerate(needed):
        start, end = end, end + segment.end - segment.start
        above = segment.parent
        parent = ROOT if above == ROOT else moved[batch.segments[above]][0]
        moved[segment] = place, Segment(start, end, parent)
    rows = [torch.arange(s.start, s.end, device=sites.device) for s in needed]
    return tuple(segment for _, segment in moved.values()), torch.cat(rows)
