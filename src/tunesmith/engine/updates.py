"""From losses to updated weights: after the backward pass, or inside it where memory is short.

Both take the loss sums of a step one by one, divide once by the true count of all of them, limit
the gradient, and update; `pull` says what `decay_to_base` does. Per trained bfloat16 weight they
hold, in bytes:

    |                        | weights | gradient           | optimiser          |
    |------------------------|---------|--------------------|--------------------|
    | normal, AdamW          | 2 + 4   | 2 of one, 4 of more| 8                  |
    | low, factored AdamW    | 2 + 2   | one matrix at once | 2 (+ rows, columns)|

What other optimisers hold stands in `recipe/optimizers`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol

import torch
from torch import nn
from torch.optim import Optimizer

from tunesmith.core.batch import LossSum
from tunesmith.core.ports import Revision
from tunesmith.engine.allocator import trim
from tunesmith.engine.each_weight import ScheduleFree
from tunesmith.engine.masters import Masters
from tunesmith.engine.optimizers import (
    OPTIMIZERS,
    embedding_names,
    load_state,
    set_rate,
    split_rates,
    state_tensors,
)
from tunesmith.engine.pull import Pulls
from tunesmith.engine.weight_by_weight import NotFinite, WeightByWeight

Tensors = dict[str, torch.Tensor]
Start = Mapping[str, torch.Tensor] | None
_REVISION = "revision."


class Asked(Protocol):
    """What is read here of the loop's settings."""

    @property
    def optimizer(self) -> str: ...
    @property
    def weight_decay(self) -> float: ...
    @property
    def clip(self) -> float: ...
    @property
    def rate_factors(self) -> Mapping[str, float]: ...
    @property
    def decay_to_base(self) -> float: ...


