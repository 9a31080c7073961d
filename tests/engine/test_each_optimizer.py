"""Every optimiser of the table: its paper's update, size, resumption, accumulation, learning."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.support import SETTINGS, Recorder, examples, loop_over, opened, weights_of
from tunesmith.core.errors import Unsupported
from tunesmith.engine import masters as masters_module
from tunesmith.engine.checkpoints import Checkpoints
from tunesmith.engine.factored import join
from tunesmith.engine.loop import Settings
from tunesmith.engine.optimizers import OPTIMIZERS, embedding_names, set_rate, state_tensors
from tunesmith.engine.stopping import StopRequest
from tunesmith.recipe.optimizers import RULES, galore_rank, state_bytes

needs_bitsandbytes = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None, reason="the extra quantised is not installed"
)
KEYS = [
    pytest.param(key, marks=needs_bitsandbytes if rule.library == "bitsandbytes" else ())
    for key, rule in RULES.items()
]
LOW = [param for param in KEYS if RULES[str(param.values[0])].low]
SHAPE = (12, 8)
RATE, DECAY = 1e-2, 0.1


def _settings(key: str, **changes: Any) -> Settings:
    rate = 3e-3 * RULES[key].rate
    settings = replace(SETTINGS, optimizer=key, learning_rate=rate, schedule="constant")
    return replace(settings, **changes)


def _moved(key: str, start: torch.Tensor, gradients: Sequence[torch.Tensor]) -> torch.Tensor:
    """`start` after one step for each gradient."""
    weight = nn.Parameter(start.clone())
    optimizers = OPTIMIZERS[key]({"weight": weight}, set(), DECAY)
    set_rate(optimizers, RATE)
    for gradient in gradients:
        weight.grad = gradient.clone()
        for optimizer in optimizers:
            optimizer.step()
    return weight.detach()


def _adamw(start: torch.Tensor, gradients: Sequence[torch.Tensor]) -> torch.Tensor:
    first, second, weight = torch.zeros_like(start), torch.zeros_like(start), start
    for t, gradient in enumerate(gradients, start=1):
        first = 0.9 * first + 0.1 * gradient
        second = 0.95 * second + 0.05 * gradient**2
        step = first / (1 - 0.9**t) / ((second / (1 - 0.95**t)).sqrt() + 1e-8)
        weight = weight - RATE * DECAY * weight - RATE * step
    return weight


def _adafactor(start: torch.Tensor, gradients: Sequence[torch.Tensor]) -> torch.Tensor:
    """Shazeer and Stern 2018, algorithm 4 with the steps of algorithm 5."""
    rows, columns, weight = torch.zeros(SHAPE[0]), torch.zeros(SHAPE[1]), start
    for t, gradient in enumerate(gradients, start=1):
        size = max(1e-3, float(weight.square().mean().sqrt())) * min(RATE, 1 / math.sqrt(t))
        beta = 1 - t**-0.8
        rows = beta * rows + (1 - beta) * gradient.square().mean(1)
        columns = beta * columns + (1 - beta) * gradient.square().mean(0)
        step = gradient / (rows[:, None] * columns / rows.mean()).sqrt()
        step = step / max(1.0, float(step.square().mean().sqrt()))
        weight = weight - RATE * DECAY * weight - size * step
    return weight


def _lion(start: torch.Tensor, gradients: Sequence[torch.Tensor]) -> torch.Tensor:
    """Chen et al. 2023, algorithm 2."""
    momentum, weight = torch.zeros_like(start), start
    for gradient in gradients:
        step = torch.sign(0.9 * momentum + 0.1 * gradient)
        momentum = 0.99 * momentum + 0.01 * gradient
        weight = weight - RATE * (step + DECAY * weight)
    return weight


def _schedule_free(start: torch.Tensor, gradients: Sequence[torch.Tensor]) -> torch.Tensor:
    """Defazio et al. 2024, algorithm 1 at a constant rate; the weights trained are y."""
    second, x, y, z = torch.zeros_like(start), start, start, start
    for t, gradient in enumerate(gradients, start=1):
        second = 0.999 * second + 0.001 * gradient**2
        step = gradient / ((second / (1 - 0.999**t)).sqrt() + 1e-8) + DECAY * y
        z = z - RATE * step
        x = (1 - 1 / t) * x + z / t
        y = 0.1 * z + 0.9 * x
    return y


def _galore(start: torch.Tensor, gradients: Sequence[torch.Tensor]) -> torch.Tensor:
    """Zhao et al. 2024, algorithm 2: SHAPE is tall, so it is projected from the right."""
    rank = galore_rank(SHAPE)
    basis = torch.linalg.svd(gradients[0], full_matrices=False).Vh[:rank]
    first, second, weight = torch.zeros(SHAPE[0], rank), torch.zeros(SHAPE[0], rank), start
    for t, gradient in enumerate(gradients, start=1):
        small = gradient @ basis.T
        first = 0.9 * first + 0.1 * small
        second = 0.999 * second + 0.001 * small**2
        step = first / (1 - 0.9**t) * math.sqrt(1 - 0.999**t) / (second.sqrt() + 1e-8)
        weight = weight - RATE * 2.0 * step @ basis  # √(8 / 2) brings it to AdamW's size
        weight = weight - RATE * DECAY * weight
    return weight


@pytest.mark.parametrize("rule", [_adamw, _adafactor, _lion, _schedule_free, _galore])
def test_it_moves_weights_as_its_paper_says(rule: Any) -> None:
    torch.manual_seed(0)
    start, gradients = torch.randn(SHAPE), [torch.randn(SHAPE) for _ in range(3)]
    found = _moved(rule.__name__[1:], start, gradients)
    torch.testing.assert_close(found, rule(start, gradients), atol=2e-6, rtol=0)


@needs_bitsandbytes
def test_eight_bits_are_adamw_up_to_their_rounding() -> None:
    torch.manual_seed(0)
    start, gradients = torch.randn(96, 64), [torch.randn(96, 64) for _ in range(3)]
    wanted = _adamw(start, gradients)
    error = (_moved("adamw_8bit", start, gradients) - wanted).norm() / (wanted - start).norm()
    assert 0 < float(error) < 0.05


def test_muon_makes_all_singular_values_alike() -> None:
    """Newton-Schulz brings them near 1 (Jordan et al. 2024); 0.2 √(larger side) is AdamW's size."""
    torch.manual_seed(0)
    moved = _moved("muon", torch.zeros(SHAPE), [torch.randn(SHAPE)])
    values = torch.linalg.svdvals(moved) / (RATE * 0.2 * math.sqrt(max(SHAPE)))
    assert 0.6 < float(values.min()) <= float(values.max()) < 1.3


