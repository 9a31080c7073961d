"""Image models of five families: what is trained of them, and what plain libraries open."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForImageClassification

from tests.imaging import FAMILIES, SIDE, save_vision
from tunesmith.core.batch import ImageBatch
from tunesmith.core.errors import ModelError, Unsupported
from tunesmith.core.records import Origin
from tunesmith.engine.loop import on_device
from tunesmith.models.vision import (
    VisionModel,
    describe_vision,
    head_of,
    open_vision,
    reopen_vision,
    require_size,
)
from tunesmith.models.vision_methods import (
    attach_vision,
    reopen_vision_adapter,
)
from tunesmith.models.vision_methods import (
    save_vision as keep,
)
from tunesmith.objectives.labels import Labels

SCALE = (1 / 255, (0.5,) * 3, (0.5,) * 3)
CLASSES = ("cat", "dog", "owl")


def _settings(method: str, layers: int = 9) -> Any:
    return SimpleNamespace(
        method=method, init="default", rank=2, alpha=4, dropout=0.0, layers=layers
    )


def _batch(count: int = 4) -> ImageBatch:
    random = np.random.default_rng(0)
    pixels_BCHW = random.integers(0, 256, (count, 3, SIDE, SIDE), dtype=np.uint8)
    origins = tuple(Origin("a", n + 1) for n in range(count))
    made = ImageBatch(pixels_BCHW, origins, np.arange(count) % 3)
    return on_device(made, torch.device("cpu"))


def _opened(base: Path, method: str, layers: int = 9, **how: Any) -> VisionModel:
    described = describe_vision(str(base))
    model = open_vision(described, CLASSES, "float32", "cpu", seed=0, **how)
    attached = attach_vision(model, described, _settings(method, layers), 0)
    scratch = how.get("from_scratch", False)
    return VisionModel(attached.module, SCALE, learns_statistics=scratch).eval()


def _step(model: VisionModel, rate: float = 0.1) -> None:
    model.train()
    loss = Labels("single_label").loss(model, _batch())
    loss.sum.backward()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.grad is not None:
                weight.sub_(rate * weight.grad)
    model.zero_grad()
    model.eval()


def _logits(plain: Any) -> torch.Tensor:
    pixels = (_batch().pixels_BCHW / 255 - 0.5) / 0.5
    with torch.no_grad():
        found: torch.Tensor = plain.eval()(pixel_values=pixels).logits
    return found


def _ours(model: VisionModel) -> torch.Tensor:
    with torch.no_grad():
        return model.head(model.features(_batch()))


@pytest.fixture(scope="module", params=FAMILIES)
def base(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model of each family."""
    return save_vision(tmp_path_factory.mktemp("bases") / request.param, request.param)


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_vision(tmp_path_factory.mktemp("bases") / "vit", "vit")


@pytest.fixture(scope="module")
def mobilenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_vision(tmp_path_factory.mktemp("bases") / "net", "mobilenet_v2")


@pytest.mark.parametrize("method", ["full", "last_layers", "head"])
def test_saved_is_trained_in_plain_transformers(base: Path, tmp_path: Path, method: str) -> None:
    model = _opened(base, method, layers=1)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    _step(model)
    moved = {name for name, weight in model.named_parameters() if (weight != before[name]).any()}
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert moved <= trained
    assert any(head_of(model.model) is module for module in model.modules())
    if method == "head":
        assert len(moved) == 2
    elif method == "last_layers":
        assert 2 < len(moved) < len(before)
    keep(model.model, "single_label_classification", {"size": SIDE}, tmp_path / "model")
    plain = AutoModelForImageClassification.from_pretrained(tmp_path / "model")
    assert list(plain.config.id2label.values()) == list(CLASSES)
    assert torch.allclose(_logits(plain), _ours(model), atol=1e-5)
    again = VisionModel(reopen_vision(tmp_path / "model", "float32", "cpu"), SCALE).eval()
    assert torch.equal(_ours(again), _ours(model))


