"""The model that is trained, in the parts that it plays: it answers, learns, and is the base."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from tunesmith.core.batch import Batch
from tunesmith.core.ports import SiteModel
from tunesmith.models.critic import ActorCritic
from tunesmith.models.methods import ADAPTER, Tuned


@dataclass(frozen=True, slots=True)
class Actor:
    """`tuned`, and where a critic learns beside it, both as one module.

    A method that trains the base's own weights has them remembered (`Tuned.remembering`), where the
    base is asked for.
    """

    tuned: Tuned
    critic: ActorCritic | None = None

    @property
    def module(self) -> nn.Module:
        """Holds all that is trained."""
        return self.tuned.module if self.critic is None else self.critic

    @property
    def forward(self) -> SiteModel:
        """The model as it is trained."""
        return self.tuned.base.forward if self.critic is None else self.critic

    @property
    def dtype(self) -> str:
        """Of its matrix products."""
        return str(self.tuned.base.model.dtype).removeprefix("torch.")

    @property
    def value(self) -> Callable[[Batch], torch.Tensor] | None:
        """What the critic expects at each site of a batch; None without one."""
        critic = self.critic
        if critic is None:
            return None
        return lambda batch: critic.value(critic.hidden_at_sites(batch))

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """Within, nothing is dropped out and nothing is differentiated."""
        training = self.module.training
        self.module.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            self.module.train(training)

    @contextmanager
    def as_base(self) -> Iterator[SiteModel]:
        """Within, it is the base: its adapter switched off, or its first weights put back."""
        if self.tuned.artefact == ADAPTER:
            with self.tuned.without() as plain:
                yield plain.forward
            return
        assert self.tuned.start is not None
        with self.tuned.start.restored():
            yield self.tuned.base.forward
