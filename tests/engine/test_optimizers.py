"""Which rule moves which weight, and state that survives a round trip bitwise."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.optim import AdamW, Muon, Optimizer

from tests.support import opened
from tunesmith.engine.optimizers import (
    OPTIMIZERS,
    embedding_names,
    load_state,
    set_rate,
    split_rates,
    state_tensors,
)

HERE = [rule for rule in OPTIMIZERS if rule != "adamw_8bit" or find_spec("bitsandbytes")]
"""Those whose libraries are installed; the extra `quantised` is not in `dev`."""


@pytest.fixture
def module(tiny_base: Path) -> nn.Module:
    return opened(tiny_base).module


def _made(rule: str, module: nn.Module) -> list[Optimizer]:
    weights = dict(module.named_parameters())
    optimizers = OPTIMIZERS[rule](weights, embedding_names(module), 0.1)
    set_rate(optimizers, 1e-3)
    return optimizers


def _step(optimizers: list[Optimizer], module: nn.Module, seed: int) -> None:
    torch.manual_seed(seed)
    for weight in module.parameters():
        weight.grad = torch.randn_like(weight)
    for optimizer in optimizers:
        optimizer.step()


def _names(module: nn.Module, optimizers: list[Optimizer], kind: type, decay: float) -> set[str]:
    names = {id(weight): name for name, weight in module.named_parameters()}
    return {
        names[id(weight)]
        for optimizer in optimizers
        if isinstance(optimizer, kind)
        for group in optimizer.param_groups
        if group["weight_decay"] == decay
        for weight in group["params"]
    }


@pytest.mark.parametrize("rule", HERE)
def test_every_weight_is_moved_once_and_norms_do_not_decay(rule: str, module: nn.Module) -> None:
    optimizers = _made(rule, module)
    owned = [id(w) for o in optimizers for group in o.param_groups for w in group["params"]]
    assert sorted(owned) == sorted(id(weight) for weight in module.parameters())
    norms = {name for name, _ in module.named_parameters() if "norm" in name}
    assert len(norms) == 7
    assert _names(module, optimizers, Optimizer, 0.0) == norms


def test_muon_has_hidden_matrices_and_never_the_embedding(module: nn.Module) -> None:
    optimizers = _made("muon", module)
    hidden = _names(module, optimizers, Muon, 0.1)
    assert len(hidden) == 3 * 7
    assert all(".layers." in name for name in hidden)
    assert "model.embed_tokens.weight" in _names(module, optimizers, AdamW, 0.1)


@pytest.mark.parametrize("rule", HERE)
def test_state_comes_back_bitwise(
    rule: str, module: nn.Module, tiny_base: Path, tmp_path: Path
) -> None:
    """Two steps, saved, loaded into new optimisers, one more: as three steps in one life."""
    one, other = _made(rule, module), opened(tiny_base).module
    for seed in (1, 2):
        _step(one, module, seed)
    save_file(state_tensors(one), tmp_path / "state.safetensors")
    other.load_state_dict(module.state_dict())
    two = _made(rule, other)
    load_state(two, load_file(tmp_path / "state.safetensors"))
    for optimizers, weights in ((one, module), (two, other)):
        _step(optimizers, weights, 3)
    for name, weight in module.named_parameters():
        assert torch.equal(weight, other.get_parameter(name)), name


@pytest.mark.parametrize("rule", HERE)
def test_named_weights_learn_at_a_multiple_of_the_rate(rule: str, module: nn.Module) -> None:
    optimizers, weights = _made(rule, module), dict(module.named_parameters())
    before = {
        id(w): g["weight_decay"] for o in optimizers for g in o.param_groups for w in g["params"]
    }
    faster = {name: 16.0 for name in weights if "q_proj" in name or "norm" in name}
    split_rates(optimizers, weights, faster | {"of no weight": 2.0})
    set_rate(optimizers, 1e-3)
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    found = {id(weight): group for group in groups for weight in group["params"]}
    assert len(found) == len(weights) == sum(len(group["params"]) for group in groups)
    for name, weight in weights.items():
        assert found[id(weight)]["lr"] == (16e-3 if name in faster else 1e-3)
        assert found[id(weight)]["weight_decay"] == before[id(weight)]
