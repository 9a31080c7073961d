"""Losses through a linear head, their gradient formed in the forward pass; cross entropy first.

    nll_s = logsumexp_v(z_sv) − z_{s y_s}          z_s = W h_s + b
    ∂nll_s/∂z_s = softmax(z_s) − onehot(y_s)

The derivative of a chunk of logits is made where the logits stand, is multiplied at once into what
is kept of it, and the chunk is forgotten: logits exist once, for at most CHUNK_LOGITS numbers, and
nothing is computed twice (Hsu et al. 2024, Liger Kernel, §3.2). Weights scale whole rows, so they
act on the D numbers of a hidden state and not on the V of its logits.

Any other loss of a site's logits goes the same way (`weighted_sum`): it says its values, and turns
logits into derivatives. For a loss of whole answers, whose weights are known too late for that, see
`late_weights`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch.nn.functional import cross_entropy, linear, pad

# Logits in one call of the head: 24 MB in bfloat16. Matrix products reach their full rate at it.
CHUNK_LOGITS = 12 << 20
# Logits made into probabilities at a time on a CPU: in float32 they stay within its L2 cache.
CACHED_LOGITS = 3 << 16

# Sites are filled up to a multiple of this many: oneDNN makes code for every size of a bfloat16
# product that it meets, and keeps it.
_SIZES = 32

# Rows of the head's gradient made at a time where they are added in another precision.
_CAST_ROWS = 4096

Head = tuple[torch.Tensor, torch.Tensor | None]
Gradients = tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]

SiteLoss = Callable[[slice, torch.Tensor], torch.Tensor]
"""Float32 values (C,) of a chunk of sites from its logits (C, V), which become the derivative of
the values in place."""


def weighted_nll(
    hidden_SD: torch.Tensor, head: Head, targets_S: torch.Tensor, weights_S: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Σ_s w_s · nll_s in nats, and Σ_s w_s of the sites whose target no token is likelier than.

    Both are float32 scalars; without a gradient the second is not computed. `head` is (weight,
    bias) of shapes (V, D) and (V) or None; targets are int64, weights float32. Gradients reach
    `hidden_SD` and whatever of the head requires one.
    """
    hidden_SD, targets_S, weights_S = (filled(t) for t in (hidden_SD, targets_S, weights_S))
    if not (watched(hidden_SD, *head) and torch.is_grad_enabled()):
        return nll_of_sites(hidden_SD, head, targets_S) @ weights_S, None
    likeliest_S = torch.empty_like(weights_S)
    loss = weighted_sum(hidden_SD, head, weights_S, nll_of_targets(targets_S, likeliest_S))
    return loss, likeliest_S @ weights_S


def weighted_sum(
    hidden_SD: torch.Tensor,
    head: Head,
    weights_S: torch.Tensor,
    of_sites: SiteLoss,
    at_once: int = 1,
) -> torch.Tensor:
    """Σ_s w_s · loss_s of any loss of the logits of a site, a float32 scalar.

    `at_once` is how many arrays of the size of a chunk's logits `of_sites` makes the head hold: the
    chunks are as much smaller, so that memory does not grow.
    """
    loss: torch.Tensor = _WeightedSum.apply(  # type: ignore[no-untyped-call]
        hidden_SD, *head, weights_S, of_sites, at_once
    )
    return loss


