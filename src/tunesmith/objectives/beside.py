"""Losses against another model's prediction at the same sites: chunk by chunk through both heads.

    L = Σ_s w_s · loss(z_s, z'_s, y_s)      (logits z of the trained model, z' of the other)

A site's loss is a mixture of its token's cross entropy and of the KL from the other's prediction;
the KL is handed out beside it. Shapes: sites S, C of them in a chunk, widths D, vocabulary V.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.utils.checkpoint import checkpoint

from tunesmith.core.batch import Batch
from tunesmith.objectives.linear_head import Head, filled, weighted_sum

# Sites per call of a head that is more than a linear map.
_CHUNK = 512

Pair = tuple[torch.Tensor, torch.Tensor]
"""The loss and the KL of each site, float32, shapes (C,)."""

ThenDerivative = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], Pair]
"""Of the trained model's logits (C, V), the other's hidden states (C, D) and the targets (C,); the
logits become the derivative of the losses in place."""

OfChunk = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], Pair]
"""Of both models' hidden states (C, D) and the targets (C,), with a gradient."""


def through_linear_head(
    hidden_SD: torch.Tensor,
    head: Head,
    other_SD: torch.Tensor,
    batch: Batch,
    then_derivative: ThenDerivative,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Σ_s w_s · loss_s, a float32 scalar, and the KL of each site, (S,); see `linear_head`."""
    sites, other_SD, targets_S = len(other_SD), filled(other_SD), filled(batch.targets_S)
    kl_S = torch.empty(len(other_SD), device=other_SD.device)

    def of_sites(rows: slice, logits_CV: torch.Tensor) -> torch.Tensor:
        loss_C, kl_S[rows] = then_derivative(logits_CV, other_SD[rows], targets_S[rows])
        return loss_C

    weights_S = filled(batch.weights_S)
    total = weighted_sum(filled(hidden_SD), head, weights_S, of_sites, at_once=2)
    return total, kl_S[:sites]


def through_any_head(
    hidden_SD: torch.Tensor, other_SD: torch.Tensor, batch: Batch, of_chunk: OfChunk
) -> tuple[torch.Tensor, torch.Tensor]:
    """As `through_linear_head`; the logits of each chunk are made again in the backward pass."""

    def weighted(*arrays: torch.Tensor) -> Pair:
        *inputs, weights_C = arrays
        loss_C, kl_C = of_chunk(*inputs)
        return loss_C @ weights_C, kl_C

    total, kls = hidden_SD.new_zeros((), dtype=torch.float32), []
    for start in range(0, len(hidden_SD), _CHUNK):
        rows = slice(start, start + _CHUNK)
        arrays = (hidden_SD, other_SD, batch.targets_S, batch.weights_S)
        part, kl_C = checkpoint(weighted, *(array[rows] for array in arrays), use_reentrant=False)
        total = total + part
        kls.append(kl_C.detach())
    return total, torch.cat(kls)
