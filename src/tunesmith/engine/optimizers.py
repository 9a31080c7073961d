"""Optimisers, one function each and one table; state as plain tensors (never pickle).

An entry returns a list of torch optimisers, since some rules are for hidden matrices only and
leave embeddings, norms and biases to AdamW.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import nn
from torch.optim import AdamW, Muon, Optimizer

Weights = Mapping[str, nn.Parameter]


def adamw(weights: Weights, embeddings: set[str], weight_decay: float) -> list[Optimizer]:
    """AdamW (Loshchilov and Hutter 2019). Matrices decay; biases and norm weights do not."""
    decayed = [weight for weight in weights.values() if weight.ndim >= 2]
    free = [weight for weight in weights.values() if weight.ndim < 2]
    groups = [
        {"params": params, "weight_decay": decay}
        for params, decay in ((decayed, weight_decay), (free, 0.0))
        if params
    ]
    return [AdamW(groups, lr=0.0, betas=(0.9, 0.95), eps=1e-8, fused=True)]


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


OPTIMIZERS: dict[str, Callable[[Weights, set[str], float], list[Optimizer]]] = {
    "adamw": adamw,
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
        for index, values in optimizer.state_dict()["state"].items()
        for name, value in values.items()
    }


def load_state(optimizers: Iterable[Optimizer], tensors: Mapping[str, torch.Tensor]) -> None:
    """Put back what `state_tensors` gave."""
    for position, optimizer in enumerate(optimizers):
        state: dict[int, dict[str, torch.Tensor]] = {}
        for key, value in tensors.items():
            owner, index, name = key.split(".", 2)
            if int(owner) == position:
                state.setdefault(int(index), {})[name] = value
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})