@torch.no_grad()
def nll_of_sites(
    hidden_SD: torch.Tensor,
    head: Head,
    targets_S: torch.Tensor,
    likeliest_S: torch.Tensor | None = None,
) -> torch.Tensor:
    """−log p(y_s) in nats, float32, shape (S,), without a gradient.

    `likeliest_S`, where given, becomes 1 where no logit is above the target's, else 0.
    """
    sites, hidden_SD, targets_S = len(targets_S), filled(hidden_SD), filled(targets_S)
    nll_S = hidden_SD.new_empty(len(hidden_SD), dtype=torch.float32)
    right_S = None if likeliest_S is None else torch.empty_like(nll_S)
    for rows in chunks_of(len(hidden_SD), head[0]):
        logits_CV = linear(hidden_SD[rows], *head)
        for part in cached(logits_CV):
            logits_BV, targets_B = logits_CV[part].float(), targets_S[rows][part]
            nll_S[rows][part] = cross_entropy(logits_BV, targets_B, reduction="none")
            if right_S is not None:
                of_targets_B = logits_BV.gather(1, targets_B[:, None])[:, 0]
                right_S[rows][part] = (of_targets_B >= logits_BV.amax(1)).float()
    if likeliest_S is not None and right_S is not None:
        likeliest_S.copy_(right_S[:sites])
    return nll_S[:sites]


def watched(*tensors: torch.Tensor | None) -> bool:
    """Whether any of them requires a gradient."""
    return any(tensor is not None and tensor.requires_grad for tensor in tensors)


class _WeightedSum(torch.autograd.Function):
    """Shapes as in `weighted_nll`; C sites make a chunk. See the head of this file."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden_SD: torch.Tensor,
        weight_VD: torch.Tensor,
        bias_V: torch.Tensor | None,
        weights_S: torch.Tensor,
        of_sites: SiteLoss,
        at_once: int,
    ) -> torch.Tensor:
        head, needed = (weight_VD, bias_V), ctx.needs_input_grad[:3]
        total, ctx.gradients = with_gradients(hidden_SD, head, weights_S, of_sites, needed, at_once)
        return total

    @staticmethod
    def backward(ctx: Any, *grad_outputs: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Once only: the gradients are handed on, scaled in place, and not kept."""
        scaled = [None if grad is None else grad.mul_(grad_outputs[0]) for grad in ctx.gradients]
        del ctx.gradients
        return (*scaled, None, None, None)


def with_gradients(
    hidden_SD: torch.Tensor,
    head: Head,
    weights_S: torch.Tensor,
    of_sites: SiteLoss,
    needed: Sequence[bool],
    at_once: int = 1,
) -> tuple[torch.Tensor, Gradients]:
    """Σ_s w_s · loss_s, and its gradients by hidden states, weight and bias where `needed`."""
    (weight_VD, bias_V), (for_hidden, for_weight, for_bias) = head, needed
    chunks = list(chunks_of(len(hidden_SD), weight_VD, for_weight, at_once))
    dhidden_SD = torch.empty_like(hidden_SD) if for_hidden else None
    dweight_VD = _zeros(weight_VD, len(chunks)) if for_weight else None
    dbias_V = _zeros(bias_V, len(chunks)) if bias_V is not None and for_bias else None
    total = weights_S.new_zeros(())
    for rows in chunks:
        logits_CV = linear(hidden_SD[rows], weight_VD, bias_V)
        total += of_sites(rows, logits_CV) @ weights_S[rows]
        weights_C1 = weights_S[rows, None].to(hidden_SD.dtype)
        if dhidden_SD is not None:
            torch.mm(logits_CV, weight_VD, out=dhidden_SD[rows]).mul_(weights_C1)
        if dweight_VD is not None:
            _add_product(dweight_VD, logits_CV, hidden_SD[rows] * weights_C1)
        if dbias_V is not None:
            _add_product(dbias_V[:, None], logits_CV, weights_C1)
    if dweight_VD is not None:
        dweight_VD = dweight_VD.to(weight_VD.dtype)
    if dbias_V is not None:
        dbias_V = dbias_V.to(weight_VD.dtype)
    return total, (dhidden_SD, dweight_VD, dbias_V)


def nll_of_targets(targets_S: torch.Tensor, likeliest_S: torch.Tensor | None = None) -> SiteLoss:
    """Cross entropy as a loss of `weighted_sum`; `likeliest_S` as in `nll_then_derivative`."""

    def of_sites(rows: slice, logits_CV: torch.Tensor) -> torch.Tensor:
        likeliest_C = None if likeliest_S is None else likeliest_S[rows]
        return nll_then_derivative(logits_CV, targets_S[rows], likeliest_C)

    return of_sites


