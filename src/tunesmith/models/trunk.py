"""The frozen part of a model, computed once per sequence and kept.

Where only upper layers, late adapters or the head are trained, what lies below gives a sequence the
same states in every epoch. `TrunkForward` computes them when a sequence is first met, keeps them,
and from then on runs the trained part only, for training and validation alike.

States are kept as they were computed in the batch where their sequence was first met; a resumed run
that meets the first epoch's batches again (`refill`) therefore has the same bits. `open_trunk`
takes this path only for a model that has just shown, on a probe, that it gives the plain path's
logits and gradients.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from transformers import PreTrainedModel

from tunesmith.core.batch import Batch
from tunesmith.models.encoder_decoder import AnyEncoderDecoder
from tunesmith.models.forward import (
    Forward,
    FullLogitsForward,
    LinearHead,
    PackedForward,
    evened,
    probe,
)
from tunesmith.models.open import Base, decoder_layers, text_body
from tunesmith.models.prompted import PromptedForward
from tunesmith.models.seeing import SeeingForward
from tunesmith.models.trunk_cuts import Cut, LayerCut, SiteCut
from tunesmith.models.trunk_store import Budget, NoTrunk, TrunkStore, make_store


class TrunkForward:
    """A SiteModel that computes the frozen part of `inner`'s model once per sequence.

    A batch of sequences that are not kept, and for which there is no room, takes `inner`'s way.
    """

    def __init__(self, inner: Forward, cut: Cut, store: TrunkStore) -> None:
        self.name = f"{inner.name}, frozen part kept"
        self._inner = inner
        self._cut = cut
        self._store = store

    def hidden_at_sites(self, batch: Batch) -> torch.Tensor:
        """Last hidden states at the batch's sites, shape (S, D)."""
        batch = evened(batch)
        pieces = self._cut.pieces(batch)
        if missing := self._store.missing(pieces):
            if not self._store.has_room(missing):
                return self._inner.hidden_at_sites(batch)
            self._store.put(missing, self._cut.frozen(batch))
        states_RD = self._store.gather(pieces, self._cut.rows(batch))
        return self._cut.finish(batch, states_RD.to(batch.tokens_T.device))

    def head(self, hidden_SD: torch.Tensor) -> torch.Tensor:
        """Logits, shape (S, V)."""
        return self._inner.head(hidden_SD)

    @property
    def linear_head(self) -> LinearHead | None:
        """Weight and bias, where the head is nothing but that linear map."""
        return self._inner.linear_head

    def refill(self, batches: Iterable[Batch]) -> None:
        """Forget all states; keep those of `batches`, in the order in which they were first met."""
        self._store.clear()
        for batch in map(evened, batches):
            missing = self._store.missing(self._cut.pieces(batch))
            if missing and self._store.has_room(missing):
                self._store.put(missing, self._cut.frozen(batch))


@dataclass(frozen=True, slots=True)
class Trunk:
    """How the frozen part of a model is run.

    `forward` is None where the plain path is taken; `note` is a sentence for the user, empty where
    nothing is frozen that could be kept.
    """

    forward: TrunkForward | None
    note: str
    place: str = ""
    bytes: int = 0


def open_trunk(base: Base, *, tokens: int, sites: int, budget: Budget) -> Trunk:
    """Prepare to keep frozen states of so many tokens or sites, if model and budget allow it.

    `base` is as its method left it: what requires a gradient is trained.
    """
    if isinstance(base.forward, PromptedForward | SeeingForward):
        # What is learned stands below all that is frozen; or pictures are read in every epoch.
        return Trunk(None, "")
    if isinstance(base.forward, AnyEncoderDecoder):
        return Trunk(None, _not_cut(base.model))
    try:
        cut = _cut(base.model, base.forward)
        if cut is None:
            return Trunk(None, "")
        width, dtype = _prove(base.model, base.forward, cut)
        store = make_store(tokens if cut.unit == "token" else sites, width, dtype, budget)
    except NoTrunk as reason:
        return Trunk(None, f"The frozen part of the model is run in every epoch: {reason}.")
    return Trunk(
        TrunkForward(base.forward, cut, store),
        "The frozen part of the model is run once per example; its states, "
        f"{store.bytes / 1e6:,.1f} MB, are kept "
        + ("in memory." if store.place == "memory" else f"in a file in {budget.folder}."),
        store.place,
        store.bytes,
    )