def test_an_adapter_opens_in_plain_peft(base: Path, tmp_path: Path) -> None:
    described = describe_vision(str(base))
    if described.config.model_type == "mobilenet_v2":
        with pytest.raises(Unsupported, match="asks its convolutions for their stride"):
            _opened(base, "lora")
        return
    model = _opened(base, "lora")
    plain = AutoModelForImageClassification.from_pretrained(
        base, num_labels=3, ignore_mismatched_sizes=True
    )
    begun = _ours(model)
    for _ in range(3):
        _step(model)
    assert (_ours(model) - begun).abs().max() > 1e-3
    adapted = [name for name, weight in model.named_parameters() if weight.requires_grad]
    assert any("lora_B" in name for name in adapted)
    keep(model.model, "single_label_classification", {"size": SIDE}, tmp_path / "adapter")
    opened = PeftModel.from_pretrained(plain, str(tmp_path / "adapter"))
    assert torch.allclose(_logits(opened), _ours(model), atol=1e-5)
    fresh = open_vision(described, CLASSES, "float32", "cpu", seed=5)
    again = VisionModel(reopen_vision_adapter(fresh, tmp_path / "adapter"), SCALE).eval()
    assert torch.equal(_ours(again), _ours(model))


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ("dora", "asks its convolutions for their stride"),
        ("vera", "has no linear layers below its head"),
        ("ia3", "keys, values and feed-forward layers PEFT does not know"),
    ],
)
def test_what_an_adapter_cannot_stand_on_is_a_sentence(
    mobilenet: Path, method: str, reason: str
) -> None:
    with pytest.raises(Unsupported, match=rf"{reason}.*Use model\.method=last_layers\.$"):
        _opened(mobilenet, method)


def test_convolutions_have_adapters(tmp_path: Path) -> None:
    model = _opened(save_vision(tmp_path / "resnet", "resnet"), "lora")
    wide = [w for name, w in model.named_parameters() if "lora_A" in name and w.ndim == 4]
    assert wide
    assert all(weight.shape[1] != 3 for weight in wide), "the first one reads pixels as before"


def test_several_at_once_are_one_by_one(base: Path) -> None:
    """1×8 ≡ 8×1: the sums of micro-batches are the sum of the whole, with every gradient."""
    found = []
    for size in (8, 1):
        model = _opened(base, "full")
        model.train()
        whole = _batch(8)
        assert whole.pixels_BCHW is not None
        assert whole.labels_B is not None
        total = 0.0
        for start in range(0, 8, size):
            part = slice(start, start + size)
            batch = ImageBatch(whole.pixels_BCHW[part], whole.origins[part], whole.labels_B[part])
            loss = Labels("single_label").loss(model, batch)
            loss.sum.backward()
            total += loss.sum.item()
        gradients = [w.grad for w in model.parameters() if w.grad is not None]
        found.append((total, gradients))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    for one, other in zip(found[0][1], found[1][1], strict=True):
        assert torch.allclose(one, other, atol=1e-4, rtol=1e-3)


def test_statistics_of_batch_norms_stay(mobilenet: Path) -> None:
    def means(model: VisionModel) -> list[torch.Tensor]:
        return [b.clone() for name, b in model.named_buffers() if name.endswith("running_mean")]

    model = _opened(mobilenet, "full")
    before = means(model)
    _step(model)
    assert all(map(torch.equal, before, means(model)))
    scratch = _opened(mobilenet, "full", from_scratch=True)
    before = means(scratch)
    _step(scratch)
    assert not any(map(torch.equal, before, means(scratch)))


def test_from_scratch_is_random_and_follows_from_the_seed(vit: Path) -> None:
    one, same = (_opened(vit, "full", from_scratch=True) for _ in range(2))
    assert torch.equal(_ours(one), _ours(same))
    trunk = next(iter(one.parameters()))
    assert not torch.equal(trunk, next(iter(_opened(vit, "full").parameters())))


def test_known_features_go_to_the_head_alone(vit: Path) -> None:
    model = _opened(vit, "head")
    known = model.features(_batch())
    batch = ImageBatch(None, _batch().origins, None, known)
    assert torch.equal(model.head(model.features(batch)), model.head(known))


def test_a_base_for_texts_is_a_sentence(tiny_base: Path) -> None:
    with pytest.raises(Unsupported, match="has no image classifier"):
        describe_vision(str(tiny_base))


def test_a_base_without_its_preprocessor_is_a_sentence(tmp_path: Path) -> None:
    folder = save_vision(tmp_path / "vit", "vit")
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(ModelError, match=r"holds no preprocessor_config\.json"):
        describe_vision(str(folder))


def test_a_size_that_the_base_cannot_read_is_a_sentence(vit: Path, mobilenet: Path) -> None:
    require_size(describe_vision(str(mobilenet)), 64, 64)
    with pytest.raises(Unsupported, match=r"cannot read images of 64 × 64 pixels"):
        require_size(describe_vision(str(vit)), 64, 64)


def test_weights_that_are_missing_are_a_sentence(vit: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = save_vision(tmp_path / "vit", "vit")
    weights = load_file(folder / "model.safetensors")
    del weights[next(name for name in weights if "classifier" not in name)]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="1 are missing"):
        open_vision(describe_vision(str(folder)), CLASSES, "float32", "cpu", seed=0)
