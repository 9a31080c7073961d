"""How strongly a model is tuned: anything from the base to what was trained.

    w(s) = (1 − s) · w(0) + s · w(1)

between the base's weights and the tuned ones (Wortsman et al. 2022, Robust fine-tuning of zero-shot
models, section 3: WiSE-FT). Of an adapter only its up-projections B are scaled, from w(0) = 0: what
LoRA adds to a layer is (alpha/r)·B·A·x (Hu et al. 2022, equation 3), linear in B, so that plain
PEFT opens the result and no other number has to be saved.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch import nn

from tunesmith.models.methods import Tuned
from tunesmith.models.open import load_weights, opener_of


class Strength:
    """Sets the strength of a trained model; 1 is what was trained, 0 is the base.

    Keeps a copy of every weight as trained, so strengths may be set in any order, and 0 and 1 give
    the bits of base and trained weights. The model is at full strength when this is made.

    Raises:
        ModelError: the base's weights are needed and cannot be read again.
    """

    def __init__(self, tuned: Tuned) -> None:
        ends = _of_adapter(tuned.module) if isinstance(tuned.module, PeftModel) else _of(tuned)
        self._ends = [(weight, start, weight.detach().clone()) for weight, start in ends]

    @torch.no_grad()
    def set(self, strength: float) -> None:
        """Let the model be tuned with `strength`; the sum is made in float32."""
        for weight, start, trained in self._ends:
            # Exact at both ends: one of the products is then zero, and the other its factor.
            weight.copy_(start.float() * (1 - strength) + trained.float() * strength)


def _of_adapter(module: PeftModel) -> list[tuple[nn.Parameter, torch.Tensor]]:
    """Each B with what it is in the base: zero."""
    layers = [layer for layer in module.modules() if isinstance(layer, LoraLayer)]
    ups = [up.get_parameter("weight") for layer in layers for up in layer.lora_B.values()]
    return [(up, up.new_zeros(())) for up in ups]


def _of(tuned: Tuned) -> list[tuple[nn.Parameter, torch.Tensor]]:
    """Each trained weight with what it is in the base."""
    trained = {n: w for n, w in tuned.base.model.named_parameters() if w.requires_grad}
    start = tuned.start.weights if tuned.start else _read_again(tuned, trained)
    return [(weight, start[name]) for name, weight in trained.items()]


def _read_again(tuned: Tuned, names: Iterable[str]) -> dict[str, torch.Tensor]:
    """From the base's files: what is needed at the end alone is not held all along."""
    model, described = tuned.base.model, tuned.base.described
    dtype = str(model.dtype).removeprefix("torch.")
    read = load_weights(described.location, dtype, opener=opener_of(described))
    weights = dict(read.named_parameters(remove_duplicate=False))  # a head may be untied since
    return {name: weights[name].detach().to(model.device) for name in names}
