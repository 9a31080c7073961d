"""Where a model is cut into a frozen part, computed once, and a trained part, computed each time.

    LayerCut   below the first layer that is trained or adapted; kept: a state a token, T a batch
    SiteCut    below the head; kept: a state a site, S a batch

A cut says which rows of a batch belong to which sequence (`pieces`), computes the frozen part
(`frozen`), and goes on from it (`finish`). No code of transformers is edited: `LayerCut` runs
shallow copies of the model's body in which stand-ins take the places of layers.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from tunesmith.core.batch import Batch, path
from tunesmith.models.forward import Forward, PackedForward
from tunesmith.models.open import decoder_layers, text_body
from tunesmith.models.trunk_store import Piece


class Cut(Protocol):
    """R is the number of rows that a batch has at the cut: T or S."""

    unit: str

    def frozen_modules(self) -> Iterator[nn.Module]:
        """Every module that runs below the cut."""
        ...

    def rows(self, batch: Batch) -> int:
        """R."""
        ...

    def pieces(self, batch: Batch) -> list[Piece]:
        """The sequences of a batch, and the rows that are theirs: all that a loss can read."""
        ...

    def frozen(self, batch: Batch) -> torch.Tensor:
        """The states at the cut, (R, D), computed without a graph."""
        ...

    def finish(self, batch: Batch, states_RD: torch.Tensor) -> torch.Tensor:
        """The last hidden states at the batch's sites, (S, D), from those at the cut."""
        ...


class SiteCut:
    """The body is frozen and the head is trained: last hidden states at sites are kept."""

    unit = "site"

    def __init__(self, model: PreTrainedModel, inner: Forward) -> None:
        self._body = model.base_model
        self._inner = inner

    def frozen_modules(self) -> Iterator[nn.Module]:
        """The whole body."""
        return self._body.modules()

    def rows(self, batch: Batch) -> int:
        """S."""
        return len(batch.sites_S)

    def pieces(self, batch: Batch) -> list[Piece]:
        """One a sequence, known by its tokens up to its last site, and by where its sites are."""
        return [
            Piece(_key(sequence.tokens_N, sequence.positions_M), sequence.sites_M)
            for sequence in _sequences(batch)
        ]

    @torch.no_grad()
    def frozen(self, batch: Batch) -> torch.Tensor:
        """What the body gives."""
        return self._inner.hidden_at_sites(batch)

    def finish(self, batch: Batch, states_RD: torch.Tensor) -> torch.Tensor:
        """Nothing is left to do before the head."""
        return states_RD


class LayerCut:
    """Layers below `first` are frozen: the states that enter it are kept."""

    unit = "token"

    def __init__(self, model: PreTrainedModel, inner: PackedForward, first: int) -> None:
        body, layers = text_body(model), decoder_layers(model)
        self._handed = _Handed()
        given = [_Given(layer, self._handed) for layer in layers[:first]]
        taken = [_Taken(layer, self._handed) for layer in layers[first:]]
        self._frozen = inner.with_body(_with_layers(body, layers, [*layers[:first], *taken]))
        self._trained = inner.with_body(_with_layers(body, layers, [*given, *layers[first:]]))
        self._above = {id(module) for layer in layers[first:] for module in layer.modules()}
        self._body = body

    def frozen_modules(self) -> Iterator[nn.Module]:
        """All of the body but the trained layers."""
        return (module for module in self._body.modules() if id(module) not in self._above)

    def rows(self, batch: Batch) -> int:
        """T."""
        return batch.tokens

    def pieces(self, batch: Batch) -> list[Piece]:
        """One a sequence, known by its tokens up to its last site. No loss reads what follows."""
        return [Piece(_key(sequence.tokens_N), sequence.path_N) for sequence in _sequences(batch)]

    @torch.no_grad()
    def frozen(self, batch: Batch) -> torch.Tensor:
        """What enters the first trained layer."""
        self._handed.states_1TD = None
        self._frozen.hidden_at_sites(batch)
        return self._handed.take()[0]

    def finish(self, batch: Batch, states_RD: torch.Tensor) -> torch.Tensor:
        """The trained layers, and what follows them up to the head."""
        self._handed.states_1TD = states_RD[None]
        hidden_SD = self._trained.hidden_at_sites(batch)
        self._handed.take()
        return hidden_SD


class _Handed:
    """What is handed from one part to the other during a call."""

    states_1TD: torch.Tensor | None = None

    def take(self) -> torch.Tensor:
        states, self.states_1TD = self.states_1TD, None
        assert states is not None
        return states


class _StandIn(nn.Module):
    """In the place of a layer that does not run. Whatever is asked of it, the layer answers."""

    def __init__(self, layer: nn.Module, handed: _Handed) -> None:
        super().__init__()
        self.layer = layer
        self.handed = handed

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("layer"), name)


class _Given(_StandIn):
    """In the place of a frozen layer: the kept states come out, whatever went in."""

    def forward(self, hidden: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor | None:
        return self.handed.states_1TD


class _Taken(_StandIn):
    """In the place of a trained layer: the first one notes what would enter it."""

    def forward(self, hidden: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        if self.handed.states_1TD is None:
            self.handed.states_1TD = hidden
        return hidden


def _with_layers(body: nn.Module, layers: nn.ModuleList, others: list[nn.Module]) -> nn.Module:
    """A shallow copy of `body` that runs `others` for its `layers` and shares all the rest."""
    part = copy.copy(body)
    part._modules = {
        name: nn.ModuleList(others) if module is layers else module
        for name, module in body._modules.items()
    }
    return part


class _Sequence(NamedTuple):
    """One sequence up to its last site, whatever segments its batch has laid it into.

    `path_N` are its places in T and `tokens_N` its tokens; `sites_M` are the places of its sites in
    S and `positions_M` where they stand in the sequence.
    """

    path_N: np.ndarray
    tokens_N: np.ndarray
    sites_M: np.ndarray
    positions_M: np.ndarray


def _sequences(batch: Batch) -> Iterator[_Sequence]:
    """The sequences that own sites, in the order of `owner_S`'s numbers."""
    tokens_T, positions_T = _numpy(batch.tokens_T), _numpy(batch.positions_T)
    sites_S, owner_S = _numpy(batch.sites_S), _numpy(batch.owner_S)
    starts = np.array([segment.start for segment in batch.segments])
    for owner in np.unique(owner_S):
        sites_M = np.flatnonzero(owner_S == owner)
        positions_M = positions_T[sites_S[sites_M]]
        last = int(sites_S[sites_M[positions_M.argmax()]])
        path_N = _up_to(batch, int(starts.searchsorted(last, "right")) - 1, last)
        yield _Sequence(path_N, tokens_T[path_N], sites_M, positions_M)


def _up_to(batch: Batch, index: int, last: int) -> np.ndarray:
    """Places in T of the tokens from the root to token `last`, which segment `index` holds."""
    *ancestors, own = path(batch.segments, index)
    runs = [np.arange(segment.start, segment.end) for segment in ancestors]
    return np.concatenate([*runs, np.arange(own.start, last + 1)])


def _key(*arrays: np.ndarray) -> bytes:
    """A name for these contents: equal ones, and in practice only they, have the same."""
    digest = blake2b(digest_size=16)
    for array in arrays:
        digest.update(len(array).to_bytes(8, "little"))
        digest.update(np.ascontiguousarray(array, dtype=np.int64).tobytes())
    return digest.digest()


def _numpy(array: Any) -> np.ndarray:
    """A batch's array, wherever it lies."""
    return np.asarray(array.cpu() if isinstance(array, torch.Tensor) else array)
