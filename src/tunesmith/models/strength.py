"""How strongly an adapter acts: its up-projections B scaled, so that plain PEFT opens the result.

What LoRA adds to a layer is (alpha/r)·B·A·x (Hu et al. 2022, equation 3), linear in B: scaling
every B by s scales the whole contribution by s, and no other number has to be saved.
"""

from __future__ import annotations

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer

from tunesmith.models.methods import Tuned


class Strength:
    """Sets the strength of a trained adapter; 1 is what was trained, 0 is the base.

    Keeps a copy of every B as trained, so strengths may be set in any order, and 1 gives the
    trained bits back. The adapter is at full strength when this is made.

    Raises:
        TypeError: `tuned` has no adapter.
    """

    def __init__(self, tuned: Tuned) -> None:
        if not isinstance(tuned.module, PeftModel):
            raise TypeError("Only an adapter has a strength.")
        layers = [module for module in tuned.module.modules() if isinstance(module, LoraLayer)]
        ups = [up.get_parameter("weight") for layer in layers for up in layer.lora_B.values()]
        self._trained = [(up, up.detach().clone()) for up in ups]

    @torch.no_grad()
    def set(self, strength: float) -> None:
        """Let the adapter act with `strength`."""
        for up, trained in self._trained:
            up.copy_(trained * strength)