class Updates(Protocol):
    """One step: `begin`, a `backward` for each micro-batch, `finish`; or `drop`, which ends it.

    `spoilt` says that an unfinished step has moved some weights already and cannot be dropped.
    """

    spoilt: bool

    def begin(self, rate: float) -> None:
        """A step with this learning rate begins."""
        ...

    def backward(self, loss: LossSum, last: bool) -> None:
        """The backward pass of one micro-batch. Raises NotFinite (low memory only)."""
        ...

    def finish(self) -> float:
        """Make the update; returns the norm of the mean gradient. Raises NotFinite before it."""
        ...

    def drop(self) -> None:
        """Forget the gradients of the step."""
        ...

    def weights(self) -> Tensors:
        """The trained weights by name, in full precision: themselves, not copies."""
        ...

    def state(self) -> Tensors:
        """What the optimiser, and a method's revision of its weights, remember, by name."""
        ...

    def evaluated(self) -> AbstractContextManager[None]:
        """Inside, the model has the weights to judge and keep, and `weights` gives them.

        A rule that averages trains on others; they come back afterwards, to the bit.
        """
        ...

    def settle(self) -> None:
        """Training has ended: leave the weights to keep in the model."""
        ...

    def load_weights(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Set the weights to what `weights` gave."""
        ...

    def load_state(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Set the optimiser to what `state` gave."""
        ...


class AfterBackward:
    """Gradients add up in float32 over all micro-batches; then all weights are updated."""

    spoilt = False

    def __init__(
        self,
        module: nn.Module,
        asked: Asked,
        start: Start = None,
        revision: Revision | None = None,
    ) -> None:
        self._revision = revision
        self._masters = Masters(module.named_parameters())
        self._pulls = _pulls(self._masters.weights, asked, start)
        self._optimizers = OPTIMIZERS[asked.optimizer](
            self._masters.weights, embedding_names(module), asked.weight_decay
        )
        split_rates(self._optimizers, self._masters.weights, asked.rate_factors)
        self._averaging = [each for each in self._optimizers if isinstance(each, ScheduleFree)]
        self._clip = asked.clip
        self._count = 0.0

    def begin(self, rate: float) -> None:
        self._count = 0.0
        set_rate(self._optimizers, rate)
        self._pulls.begin(rate)

    def backward(self, loss: LossSum, last: bool) -> None:
        loss.sum.backward()
        self._count += loss.count

    def finish(self) -> float:
        length = _length(self._masters.gradients().values())
        # No gradient and no weight of a token is 0 / 0: not a number, as it should be.
        norm = length / self._count if self._count else math.nan
        if not math.isfinite(norm):
            raise NotFinite(norm)
        # The division by the count and the shortening are one pass over the gradients.
        scale = min(1.0, self._clip / (norm + 1e-6)) / self._count
        gradients: Tensors = {}
        for names in self._masters.updating(scale):
            for weight in map(self._masters.weights.__getitem__, names):
                if pull := self._pulls.of(weight):
                    pull.move(weight.detach())
            for optimizer in self._optimizers:
                optimizer.step()
            if self._revision is not None:
                gradients |= self._masters.gradients_of(names)
        if self._revision is not None:
            self._revision.revise(self._masters.weights, gradients)
            self._masters.publish()
        return norm

    def drop(self) -> None:
        self._masters.drop_gradients()

    @contextmanager
    def evaluated(self) -> Iterator[None]:
        if not self._averaging:
            yield
            return
        # No more memory than a step's gradients, which are not there now.
        trained = {name: weight.clone() for name, weight in self.weights().items()}
        self.settle()
        try:
            yield
        finally:
            self._masters.load(trained)
            for optimizer in self._averaging:
                optimizer.go_on()

    def settle(self) -> None:
        for optimizer in self._averaging:
            optimizer.average()
            self._masters.publish()

    def weights(self) -> Tensors:
        return {name: master.detach() for name, master in self._masters.weights.items()}

    def state(self) -> Tensors:
        found = {} if self._revision is None else self._revision.state()
        revised = {f"{_REVISION}{name}": tensor.contiguous() for name, tensor in found.items()}
        return state_tensors(self._optimizers) | revised

    def load_weights(self, tensors: Mapping[str, torch.Tensor]) -> None:
        self._masters.load(tensors)

    def load_state(self, tensors: Mapping[str, torch.Tensor]) -> None:
        revised = {name: each for name, each in tensors.items() if name.startswith(_REVISION)}
        others = {name: each for name, each in tensors.items() if name not in revised}
        load_state(self._optimizers, others)
        if self._revision is not None:
            self._revision.load_state(
                {name.removeprefix(_REVISION): each for name, each in revised.items()}
            )


class InsideBackward:
    """Each weight is updated when its gradient is whole, and the gradient is freed at once.

    (Lv et al. 2024, LOMO, §3.1.) The norm of the whole gradient is known too late to limit it:
    `clip` limits the gradient of each weight by itself. Of several micro-batches only the last
    one's backward pass updates; the gradients of the others are kept in float32 until then.
    """

    def __init__(self, module: nn.Module, asked: Asked, start: Start = None) -> None:
        self._weights = {n: w for n, w in module.named_parameters() if w.requires_grad}
        optimizers = OPTIMIZERS[asked.optimizer](
            self._weights, embedding_names(module), asked.weight_decay
        )
        self._optimizers = [_single(optimizer) for optimizer in optimizers]
        self._rule_of = {
            weight: optimizer
            for optimizer in self._optimizers
            for group in optimizer.param_groups
            for weight in group["params"]
        }
        self._pulls = _pulls(self._weights, asked, start)
        self._clip = asked.clip
        self._kept: dict[nn.Parameter, torch.Tensor] = {}
        self._count = self._squares = 0.0
        self._last = self.spoilt = False
        for weight in self._weights.values():
            weight.register_post_accumulate_grad_hook(self._arrived)

    def begin(self, rate: float) -> None:
        self._count = self._squares = 0.0
        self._last = False
        set_rate(self._optimizers, rate)
        self._pulls.begin(rate)

    def backward(self, loss: LossSum, last: bool) -> None:
        self._count += loss.count
        self._last = last
        if last and not self._count:
            raise NotFinite(math.nan)
        loss.sum.backward()

    def finish(self) -> float:
        for weight in list(self._kept):  # weights that the last micro-batch did not touch
            self._update(weight, self._kept.pop(weight))
        self.spoilt = False
        # Blocks freed between those that stay would hold their pages for good: 6 % of the peak.
        trim()
        return math.sqrt(self._squares)

    def drop(self) -> None:
        self._kept.clear()
        for weight in self._weights.values():
            weight.grad = None

    def evaluated(self) -> AbstractContextManager[None]:
        return nullcontext()

    def settle(self) -> None:
        """No rule that averages works here."""

    def weights(self) -> Tensors:
        return {name: weight.detach() for name, weight in self._weights.items()}

    def state(self) -> Tensors:
        return state_tensors(self._optimizers)

    def load_weights(self, tensors: Mapping[str, torch.Tensor]) -> None:
        with torch.no_grad():
            for name, tensor in tensors.items():
                self._weights[name].copy_(tensor)

    def load_state(self, tensors: Mapping[str, torch.Tensor]) -> None:
        load_state(self._optimizers, tensors)

    def _arrived(self, weight: torch.Tensor) -> None:
        """The gradient of `weight` of one micro-batch is whole."""
        assert isinstance(weight, nn.Parameter)
        gradient, weight.grad = weight.grad, None
        assert gradient is not None
        if weight in self._kept:
            gradient = self._kept[weight].add_(gradient)
        if not self._last:
            self._kept[weight] = gradient.float()
            return
        self._kept.pop(weight, None)
        self._update(weight, gradient)

    def _update(self, weight: nn.Parameter, gradient: torch.Tensor) -> None:
        before, self.spoilt = self.spoilt, True
        try:
            norm = self._rule_of[weight].update(
                weight, gradient, 1 / self._count, self._clip, self._pulls.of(weight)
            )
        except NotFinite:
            self.spoilt = before
            raise
        self._squares += norm * norm


def _pulls(weights: Mapping[str, nn.Parameter], asked: Asked, start: Start) -> Pulls:
    """Of what is updated. Where something is to pull, a start is given: a slip of ours if not."""
    if not asked.decay_to_base:
        return Pulls(0.0, {})
    assert start is not None
    return Pulls(asked.decay_to_base, {weight: start[name] for name, weight in weights.items()})


def _length(gradients: Iterable[torch.Tensor]) -> float:
    """The norm of all of them together, in float32 whatever they are in."""
    norms = [torch.linalg.vector_norm(g, dtype=torch.float32) for g in gradients]
    return float(torch.stack(norms).norm()) if norms else 0.0


def _single(optimizer: Optimizer) -> WeightByWeight:
    """One that updates a weight at a time; the recipe allows no other here."""
    assert isinstance(optimizer, WeightByWeight)
    return optimizer


UPDATES: dict[str, type[AfterBackward] | type[InsideBackward]] = {
    "normal": AfterBackward,
    "low": InsideBackward,
}