def nll_then_derivative(
    logits_CV: torch.Tensor, targets_C: torch.Tensor, likeliest_C: torch.Tensor | None = None
) -> torch.Tensor:
    """−log p of each target, float32, shape (C,); `logits_CV` becomes softmax − onehot in place.

    Softmax is taken in float32, a few rows at a time, so that they stay in the cache.
    `likeliest_C`, where given, becomes 1 where no logit is above the target's, else 0.
    """
    nll_C = logits_CV.new_empty(len(logits_CV), dtype=torch.float32)
    for rows in cached(logits_CV):
        probabilities = logits_CV[rows].float()
        target_B1 = targets_C[rows, None]
        nll_C[rows] = -probabilities.gather(1, target_B1)[:, 0]
        highest_B1 = probabilities.amax(1, keepdim=True)
        if likeliest_C is not None:
            likeliest_C[rows] = (-nll_C[rows] >= highest_B1[:, 0]).to(likeliest_C.dtype)
        sum_B1 = probabilities.sub_(highest_B1).exp_().sum(1, keepdim=True)
        nll_C[rows] += (highest_B1 + sum_B1.log())[:, 0]
        probabilities.mul_(1 / sum_B1)
        # p − 1 from the logarithm: a difference of two numbers near 1 would lose its digits.
        probabilities.scatter_(1, target_B1, torch.expm1(-nll_C[rows, None]))
        if probabilities.dtype != logits_CV.dtype:
            logits_CV[rows] = probabilities
    return nll_C


def _add_product(total_VD: torch.Tensor, logits_CV: torch.Tensor, hidden_CD: torch.Tensor) -> None:
    """total += logitsᵀ hidden, by blocks of V where the product has to be cast to be added."""
    if total_VD.dtype == logits_CV.dtype:
        total_VD.addmm_(logits_CV.T, hidden_CD)
        return
    for rows in _slices(len(total_VD), _CAST_ROWS):
        total_VD[rows] += logits_CV[:, rows].T @ hidden_CD


def _zeros(like: torch.Tensor, chunks: int) -> torch.Tensor:
    """Where a gradient of the head adds up: in float32, if there is anything to add."""
    return torch.zeros_like(like, dtype=torch.float32 if chunks > 1 else like.dtype)


def chunks_of(
    sites: int, weight_VD: torch.Tensor, trained: bool = False, at_once: int = 1
) -> Iterator[slice]:
    """Sites by as many as make CHUNK_LOGITS in the arrays that are there `at_once`.

    Where the gradients of several chunks would be added in float32, 4 V D bytes, it is one chunk if
    they take no more: 2 V S bytes each.
    """
    vocabulary, width = weight_VD.shape
    size = max(1, CHUNK_LOGITS // (vocabulary * at_once))
    size -= size % _SIZES if size > _SIZES else 0
    alone = trained and weight_VD.dtype != torch.float32 and sites * at_once <= 2 * width
    return _slices(sites, sites if alone else size)


def filled(values_S: torch.Tensor) -> torch.Tensor:
    """With zeros behind it, up to a multiple of _SIZES sites: of no weight, they add nothing."""
    more = -len(values_S) % _SIZES
    return pad(values_S, (0, 0) * (values_S.ndim - 1) + (0, more)) if more else values_S


def cached(logits_CV: torch.Tensor) -> Iterator[slice]:
    """Rows by as many as fit in the cache; an accelerator takes them all at once."""
    on_cpu = logits_CV.device.type == "cpu"
    return _slices(
        len(logits_CV), max(1, CACHED_LOGITS // logits_CV.shape[1]) if on_cpu else len(logits_CV)
    )


def _slices(total: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, total, size))
