"""Bases in 4 bits: what they take, that all of an adapter learns beside them, saved and opened."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from peft import PeftModel
from torch import nn
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, PreTrainedModel

from tests.bases import save_llama
from tests.conftest import make_tokenizer
from tests.support import SETTINGS, Recorder, examples, loop_over, model_section, weights_of
from tunesmith.core import libraries
from tunesmith.core.errors import ModelError, Unsupported
from tunesmith.core.files import read_json, write_json
from tunesmith.engine.checkpoints import Checkpoints
from tunesmith.engine.stopping import StopRequest
from tunesmith.models.methods import Tuned, attach, reopen
from tunesmith.models.open import DTYPES, Base, describe, open_base
from tunesmith.models.quantised import (
    NF4_BITS,
    keep_differentiable,
    require_quantiser,
    saved_by_packing,
    weight_bytes,
    weight_count,
)
from tunesmith.recipe.methods import METHODS

ON_4_BITS = [name for name, each in METHODS.items() if each.quantised]
IDS = torch.arange(3, 40)[None]
STEPS = replace(SETTINGS, total_steps=4, checkpoint_every=2, validate_every=1, learning_rate=0.02)
SIZES = {"hidden_size": 128, "intermediate_size": 192, "num_hidden_layers": 2}


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    require_quantiser("none")
    monkeypatch.setattr(libraries, "find_spec", lambda name: None)
    with pytest.raises(Unsupported) as refused:
        require_quantiser("nf4")
    assert str(refused.value) == (
        "model.quantize=nf4 needs the library bitsandbytes, which is not installed. Install it: "
        "pip install 'tunesmith[quantised]'; or set model.quantize=none."
    )


def test_a_base_that_was_saved_quantised_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    for file in tiny_base.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = read_json(tmp_path / "config.json")
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    write_json(tmp_path / "config.json", config)
    with pytest.raises(ModelError, match=r"saved with quantised weights \(bitsandbytes\)"):
        describe(str(tmp_path))


def test_an_encoder_with_a_decoder_is_refused(tiny_base: Path) -> None:
    config = describe(str(tiny_base)).config
    apart = SimpleNamespace(writes_apart=True, name="t5", config=config)
    with pytest.raises(Unsupported, match=r"t5 has an encoder and a decoder\. Set model\.quantize"):
        open_base(apart, "float32", "cpu", quantize="nf4")  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama whose linear layers are most of it."""
    pytest.importorskip("bitsandbytes", reason="the extra quantised is not installed")
    where = tmp_path_factory.mktemp("bases") / "wide"
    return save_llama(where, make_tokenizer(), seed=5, num_attention_heads=4, **SIZES)


@pytest.fixture(scope="module")
def opened(folder: Path) -> Callable[[str], Base]:
    """A fresh copy of the base in 4 bits, by the type it computes in."""
    made = {
        dtype: open_base(describe(str(folder)), dtype, "cpu", quantize="nf4")
        for dtype in ("float32", "bfloat16")
    }
    return lambda dtype="float32": copy.deepcopy(made[dtype])


def _attached(base: Base, method: str = "lora") -> Tuned:
    layers = 2 if "rank" in METHODS[method].keys else 1
    return attach(base, model_section(method=method, layers=layers, virtual_tokens=5), 0)


def test_linear_layers_take_four_bits_and_a_few_for_scales(
    folder: Path, opened: Callable[[str], Base]
) -> None:
    whole = open_base(describe(str(folder)), "bfloat16", "cpu").model.requires_grad_(False)
    packed = opened("bfloat16").model
    kept = {id(packed.get_input_embeddings()), id(packed.get_output_embeddings())}
    layers = [m for m in packed.modules() if isinstance(m, nn.Linear) and id(m) not in kept]
    assert len(layers) == 14
    numbers = weight_count(layer.weight for layer in layers)
    assert weight_bytes(layer.weight for layer in layers) == pytest.approx(
        numbers * NF4_BITS / 8, rel=1e-3
    )
    assert weight_count(packed.parameters()) == weight_count(whole.parameters())
    saved = weight_bytes(whole.parameters()) - weight_bytes(packed.parameters())
    assert saved == pytest.approx(saved_by_packing(whole), rel=1e-3)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_gradients_after_an_evaluation_are_those_before_it(
    opened: Callable[[str], Base], dtype: str
) -> None:
    """On a processor with bfloat16 instructions the library would repack weights for good."""
    tuned = _attached(opened(dtype))

    def gradients() -> list[torch.Tensor]:
        tuned.module.zero_grad()
        tuned.module.train()
        tuned.base.model(IDS).logits.float().square().mean().backward()
        return [w.grad.clone() for w in tuned.module.parameters() if w.grad is not None]

    before = gradients()
    with torch.inference_mode():
        measured = tuned.module.eval()(IDS).logits
    assert all(map(torch.equal, before, gradients()))
    assert torch.equal(measured, tuned.module.train()(IDS).logits)


