"""A base prepared for training, and how what was trained is saved."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import torch
from peft import PeftModel
from torch import nn
from transformers import PreTrainedModel

from tunesmith.core.ports import Revision
from tunesmith.models.methods.starts import save_adapter
from tunesmith.models.open import Base
from tunesmith.models.start import Start
from tunesmith.recipe.methods import InitName, MethodName

ADAPTER, MODEL = "adapter", "model"


class MethodSettings(Protocol):
    """The resolved `model` section of a recipe, as far as it is read here."""

    @property
    def method(self) -> MethodName: ...
    @property
    def init(self) -> InitName: ...
    @property
    def rank(self) -> int: ...
    @property
    def alpha(self) -> int: ...
    @property
    def dropout(self) -> float: ...
    @property
    def rate_ratio(self) -> float: ...
    @property
    def virtual_tokens(self) -> int: ...
    @property
    def layers(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Tuned:
    """A base prepared for training: only what is trained requires a gradient.

    `base` answers with what is trained, `plain` is the base as it was opened. `artefact` is
    "adapter" (PEFT's format) or "model" (a whole model folder). `rate_factors` names the weights
    whose learning rate is another, and how many times the run's it is. `start` are the trained
    weights as they were at first, where training needs them, `teacher` is whom it learns from.
    `revision` gives what the method does to its weights after each update, for a run of so many
    steps, and `penalty` a cost of the weights themselves, where it has one.
    """

    base: Base
    module: PreTrainedModel | PeftModel
    artefact: str
    plain: Base
    rate_factors: Mapping[str, float] = field(default_factory=dict)
    start: Start | None = None
    teacher: Base | None = None
    revision: Callable[[int], Revision] | None = None
    penalty: Callable[[], torch.Tensor] | None = None

    def remembering(self) -> Tuned:
        """The same, with its present weights for a start."""
        return replace(self, start=Start(self.module))

    @property
    def shares(self) -> bool:
        """Whether a batch may hold a prefix that sequences share once: all who read it can."""
        taught = self.teacher is None or self.teacher.forward.shares
        return self.base.forward.shares and taught

    def save(self, folder: Path) -> None:
        """Write weights and tokenizer; plain transformers (and PEFT) open the folder."""
        if isinstance(self.module, PeftModel):
            save_adapter(self.module, folder)
        else:
            self.module.save_pretrained(str(folder))
        self.base.described.save_reader(folder)

    def factors_in(self, model: nn.Module) -> dict[str, float]:
        """`rate_factors` under the names that their weights have in `model`, which holds them."""
        own = {id(weight): name for name, weight in self.module.named_parameters()}
        named = ((name, own.get(id(weight), "")) for name, weight in model.named_parameters())
        return {name: self.rate_factors[mine] for name, mine in named if mine in self.rate_factors}

    @property
    def trainable(self) -> int:
        """How many parameters are trained."""
        return sum(p.numel() for p in self.module.parameters() if p.requires_grad)

    @contextmanager
    def without(self) -> Iterator[Base]:
        """The base without its adapter, to the last bit, until the context ends.

        A new adapter adds nothing, or next to nothing; but virtual tokens answer as they began, and
        a start that moves the weights rounds. A method that trains the base's own weights has
        nothing to take away: before training, that is the base.
        """
        if not isinstance(self.module, PeftModel) or self.plain is not self.base:
            yield self.plain
            return
        trained = [weight for weight in self.module.parameters() if weight.requires_grad]
        with self.module.disable_adapter():
            yield self.base
        # PEFT lets all active adapters be trained again; a start is not.
        self.module.requires_grad_(False)
        for weight in trained:
            weight.requires_grad_(True)