def _not_cut(model: PreTrainedModel) -> str:
    """What is said of a frozen encoder beside a decoder: "" where it is trained, too."""
    if any(weight.requires_grad for weight in model.get_encoder().parameters()):
        return ""
    return (
        "The frozen part of the model is run in every epoch: "
        f"{type(model).__name__} has an encoder beside its decoder, which is not cut."
    )


def _cut(model: PreTrainedModel, inner: Forward) -> Cut | None:
    """The highest cut below which nothing is trained; None if all layers are.

    Raises NoTrunk where the model's path has no such cut.
    """
    trained = {id(weight) for weight in model.parameters() if weight.requires_grad}
    if not any(id(weight) in trained for weight in model.base_model.parameters()):
        if isinstance(inner, FullLogitsForward):
            raise NoTrunk(f"the logits of {type(model).__name__} are more than a linear head")
        return SiteCut(model, inner)
    owners = [
        index
        for index, layer in enumerate(_layers(model))
        if any(id(weight) in trained for weight in layer.parameters())
    ]
    if not owners or owners[0] == 0:
        return None
    if not isinstance(inner, PackedForward):
        raise NoTrunk(f"{type(model).__name__} takes the {inner.name} path, which is not cut")
    return LayerCut(model, inner, owners[0])


def _layers(model: PreTrainedModel) -> Sequence[nn.Module]:
    """The decoder layers, or none where they stand in no list that could be cut."""
    count = getattr(model.config.get_text_config(), "num_hidden_layers", None)
    lists = [m for m in text_body(model).children() if isinstance(m, nn.ModuleList)]
    return list(decoder_layers(model)) if any(len(each) == count for each in lists) else []


def _prove(model: PreTrainedModel, inner: Forward, cut: Cut) -> tuple[int, torch.dtype]:
    """Width and type of the states at the cut. Raises NoTrunk unless cutting changes nothing."""
    batch = evened(probe(model))
    if any(_is_random(module) for module in cut.frozen_modules()):
        raise NoTrunk("it has dropout, so that its states differ from one epoch to the next")
    training = model.training
    model.eval()
    try:
        states_RD = cut.frozen(batch)
        wanted = _outcome(model, inner.head(inner.hidden_at_sites(batch)))
        given = _outcome(model, inner.head(cut.finish(batch, states_RD)))
        model.train()
        steady = torch.equal(states_RD, cut.frozen(batch))
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError):
        raise NoTrunk(f"the code of {type(model).__name__} cannot be run in parts") from None
    finally:
        model.train(training)
    if not steady or not all(map(_same, given, wanted)):
        raise NoTrunk(f"run in parts, {type(model).__name__} gives other results than as a whole")
    return states_RD.shape[-1], states_RD.dtype


def _is_random(module: nn.Module) -> bool:
    """Whether it drops anything out in training: as a Dropout, or by a rate it reads itself."""
    if isinstance(module, nn.Dropout):
        return module.p > 0
    rates = [value for name, value in vars(module).items() if "drop" in name]
    return any(isinstance(rate, float) and rate > 0 for rate in rates)


def _outcome(model: PreTrainedModel, logits_SV: torch.Tensor) -> list[torch.Tensor | None]:
    """The logits, and the gradient of a smooth function of them for each trained weight."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    loss = logits_SV.float().logsumexp(-1).square().sum()
    return [logits_SV, *torch.autograd.grad(loss, weights, allow_unused=True)]


def _same(left: torch.Tensor | None, right: torch.Tensor | None) -> bool:
    """Equal but for rounding, in the Euclidean norm; a weight without gradient has none."""
    if left is None or right is None:
        return left is right
    tolerance = 1e-5 if right.dtype == torch.float32 else 1e-2
    error = (left.float() - right.float()).norm()
    return bool(error <= tolerance * right.float().norm())
