"""The lines of methods: complete, and the refusals made from them."""

from __future__ import annotations

from typing import get_args

import pytest

from tunesmith.core.errors import RecipeError
from tunesmith.recipe import ModelSection, load
from tunesmith.recipe.methods import (
    INITS,
    LEFT_OUT,
    METHODS,
    NEEDS,
    InitName,
    MethodName,
    Need,
    owners,
    reason_against,
)


def test_each_name_has_a_line_and_each_line_names_keys_of_the_recipe() -> None:
    assert tuple(METHODS) == get_args(MethodName)
    assert tuple(INITS) == get_args(InitName)
    assert tuple(NEEDS) == get_args(Need)
    for method in METHODS.values():
        assert set(method.keys) <= set(ModelSection.model_fields)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"model.method": "full", "model.from_scratch": True, "engine.schedule": "rewarm"},
            "engine.schedule=rewarm warms up again what was trained before, and model.from_scratch "
            "starts from random weights. Set engine.schedule=cosine, or leave model.from_scratch "
            "out.",
        ),
        (
            {"model.method": "full", "model.dropout": 0.1},
            "model.dropout=0.1 is read by lora, rslora, dora, lora_plus, adalora and vera, and "
            "model.method is full. Set model.dropout=0.0, or another model.method.",
        ),
        (
            {"model.method": "dora", "model.init": "pissa"},
            "model.init=pissa is read by lora, rslora and lora_plus, and model.method is dora. Set "
            "model.init=default, or another model.method.",
        ),
        (
            {"model.virtual_tokens": 8},
            "model.virtual_tokens=8 is read by prompt_tuning and prefix_tuning, and model.method "
            "is lora. Set model.virtual_tokens=20, or another model.method.",
        ),
        (
            {"model.rate_ratio": 4.0},
            "model.rate_ratio=4.0 is read by lora_plus, and model.method is lora. Set "
            "model.rate_ratio=16.0, or another model.method.",
        ),
        (
            {"model.init": "orthogonal", "model.rank": 7},
            "model.init=orthogonal halves the rank, and model.rank is 7. Set an even model.rank.",
        ),
        (
            {"model.method": "prefix_tuning", "engine.activation_checkpointing": True},
            "engine.activation_checkpointing=true computes layers again without what stands before "
            "the sequence, which is what model.method=prefix_tuning trains. Set it to false, or "
            "set model.method=prompt_tuning.",
        ),
        (
            {"model.method": "prompt_tuning", "objective.kind": "tag"},
            "model.method=prompt_tuning learns what stands before each row of a model that writes, "
            "and objective.kind=tag trains one that does not: its rows lie end to end or are "
            "images, where nothing can stand before each. Set model.method=ia3 or vera, which "
            "train as few numbers, or lora.",
        ),
        (
            {"model.method": "head", "objective.kind": "embed"},
            "model.method=head trains a head, and objective.kind=embed has none: what a text is "
            "told by is the body's own states. Set model.method=lora, full or last_layers.",
        ),
        (
            {"model.method": "vera", "engine.optimizer": "muon"},
            "engine.optimizer=muon is for hidden matrices, and model.method=vera trains none. Set "
            "engine.optimizer=adamw, or another model.method.",
        ),
        (
            {"model.method": "adalora", "engine.optimizer": "schedule_free"},
            "engine.optimizer=schedule_free keeps an average of the weights, and "
            "model.method=adalora sets some of them to zero, which an average would undo. Set "
            "engine.optimizer=adamw, or model.method=lora.",
        ),
        (
            {"model.method": "last_layers", "model.quantize": "nf4"},
            "model.quantize=nf4 holds the base's weights in 4 bits, which can be neither trained "
            "nor saved, and model.method=last_layers saves a whole model. Set model.method=lora, "
            "or model.quantize=none.",
        ),
        (
            {"model.method": "oft", "model.quantize": "nf4"},
            "model.quantize=nf4 holds linear layers in 4 bits, and PEFT cannot put "
            "model.method=oft on such. Set model.method=lora, or model.quantize=none.",
        ),
        (
            {"model.init": "pissa", "model.quantize": "nf4"},
            "model.quantize=nf4 holds the base's weights in 4 bits, and model.init=pissa begins "
            "with parts of the weights as they were. Set model.init=default, or "
            "model.quantize=none.",
        ),
        (
            {"objective.kind": "image", "model.quantize": "nf4"},
            "model.quantize=nf4 is for models that read text, and objective.kind is image. Set "
            "model.quantize=none.",
        ),
        (
            {"model.method": "dora", "evaluate.most_forgetting": 0.05},
            "evaluate.most_forgetting chooses the strength of what was trained, and what "
            "model.method=dora adds cannot be scaled. Leave it out, or set model.method=lora.",
        ),
    ],
)
def test_what_does_not_go_with_a_method_is_refused(
    settings: dict[str, object], sentence: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        load(None, (), settings)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("name", LEFT_OUT)
def test_a_known_name_that_is_left_out_is_told_what_to_use_instead(name: str) -> None:
    key = "model.init" if name in ("eva", "loftq") else "model.method"
    with pytest.raises(RecipeError) as caught:
        load(None, [f"{key}={name}"])
    assert str(caught.value).endswith(LEFT_OUT[name])
    assert f"{key}={name}" in LEFT_OUT[name]


def test_a_base_that_lacks_something_is_told_a_method_that_does_without() -> None:
    assert reason_against("bias", "default", "biases", "b (LlamaForCausalLM)") == (
        "b (LlamaForCausalLM) has no bias vectors, so model.method=bias cannot train it. Use "
        "model.method=lora."
    )
    assert reason_against("lora", "olora", "linear_only", "b").endswith("Use model.init=pissa.")


def test_owners_are_those_that_read_a_key() -> None:
    assert owners("alpha") == ("lora", "rslora", "dora", "lora_plus", "adalora")
