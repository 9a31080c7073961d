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
from tunesmith.objectives.late_weights import nll_with_gradient
from tunesmith.objectives.linear_head import nll_of_sites, weighted_nll

# Sites per call of a head that is more than a linear map: bounds the memory of the logits.
CHUNK = 1024

TOKEN_ACCURACY = "token_accuracy"


class CrossEntropy:
    """Shapes: sites S, vocabulary V; logits exist for one chunk of sites at a time.

    A linear head takes the path of `linear_head`. For any other the logits of each chunk are made
    again in the backward pass.
    """

    def loss(self, model: SiteModel, batch: Batch) -> LossSum:
        """The weighted sum of negative log likelihoods in nats, and the sum of weights.

        Through a linear head that learns, `token_accuracy` is among the extras: the weight of the
        tokens that no other was held likelier than.
        """
        hidden_SD = model.hidden_at_sites(batch)
        head, count = model.linear_head, float(batch.weights_S.sum())
        if head is None:
            nll = _through_any_head(model, hidden_SD, batch.targets_S, batch.weights_S)
            return LossSum(sum=nll, count=count)
        nll, right = weighted_nll(hidden_SD, head, batch.targets_S, batch.weights_S)
        return LossSum(nll, count, {} if right is None else {TOKEN_ACCURACY: float(right)})


def nll_at_sites(model: SiteModel, batch: Batch) -> torch.Tensor:
    """−log p(y_s) at the sites of `batch` through any head: nats, float32, shape (S,).

    With a gradient, for any function of them. Logits exist for one chunk of sites at a time.
    """
    hidden_SD = model.hidden_at_sites(batch)
    head = model.linear_head
    if head is not None:
        return nll_with_gradient(hidden_SD, head, batch.targets_S)
    chunks = zip(hidden_SD.split(CHUNK), batch.targets_S.split(CHUNK), strict=True)
    return torch.cat([checkpoint(_nll, model, *chunk, use_reentrant=False) for chunk in chunks])


@torch.no_grad()
def nll_of_batch(model: SiteModel, batch: Batch) -> torch.Tensor:
    """`nll_at_sites` without a gradient."""
    return nll_at_sites(model, batch)


@torch.no_grad()
def nll_and_likeliest(model: SiteModel, batch: Batch) -> tuple[torch.Tensor, torch.Tensor | None]:
    """`nll_of_batch`, and 1 where no token is likelier than the target, else 0; both (S,).

    The second is None for a model without a linear head.
    """
    head = model.linear_head
    if head is None:
        return nll_of_batch(model, batch), None
    likeliest_S = torch.empty_like(batch.weights_S)
    hidden_SD = model.hidden_at_sites(batch)
    return nll_of_sites(hidden_SD, head, batch.targets_S, likeliest_S), likeliest_S


def _through_any_head(
    model: SiteModel, hidden_SD: torch.Tensor, targets_S: torch.Tensor, weights_S: torch.Tensor
) -> torch.Tensor:
    total = hidden_SD.new_zeros((), dtype=torch.float32)
    for start in range(0, len(hidden_SD), CHUNK):
        chunk = slice(start, start + CHUNK)
        total = total + checkpoint(
            _weighted_nll,
            model,
            hidden_SD[chunk],
            targets_S[chunk],
            weights_S[chunk],
            use_reentrant=False,
        )
    return total


def _weighted_nll(
    model: SiteModel, hidden_SD: torch.Tensor, targets_S: torch.Tensor, weights_S: torch.Tensor
) -> torch.Tensor:
    return (_nll(model, hidden_SD, targets_S) * weights_S).sum()


def _nll(model: SiteModel, hidden_SD: torch.Tensor, targets_S: torch.Tensor) -> torch.Tensor:
    return cross_entropy(model.head(hidden_SD).float(), targets_S, reduction="none")