@pytest.mark.filterwarnings("ignore:Position ids are not supported", "ignore:Unsupported layer typ")
@pytest.mark.parametrize(
    ("method", "dtype"), [*((each, "float32") for each in ON_4_BITS), ("lora", "bfloat16")]
)
def test_an_adapter_on_4_bits_learns_resumes_and_opens_elsewhere(
    folder: Path, opened: Callable[[str], Base], tmp_path: Path, method: str, dtype: str
) -> None:
    rows, told = examples(6, vocabulary=330), Recorder()
    tuned, resumed = (_attached(opened(dtype), method) for _ in range(2))
    assert {weight.dtype for weight in weights_of(tuned.module).values()} == {DTYPES[dtype]}

    def evaluated(which: Tuned) -> Callable[[], float]:
        return lambda: float(_logits(which.module).square().mean())

    settings = replace(STEPS, rate_factors=tuned.rate_factors)
    first = loop_over(
        tuned, rows, tmp_path / "run", settings, watcher=told, validate=evaluated(tuned)
    )
    first.run(StopRequest())
    assert told.losses[-1] < told.losses[0]
    second = loop_over(resumed, rows, tmp_path / "run", settings, validate=evaluated(resumed))
    second.resume(Checkpoints(tmp_path / "run", 2).load(2))
    second.run(StopRequest())
    ours, again_ours = weights_of(tuned.module), weights_of(resumed.module)
    assert all(torch.equal(ours[name], again_ours[name]) for name in ours)

    tuned.save(tmp_path / "out")
    again = reopen(opened(dtype), tmp_path / "out")
    wanted = _logits(tuned.module)
    assert torch.equal(_logits(again.prompted or again.model), wanted)
    theirs = PeftModel.from_pretrained(_plain(folder, dtype), tmp_path / "out")
    _are_near(_logits(theirs), wanted, 1e-5 if dtype == "float32" else 0.03)


def test_merged_into_the_dequantised_base_it_answers_equally(
    folder: Path, opened: Callable[[str], Base], tmp_path: Path
) -> None:
    tuned = _attached(opened("float32"))
    loop_over(tuned, examples(6, vocabulary=330), tmp_path / "run", STEPS).run(StopRequest())
    tuned.save(tmp_path / "out")
    wanted = _logits(tuned.module)
    unpacked = _plain(folder, "float32").dequantize()
    merged = PeftModel.from_pretrained(unpacked, tmp_path / "out").merge_and_unload()
    _are_near(_logits(merged), wanted, 1e-5)
    published = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    elsewhere = PeftModel.from_pretrained(published, tmp_path / "out").merge_and_unload()
    with pytest.raises(AssertionError):  # which is why a run measures it
        _are_near(_logits(elsewhere), wanted, 0.01)


def _plain(folder: Path, dtype: str) -> PreTrainedModel:
    """As plain transformers opens it, but for a product that rounds on some processors."""
    asked = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=DTYPES[dtype],
    )
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
        folder, dtype=DTYPES[dtype], quantization_config=asked
    )
    keep_differentiable(model)
    return model


def _are_near(found: torch.Tensor, wanted: torch.Tensor, share: float) -> None:
    assert (found - wanted).norm() < share * wanted.norm()


@torch.no_grad()
def _logits(model: nn.Module) -> torch.Tensor:
    logits: torch.Tensor = model.eval()(input_ids=IDS).logits
    return logits[:, -IDS.shape[1] :].float()
