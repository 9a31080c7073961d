"""Fused modules equal the modules they stand for, keep no more than they say, and step aside."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import Linear as PeftLinear
from torch import nn
from transformers import GemmaConfig, LlamaConfig, LlamaForCausalLM
from transformers.models.gemma.modeling_gemma import GemmaMLP, GemmaRMSNorm
from transformers.models.llama.modeling_llama import LlamaMLP, LlamaRMSNorm

from tunesmith.models.fused import FusedLora, fuse, fuse_lora, fused_parts
from tunesmith.models.fused.gated import fused_gate
from tunesmith.models.fused.norm import fused_norm


class Two(nn.Module):
    """One linear layer with a bias and one without."""

    def __init__(self, linear: type[nn.Linear] = nn.Linear) -> None:
        super().__init__()
        self.first = linear(12, 20)
        self.second = linear(20, 8, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(x).tanh())


def adapted(fused: bool, base: nn.Module | None = None, dropout: float = 0.0) -> nn.Module:
    """`Two` with LoRA whose B is not zero; the same weights fused and not."""
    torch.manual_seed(0)
    base = base or Two()
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["first", "second"], lora_dropout=dropout)
    if fused:
        fuse_lora(config, base)
    model = get_peft_model(base, config)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(weight)
    return model


def results(forward: Callable[[torch.Tensor], torch.Tensor], module: nn.Module, x: torch.Tensor):
    """Output, gradient of the input, and gradients of all trained weights."""
    x = x.clone().requires_grad_()
    module.zero_grad()
    y = forward(x)
    torch.manual_seed(9)
    (y * torch.randn_like(y)).sum().backward()
    return [y.detach(), x.grad, *(w.grad for w in module.parameters() if w.grad is not None)]


def assert_same(left: list[torch.Tensor], right: list[torch.Tensor], tolerance: float) -> None:
    assert len(left) == len(right) > 2
    for a, b in zip(left, right, strict=True):
        assert a.dtype == b.dtype
        assert float((a - b).float().norm()) <= tolerance * float(b.float().norm())


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 0.02)])
def test_lora_equals_peft_in_output_and_every_gradient(dtype: torch.dtype, tolerance: float):
    x = torch.randn(2, 5, 12, generator=torch.Generator().manual_seed(1)).to(dtype)
    plain, fused = adapted(False).to(dtype), adapted(True).to(dtype)
    assert fused_parts(fused) == "2 adapters"
    assert_same(results(fused, fused, x), results(plain, plain, x), tolerance)


def test_lora_keeps_its_input_and_the_low_product_and_no_other_activation():
    layer = adapted(True).base_model.model.first
    x = torch.randn(7, 12, requires_grad=True)
    weights = {id(weight) for weight in layer.parameters()}
    kept: list[tuple[int, ...]] = []

    def note(tensor: torch.Tensor) -> torch.Tensor:
        if id(tensor) not in weights:
            kept.append(tuple(tensor.shape))
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        layer(x)
    assert sorted(kept) == [(7, 4), (7, 12)]


@pytest.mark.parametrize("state", ["merged", "disabled", "two", "dropout"])
def test_lora_in_other_states_is_pefts_own(state: str, monkeypatch: pytest.MonkeyPatch):
    x = torch.randn(3, 12, generator=torch.Generator().manual_seed(1))
    outputs = []
    for fused in (False, True):
        model = adapted(fused, dropout=0.5 if state == "dropout" else 0.0)
        if state == "merged":
            model.merge_adapter()
        elif state == "disabled":
            model.base_model.disable_adapter_layers()
        elif state == "two":
            model.add_adapter("other", LoraConfig(r=2, target_modules=["first"]))
            torch.manual_seed(4)
            nn.init.normal_(model.base_model.model.first.lora_A["other"].weight)
            nn.init.normal_(model.base_model.model.first.lora_B["other"].weight)
            model.base_model.set_adapter(["default", "other"])
        torch.manual_seed(5)
        outputs.append(model.train()(x))
    assert torch.allclose(*outputs, atol=1e-6)
    assert isinstance(model.base_model.model.first, FusedLora)


def test_lora_over_a_trained_weight_trains_it():
    model = adapted(True)
    layer = model.base_model.model.first
    layer.base_layer.weight.requires_grad_(True)
    model(torch.randn(3, 12)).sum().backward()
    assert layer.base_layer.weight.grad is not None


def test_quantised_layers_keep_pefts_own_choice():
    class Quantised(nn.Linear):
        pass

    model = adapted(True, Two(Quantised))
    assert type(model.base_model.model.first) is PeftLinear


def llama_norm() -> nn.Module:
    return LlamaRMSNorm(16, eps=1e-5)


def gemma_norm() -> nn.Module:
    return GemmaRMSNorm(16, eps=1e-6)


@pytest.mark.parametrize("make", [llama_norm, gemma_norm])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 0.02)])
def test_norm_equals_the_models_own(
    make: Callable[[], nn.Module], dtype: torch.dtype, tolerance: float
):
    torch.manual_seed(0)
    module = make()
    nn.init.normal_(module.weight, mean=0.5)
    module = module.to(dtype)
    fused = fused_norm(module)
    assert fused is not None
    x = (torch.randn(2, 5, 16) * 4).to(dtype)
    assert_same(results(fused, module, x), results(module, module, x), tolerance)


def test_a_norm_that_computes_something_else_is_left_alone():
    class Doubled(LlamaRMSNorm):
        def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
            return 2 * super().forward(hidden_states)

    assert fused_norm(Doubled(16)) is None
    assert fused_norm(nn.LayerNorm(16, bias=False)) is None
    assert fused_norm(nn.Linear(4, 4)) is None


@pytest.mark.parametrize("activation", ["silu", "gelu", "gelu_pytorch_tanh"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.02)])
def test_gated_layer_equals_the_models_own(activation: str, dtype: torch.dtype, tolerance: float):
    torch.manual_seed(0)
    if activation == "silu":
        module = LlamaMLP(LlamaConfig(hidden_size=16, intermediate_size=24, num_attention_heads=2))
    else:
        config = GemmaConfig(hidden_size=16, intermediate_size=24, hidden_activation=activation)
        config.hidden_act = activation
        module = GemmaMLP(config)
    module = module.to(dtype)
    fused = fused_gate(module)
    assert fused is not None
    x = (torch.randn(2, 5, 16) * 4).to(dtype)
    assert_same(results(fused, module, x), results(module, module, x), tolerance)


def feed_forward(dtype: torch.dtype = torch.float32) -> nn.Module:
    torch.manual_seed(0)
    config = LlamaConfig(hidden_size=16, intermediate_size=24, num_attention_heads=2, mlp_bias=True)
    return LlamaMLP(config).to(dtype)


@pytest.mark.parametrize("tuned", ["full", "lora", "lora with dropout"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.02)])
def test_gate_and_the_layer_below_in_one_equal_both(
    tuned: str, dtype: torch.dtype, tolerance: float
):
    """With every gradient: where the weight is trained, over an adapter, and over dropout."""
    found = []
    for fused in (True, False):
        module = feed_forward(dtype)
        if fused:
            fuse(module)
        if tuned != "full":
            config = LoraConfig(
                r=4, target_modules=["down_proj"], lora_dropout=0.5 if "dropout" in tuned else 0.0
            )
            if fused:
                fuse_lora(config, module)
            module = get_peft_model(module, config).train()
            torch.manual_seed(3)
            for name, weight in module.named_parameters():
                if "lora_B" in name:
                    nn.init.normal_(weight)
        x = (torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(2)) * 4).to(dtype)
        torch.manual_seed(6)
        found.append(results(module, module, x))
    assert_same(*found, tolerance)


def test_the_gated_product_is_not_kept():
    """Of the inner width only its two factors are, with an adapter below and without."""
    for adapted_below in (False, True):
        module = feed_forward()
        fuse(module)
        if adapted_below:
            config = LoraConfig(r=4, target_modules=["down_proj"])
            fuse_lora(config, module)
            module = get_peft_model(module, config)
        kept: list[int] = []

        def note(tensor: torch.Tensor, kept: list[int] = kept) -> torch.Tensor:
            if tensor.shape[-2:] == (7, 24):
                kept.append(tensor.data_ptr())
            return tensor

        x = torch.randn(1, 7, 16, requires_grad=True)
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            module(x)
        assert len(set(kept)) == 2


def test_a_hook_on_the_layer_below_is_called():
    module = feed_forward()
    fuse(module)
    seen: list[tuple[int, ...]] = []
    module.down_proj.register_forward_hook(lambda layer, args, y: seen.append(tuple(y.shape)))
    module(torch.randn(1, 3, 16))
    assert seen == [(1, 3, 16)]


def test_a_gated_layer_that_computes_something_else_is_left_alone():
    class Halved(LlamaMLP):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) / 2

    config = LlamaConfig(hidden_size=16, intermediate_size=24, num_attention_heads=2)
    assert fused_gate(Halved(config)) is None
    config.hidden_act = "relu"
    assert fused_gate(LlamaMLP(config)) is None


def test_a_fused_model_is_the_same_model():
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        vocab_size=50,
    )
    model = LlamaForCausalLM(config)
    fused = copy.deepcopy(model)
    fuse(fused)
    assert fused_parts(fused) == "5 norms, 2 gated layers"
    assert fused.state_dict().keys() == model.state_dict().keys()
    tokens = torch.arange(12)[None]
    for each in (model, fused):
        each(tokens, labels=tokens).loss.backward()
    for (name, wanted), weight in zip(model.named_parameters(), fused.parameters(), strict=True):
        assert torch.allclose(weight.grad, wanted.grad, atol=1e-6), name
