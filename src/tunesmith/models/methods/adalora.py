"""AdaLoRA: rank moved between layers while training, to where it matters (Zhang et al. 2023).

    W + (alpha / r₀) P Λ Q        P, Q nearly orthogonal, Λ diagonal and zero at first

Each layer begins with one and a half times the rank asked for. How much each triplet (a singular
value, its left and its right vector) matters is a running mean of |w · ∂L/∂w|, times how unsteady
that is (§3.2, equations 8 to 10). After a tenth of the steps the singular values of those that
matter least are set to zero, more and more of them, by a cubic schedule (equation 12), until two
thirds; from then on those that are left are trained.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from peft import AdaLoraConfig, PeftModel, get_peft_model
from peft.tuners.adalora.layer import AdaLoraLayer, RankAllocator
from torch import nn

from tunesmith.core.seeds import derive
from tunesmith.models.methods.places import adapted, task_of, turned
from tunesmith.models.methods.tuned import ADAPTER, MethodSettings, Tuned
from tunesmith.models.open import Base
from tunesmith.models.seeding import seeded

BEGINS = 1.5
"""Times the rank asked for (Zhang et al. 2023, §4: the initial budget)."""

ORTHOGONAL = 0.5
"""How much it costs that P and Q are not orthogonal; PEFT's, and the largest of the paper's."""

_STATE = ("exp_avg_ipt", "exp_avg_unc")
_KEPT = "kept"


def adalora(base: Base, settings: MethodSettings, seed: int) -> Tuned:
    """W + (alpha / r₀) P Λ Q, and the rule that moves rank."""
    config = AdaLoraConfig(
        init_r=round(BEGINS * settings.rank),
        target_r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        orth_reg_weight=ORTHOGONAL,
        total_step=1,  # not known yet: see `Allocation`
        fan_in_fan_out=turned(base.model),
        task_type=task_of(base.model),
        **adapted(base, settings.layers),
    )
    with seeded(derive(seed, "adapter"), base.model.device):
        module = get_peft_model(base.model, config, autocast_adapter_dtype=False)
    module.peft_config["default"].base_model_name_or_path = base.described.reference
    return Tuned(
        base,
        module,
        ADAPTER,
        base,
        revision=lambda steps: Allocation(module, steps),
        penalty=lambda: penalty(module),
    )


def penalty(module: nn.Module) -> torch.Tensor:
    """c · mean over all P and Q of ‖PᵀP − I‖ (equation 5, with PEFT's norm and mean)."""
    distances = []
    for layer in _layers(module):
        right_rI, left_Or = (each["default"].float() for each in (layer.lora_A, layer.lora_B))
        for square_rr in (right_rI @ right_rI.t(), left_Or.t() @ left_Or):
            distances.append(torch.norm(square_rr - torch.eye(len(square_rr)).to(square_rr)))
    return ORTHOGONAL * torch.stack(distances).mean()


class Allocation:
    """The Revision port: after each update, set singular values to zero that matter least.

    PEFT's allocator computes; what it remembers of the steps so far is `state`.
    """

    def __init__(self, module: PeftModel, steps: int) -> None:
        """For a run of so many steps."""
        config = module.peft_config["default"]
        assert isinstance(config, AdaLoraConfig)
        config.total_step, config.tinit, config.tfinal = steps, steps // 10, steps // 3
        self._last = steps - config.tfinal
        self._allocator: Any = RankAllocator(module, config, "default")
        self._device = next(module.parameters()).device
        self._kept: dict[str, list[bool]] = {}
        self._step = 0

    def revise(
        self, weights: Mapping[str, nn.Parameter], gradients: Mapping[str, torch.Tensor]
    ) -> None:
        """Note how much each weight matters, and set some of Λ to zero, in place."""
        trained, allocator = _Trained(weights, gradients), self._allocator
        self._step += 1
        if self._step > self._last:
            allocator.mask_using_rank_pattern(trained, self._kept)
            return
        allocator.update_ipt(trained)
        budget, due = allocator.budget_schedule(self._step)
        if (due or self._step == self._last) and budget < allocator.init_bgt:
            self._kept = allocator.mask_to_budget(trained, budget)

    def state(self) -> dict[str, torch.Tensor]:
        """All that a resumed run needs to go on alike, by name."""
        found = {"step": torch.tensor(self._step)}
        for part in _STATE:
            found |= {
                f"{part}.{name}": each for name, each in getattr(self._allocator, part).items()
            }
        return found | {f"{_KEPT}.{name}": torch.tensor(kept) for name, kept in self._kept.items()}

    def load_state(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """What `state` gave."""
        parts: dict[str, dict[str, torch.Tensor]] = {part: {} for part in (*_STATE, _KEPT)}
        for key, tensor in tensors.items():
            part, _, name = key.partition(".")
            if name:
                parts[part][name] = tensor.to(self._device)
        for part in _STATE:
            setattr(self._allocator, part, parts[part])
        # Computed anew in each step; what is not in it, PEFT takes to have no running means yet.
        self._allocator.ipt = dict(parts[_STATE[0]])
        self._kept = {name: tensor.tolist() for name, tensor in parts[_KEPT].items()}
        self._step = int(tensors["step"])


class _Trained:
    """The trained weights in full precision with their gradients, as PEFT's allocator asks a model
    for them."""

    def __init__(
        self, weights: Mapping[str, nn.Parameter], gradients: Mapping[str, torch.Tensor]
    ) -> None:
        self._weights, self._gradients = weights, gradients

    def named_parameters(self) -> Iterator[tuple[str, Any]]:
        """Each with its gradient, zero where the loss did not touch it."""
        for name, weight in self._weights.items():
            weight.grad = self._gradients.get(name, torch.zeros_like(weight))
            yield name, weight
            weight.grad = None


def _layers(module: nn.Module) -> Iterator[Any]:
    return (each for each in module.modules() if isinstance(each, AdaLoraLayer))