@pytest.mark.parametrize("key", KEYS)
def test_its_state_has_the_size_that_the_table_says(key: str) -> None:
    module = nn.ModuleDict(
        {"embed": nn.Embedding(300, 64), "up": nn.Linear(64, 256), "down": nn.Linear(256, 64)}
    )
    weights, embeddings = dict(module.named_parameters()), embedding_names(module)
    optimizers = OPTIMIZERS[key](weights, embeddings, DECAY)
    for weight in weights.values():
        weight.grad = torch.randn_like(weight)
    for optimizer in optimizers:
        optimizer.step()
    found = sum(t.numel() * t.element_size() for t in state_tensors(optimizers).values())
    assert found == sum(
        state_bytes(RULES[key], tuple(w.shape), w.ndim == 2 and name not in embeddings)
        for name, w in weights.items()
    )


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("memory", ["normal", "low"])
def test_a_resumed_run_has_the_same_bits(
    tiny_base: Path, tmp_path: Path, key: str, memory: str
) -> None:
    """In bfloat16, where the model's own weights do not show all that is trained."""
    if memory == "low" and not RULES[key].low:
        pytest.skip("refused by the recipe")
    settings = _settings(key, memory=memory, checkpoint_every=2, validate_every=2, keep_best=True)
    ended = []
    for step in (None, 4):
        tuned = opened(tiny_base, dtype="bfloat16")
        losses = iter([3.0, 2.0, 1.0] if step is None else [1.0])
        loop = loop_over(
            tuned, examples(24), tmp_path, settings, validate=lambda losses=losses: next(losses)
        )
        if step is not None:
            loop.resume(Checkpoints(tmp_path, 2).load(step))
        loop.run(StopRequest())
        saved = Checkpoints(tmp_path, 2).load(6)
        groups = {f"{g}/{n}": t for g in saved.groups for n, t in saved.groups[g].items()}
        ended.append(weights_of(tuned.module) | groups)
    assert ended[0].keys() == ended[1].keys()
    assert all(torch.equal(ended[0][name], ended[1][name]) for name in ended[0])


