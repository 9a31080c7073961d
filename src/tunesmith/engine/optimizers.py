"""Optimisers, one function each and one table; state as plain tensors (never pickle).

An entry returns a list of torch optimisers, since some rules are for hidden matrices only and
leave embeddings, norms and biases to AdamW.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW, Muon, Optimizer

from tunesmith.engine.factored import BETAS, EPSILON, FactoredAdamW

Weights = Mapping[str, nn.Parameter]


def adamw(weights: Weights, embeddings: set[str], weight_decay: float) -> list[Optimizer]:
    """AdamW (Loshchilov and Hutter 2019). Matrices decay; biases and norm weights do not."""
    groups = _by_decay(weights, weight_decay)
    return [AdamW(groups, lr=0.0, betas=BETAS, eps=EPSILON, fused=True)]


def adamw_factored(weights: Weights, embeddings: set[str], weight_decay: float) -> list[Optimizer]:
    """AdamW that remembers 2 bytes a weight instead of 8. See `factored`."""
    return [FactoredAdamW(_by_decay(weights, weight_decay))]


def muon(weights: Weights, embeddings: set[str], weight_decay: float) -> list[Optimizer]:
    """Muon (Jordan et al. 2024) for hidden matrices, AdamW for the rest.

    Updates are scaled to the size of AdamW's (Liu et al. 2025, §2.2), so one learning rate and
    decay serve both.
    """
    hidden = [w for name, w in weights.items() if w.ndim == 2 and name not in embeddings]
    rest = {name: w for name, w in weights.items() if w.ndim != 2 or name in embeddings}
    matrices = Muon(
        hidden, lr=0.0, weight_decay=weight_decay, momentum=0.95, adjust_lr_fn="match_rms_adamw"
    )
    return [matrices, *(adamw(rest, embeddings, weight_decay) if rest else [])]


def _by_decay(weights: Weights, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups: matrices decay; biases and norm weights do not."""
    decayed = [weight for weight in weights.values() if weight.ndim >= 2]
    free = [weight for weight in weights.values() if weight.ndim < 2]
    return [
        {"params": params, "weight_decay": decay}
        for params, decay in ((decayed, weight_decay), (free, 0.0))
        if params
    ]


OPTIMIZERS: dict[str, Callable[[Weights, set[str], float], list[Optimizer]]] = {
    "adamw": adamw,
    "adamw_factored": adamw_factored,
    "muon": muon,
}


def embedding_names(module: nn.Module) -> set[str]:
    """The parameters of embedding tables, and of heads of the same shape (vocabulary by width)."""
    shapes = {m.weight.shape for m in module.modules() if isinstance(m, nn.Embedding)}
    return {name for name, weight in module.named_parameters() if weight.shape in shapes}


def set_rate(optimizers: Iterable[Optimizer], rate: float) -> None:
    """Give every parameter group this learning rate."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate


def state_tensors(optimizers: Iterable[Optimizer]) -> dict[str, torch.Tensor]:
    """All state in one flat dictionary: "<optimiser>.<parameter>.<name>" to tensor."""
    return {
        f"{position}.{index}.{name}": value.contiguous()
        for position, optimizer in enumerate(optimizers)
        for index, weight in enumerate(_parameters(optimizer))
        for name, value in optimizer.state.get(weight, {}).items()
    }


def load_state(optimizers: Sequence[Optimizer], tensors: Mapping[str, torch.Tensor]) -> None:
    """Put back what `state_tensors` gave, each tensor in its own type.

    (torch's own `load_state_dict` casts it to the type of the weight.)
    """
    weights = [_parameters(optimizer) for optimizer in optimizers]
    for optimizer in optimizers:
        optimizer.state.clear()
    for key, value in tensors.items():
        position, index, name = key.split(".", 2)
        weight = weights[int(position)][int(index)]
        optimizers[int(position)].state[weight][name] = value.to(weight.device)


def _parameters(optimizer: Optimizer) -> list[nn.Parameter]:
    return [weight for group in optimizer.param_groups for weight in group["params"]]
