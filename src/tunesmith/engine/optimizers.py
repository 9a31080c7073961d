"""Optimisers, one function each and one table; state as plain tensors (never pickle).

An entry returns a list of torch optimisers, since some rules are for hidden matrices only and
leave embeddings, norms and biases to AdamW. What each is and costs stands in `recipe/optimizers`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Adafactor, AdamW, Muon, Optimizer

from tunesmith.core.errors import Unsupported
from tunesmith.engine import libraries
from tunesmith.engine.each_weight import EachWeight, ScheduleFree
from tunesmith.engine.factored import BETAS, EPSILON, FactoredAdamW
from tunesmith.engine.weight_by_weight import WeightByWeight
from tunesmith.recipe.optimizers import GALORE_GAP, RULES, galore_rank

Weights = Mapping[str, nn.Parameter]

FACTOR = "rate_factor"
"""The key of a parameter group that learns at another rate than the run's: how many times."""


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
    hidden, rest = _hidden("muon", weights, embeddings)
    matrices = Muon(
        hidden.values(),
        lr=0.0,
        weight_decay=weight_decay,
        momentum=RULES["muon"].betas[0],
        adjust_lr_fn="match_rms_adamw",
    )
    return [matrices, *(adamw(rest, embeddings, weight_decay) if rest else [])]


def adafactor(weights: Weights, embeddings: set[str], weight_decay: float) -> list[Optimizer]:
    """Adafactor (Shazeer and Stern 2018, algorithms 4 and 5) without momentum, from torch.

    The learning rate is a share of the root mean square of the weights themselves.
    """

    def make(weight: nn.Parameter, shape: torch.Size, decay: float) -> Optimizer:
        return Adafactor([weight], lr=0.0, beta2_decay=-0.8, weight_decay=decay)

    return [EachWeight(_by_decay(weights, weight_decay), make)]


def adamw_8bit(weights: Weights, embeddings: set[str], weight_decay: float) -> list[Optimizer]:
    """AdamW with both moments in 8 bits, scaled by blocks (Dettmers et al. 2022)."""
    rule = libraries.adamw_8bit()

    def make(weight: nn.Parameter, shape: torch.Size, decay: float) -> Optimizer:
        return rule([weight], lr=0.0, betas=BETAS, eps=EPSILON, weight_decay=decay)

    return [EachWeight(_by_decay(weights, weight_decay), make)]


def lion(weights: Weights, embeddings: set[str], weight_decay: float) -> list[Optimizer]:
    """Lion (Chen et al. 2023, algorithm 2): the sign of an interpolated momentum."""
    rule = libraries.lion()

    def make(weight: nn.Parameter, shape: torch.Size, decay: float) -> Optimizer:
        return rule([weight], lr=0.0, betas=RULES["lion"].betas, weight_decay=decay)

    return [EachWeight(_by_decay(weights, weight_decay), make)]


def schedule_free(weights: Weights, embeddings: set[str], weight_decay: float) -> list[Optimizer]:
    """AdamW whose averaged weights need no decaying rate (Defazio et al. 2024)."""
    rule, betas = libraries.schedule_free(), RULES["schedule_free"].betas

    def make(weight: nn.Parameter, shape: torch.Size, decay: float) -> Optimizer:
        own = rule([weight], lr=0.0, betas=betas, eps=EPSILON, weight_decay=decay)
        own.train()  # type: ignore[attr-defined]
        return own

    groups = _by_decay(weights, weight_decay)
    return [ScheduleFree(groups, make, counts=("k", "weight_sum", "lr_max"))]


def galore(weights: Weights, embeddings: set[str], weight_decay: float) -> list[Optimizer]:
    """GaLore (Zhao et al. 2024, algorithm 2) for hidden matrices, factored AdamW for the rest.

    The moments live in the space of the gradient's largest singular vectors. Adam's update there
    has entries near one, and r of m dimensions of it: scaled by √(m / r) it is of AdamW's size.
    """
    hidden, rest = _hidden("galore", weights, embeddings)
    rule, projector = libraries.galore()

    def make(weight: nn.Parameter, shape: torch.Size, decay: float) -> Optimizer:
        rank = galore_rank(shape)
        scale = math.sqrt(min(shape) / rank)
        own = rule(
            [{"params": [weight], "rank": rank}],
            lr=0.0,
            betas=RULES["galore"].betas,
            eps=EPSILON,
            weight_decay=decay,
        )
        own.state[weight]["projector"] = projector(
            rank=rank, update_proj_gap=GALORE_GAP, scale=scale
        )
        return own

    matrices = EachWeight(_by_decay(hidden, weight_decay), make, counts=("step",))
    return [matrices, *(adamw_factored(rest, embeddings, weight_decay) if rest else [])]


def _hidden(
    rule: str, weights: Weights, embeddings: set[str]
) -> tuple[dict[str, nn.Parameter], dict[str, nn.Parameter]]:
    """The matrices inside layers, and the rest. Raises Unsupported where there are none."""
    hidden = {n: w for n, w in weights.items() if w.ndim == 2 and n not in embeddings}
    if not hidden:
        raise Unsupported(
            f"engine.optimizer={rule} is for hidden matrices, and none is trained here. "
            "Set engine.optimizer=adamw, or another model.method."
        )
    return hidden, {n: w for n, w in weights.items() if n not in hidden}


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
    "adafactor": adafactor,
    "adamw_8bit": adamw_8bit,
    "lion": lion,
    "schedule_free": schedule_free,
    "galore": galore,
}


def embedding_names(module: nn.Module) -> set[str]:
    """The parameters of embedding tables, and of heads of the same shape (vocabulary by width)."""
    shapes = {m.weight.shape for m in module.modules() if isinstance(m, nn.Embedding)}
    return {name for name, weight in module.named_parameters() if weight.shape in shapes}


def split_rates(
    optimizers: Iterable[Optimizer], weights: Weights, factors: Mapping[str, float]
) -> None:
    """Let the named weights learn at so many times the rate: each group becomes one a factor."""
    factor_of = {id(weights[name]): factor for name, factor in factors.items() if name in weights}
    for optimizer in optimizers if factor_of else ():
        groups: list[dict[str, Any]] = []
        for group in optimizer.param_groups:
            by_factor: dict[float, list[nn.Parameter]] = {}
            for weight in group["params"]:
                by_factor.setdefault(factor_of.get(id(weight), 1.0), []).append(weight)
            groups += [group | {"params": own, FACTOR: f} for f, own in by_factor.items()]
        optimizer.param_groups[:] = groups
        if isinstance(optimizer, WeightByWeight):
            optimizer.regroup()


def set_rate(optimizers: Iterable[Optimizer], rate: float) -> None:
    """Give every parameter group this learning rate, or its multiple of it."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate * group.get(FACTOR, 1.0)


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
