"""The weights that training starts from, kept beside those that it changes.

With them a model can be the base again for a while, without a second copy of what is frozen: the
same modules and kernels compute, so that an untrained model and its base agree to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn


class Start:
    """A copy of every trained weight of `module` as it is now, by name, in the type it has.

    A new adapter adds exactly zero, so with LoRA, too, the start is the base.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._trained = {n: w for n, w in module.named_parameters() if w.requires_grad}
        self._weights = {name: w.detach().clone() for name, w in self._trained.items()}

    @property
    def weights(self) -> Mapping[str, torch.Tensor]:
        """By the names of the module's parameters."""
        return self._weights

    @property
    def bytes(self) -> int:
        """What is kept."""
        return sum(weight.nbytes for weight in self._weights.values())

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Within, the module has its first weights, and nothing is dropped out.

        Nothing is copied: weights and start change places, and back. What is computed within must
        not be differentiated.
        """
        training = self._module.training
        self._module.eval()
        self._swap()
        try:
            yield
        finally:
            self._swap()
            self._module.train(training)

    def _swap(self) -> None:
        for name, weight in self._trained.items():
            self._weights[name], weight.data = weight.data, self._weights[name]
