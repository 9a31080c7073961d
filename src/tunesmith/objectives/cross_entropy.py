"""Next-token cross entropy at the sites: the loss of supervised fine-tuning and of plain text.

    L = Σ_s w_s · (−log softmax(W h_s)[y_s])        count = Σ_s w_s

with h_s the last hidden state at site s, y_s the token that follows, w_s its weight (Bengio et al.
2003, eq. 1, in the weighted form of instruction tuning). The sum is divided once per step by the
sum of counts over all micro-batches and ranks, so that a token weighs the same in any batching.
"""

from __future__ import annotations

import torch
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

from tunesmith.core.batch import Batch, LossSum
from tunesmith.core.ports import SiteModel

# Sites per call of the head: bounds the memory of the logits to CHUNK × V.
CHUNK = 2048


class CrossEntropy:
    """Shapes: sites S, vocabulary V; logits exist for at most CHUNK sites at a time.

    With more sites than that the logits of each chunk are made again in the backward pass.
    """

    def loss(self, model: SiteModel, batch: Batch) -> LossSum:
        """The weighted sum of negative log likelihoods in nats, and the sum of weights."""
        hidden_SD = model.hidden_at_sites(batch)
        count = float(batch.weights_S.sum())
        if len(hidden_SD) <= CHUNK:
            nll = _weighted_nll(model, hidden_SD, batch.targets_S, batch.weights_S)
            return LossSum(sum=nll, count=count)
        total = hidden_SD.new_zeros((), dtype=torch.float32)
        for start in range(0, len(hidden_SD), CHUNK):
            chunk = slice(start, start + CHUNK)
            total = total + checkpoint(
                _weighted_nll,
                model,
                hidden_SD[chunk],
                batch.targets_S[chunk],
                batch.weights_S[chunk],
                use_reentrant=False,
                preserve_rng_state=False,
            )
        return LossSum(sum=total, count=count)


def _weighted_nll(
    model: SiteModel, hidden_SD: torch.Tensor, targets_S: torch.Tensor, weights_S: torch.Tensor
) -> torch.Tensor:
    logits_SV = model.head(hidden_SD).float()
    return (cross_entropy(logits_SV, targets_S, reduction="none") * weights_S).sum()
