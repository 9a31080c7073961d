"""A packed batch as padded rows, for models that do not call our attention."""

from __future__ import annotations

import torch

from tunesmith.core.batch import Batch, Segment, path


class Grid:
    """A batch as rows padded on the right, one for each path from a root to a leaf.

    The tokens of a segment with several paths below it stand in several rows, and their hidden
    states are the same in each: a site is read from the first. `paths` are the places of each row's
    tokens in T.
    """

    def __init__(self, batch: Batch) -> None:
        device = batch.tokens_T.device
        self.paths = indices = [
            torch.cat([torch.arange(s.start, s.end) for s in path(batch.segments, leaf)])
            for leaf in _leaves(batch.segments)
        ]
        self._index = torch.nn.utils.rnn.pad_sequence(indices, batch_first=True).to(device)
        lengths = torch.tensor([len(index) for index in indices], device=device)
        self.mask = torch.arange(self._index.shape[1], device=device)[None] < lengths[:, None]
        rows = torch.empty(batch.tokens, dtype=torch.long, device=device)
        for row, index in reversed(list(enumerate(indices))):
            rows[index.to(device)] = row
        self._rows = rows.index_select(0, batch.sites_S)
        self._columns = batch.positions_T.index_select(0, batch.sites_S)

    def spread(self, values_T: torch.Tensor) -> torch.Tensor:
        """Values of the tokens in their cells, 0 elsewhere; shape (rows, longest)."""
        return values_T[self._index] * self.mask

    def at_sites(self, values: torch.Tensor) -> torch.Tensor:
        """(rows, longest, …) at the batch's sites, shape (S, …)."""
        return values[self._rows, self._columns]


def _leaves(segments: tuple[Segment, ...]) -> list[int]:
    """The segments that are nobody's parent."""
    parents = {segment.parent for segment in segments}
    return [place for place in range(len(segments)) if place not in parents]