@pytest.mark.parametrize("key", KEYS)
def test_accumulation_changes_no_update_and_the_loss_falls(
    tiny_base: Path, tmp_path: Path, key: str
) -> None:
    """1 × 8 ≡ 8 × 1, up to rounding that may turn the sign of a gradient near zero."""
    settings, ended = _settings(key, total_steps=8), []
    before = weights_of(opened(tiny_base).module)
    for budget in (10_000, 1):
        tuned, told = opened(tiny_base), Recorder()
        loop = loop_over(
            tuned, examples(8), tmp_path / str(budget), settings, budget=budget, watcher=told
        )
        loop.run(StopRequest())
        assert told.losses[-1] < told.losses[0] - 0.1
        ended.append(weights_of(tuned.module))
    apart = sum(float((ended[0][name] - ended[1][name]).abs().sum()) for name in before)
    moved = sum(float((ended[0][name] - before[name]).abs().sum()) for name in before)
    assert apart < 5e-3 * moved


@pytest.mark.parametrize("key", KEYS)
def test_portions_of_weights_are_one_step(
    tiny_base: Path, tmp_path: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rule that counted its steps by group would count each portion."""
    ended = []
    for portion in (1 << 24, 1):
        monkeypatch.setattr(masters_module, "PORTION", portion)
        tuned = opened(tiny_base)
        loop_over(tuned, examples(8), tmp_path / str(portion), _settings(key)).run(StopRequest())
        ended.append(weights_of(tuned.module))
    assert all(torch.equal(ended[0][name], ended[1][name]) for name in ended[0])


@pytest.mark.parametrize("key", LOW)
def test_a_bfloat16_weight_moves_as_exactly_as_a_float32_one(key: str) -> None:
    """One weight at a time, by updates far below the precision of bfloat16."""
    torch.manual_seed(0)
    start = torch.randn(96, 64).bfloat16()
    gradients = [torch.randn(96, 64) for _ in range(4)]
    ended = []
    for dtype in (torch.float32, torch.bfloat16):
        weight = nn.Parameter(start.to(dtype))
        (optimizer,) = OPTIMIZERS[key]({"weight": weight}, set(), 0.0)
        set_rate([optimizer], 1e-5)
        for gradient in gradients:
            optimizer.update(weight, gradient)  # type: ignore[attr-defined]
        low = optimizer.state[weight].get("low")
        ended.append(weight.detach() if low is None else join(weight.detach(), low))
    torch.testing.assert_close(ended[0], ended[1], atol=1e-7, rtol=0)
    assert not torch.equal(ended[0], start.float())


@pytest.mark.parametrize("key", ["muon", "galore"])
def test_vectors_alone_are_refused(key: str) -> None:
    with pytest.raises(Unsupported, match=r"hidden matrices, and none is trained.*optimizer=adamw"):
        OPTIMIZERS[key]({"bias": nn.Parameter(torch.zeros(4))}, set(), 0.0)
