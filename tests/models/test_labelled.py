"""Bodies that are read: packed as by themselves, and saved as plain libraries open them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import AutoPeftModelForSequenceClassification
from safetensors.torch import load_file
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from tests.labelling import ENCODERS, SIZES, rows, save_base
from tests.support import model_section
from tunesmith.core.errors import ModelError
from tunesmith.core.records import Example, Label, Origin, Tokens
from tunesmith.data.classes import Targets
from tunesmith.data.labelled import LabelRenderer
from tunesmith.data.lay import Layer
from tunesmith.engine.loop import on_device
from tunesmith.models.body import choose_body
from tunesmith.models.label_artefact import Naming, load_head
from tunesmith.models.labelled import LabelModel, open_body, pooling_of
from tunesmith.models.methods import attach
from tunesmith.models.open import Base, describe
from tunesmith.objectives.labels import Labels
from tunesmith.recipe import load
from tunesmith.runs.labels.tuned import LabelTuned, open_labelled

CPU = torch.device("cpu")


def _opened(folder: Path, pooling: Any = None) -> tuple[LabelModel, list[Tokens], Targets]:
    described = describe(str(folder))
    body, path = open_body(described, "float32", "cpu")
    model = LabelModel(body, path, outputs=3, pooling=pooling or pooling_of(path), seed=1)
    renderer = LabelRenderer(described.tokenizer)
    examples = [
        Example(Origin("rows", n + 1), Label(row["text"], (row["label"],)))
        for n, row in enumerate(rows(7))
    ]
    tokens = [parts[0] for parts in renderer.render(examples, "classify", 64)]  # type: ignore[index]
    return model, tokens, Targets.found(tokens, "auto")


@pytest.mark.parametrize("family", SIZES)
def test_packed_is_one_by_one_with_every_gradient(tmp_path: Path, family: str) -> None:
    model, tokens, targets = _opened(save_base(tmp_path, family))
    assert model.name == "packed"
    assert model.pooling == ("mean" if family in ENCODERS else "last")
    layer, objective = Layer(model.pooling, targets), Labels("single_label")
    model.train()
    found = []
    for runs in ([tokens], [[each] for each in tokens]):
        model.zero_grad()
        losses = [objective.loss(model, on_device(layer(run), CPU)) for run in runs]
        torch.stack([loss.sum for loss in losses]).sum().backward()
        gradients = {
            name: weight.grad.clone()
            for name, weight in model.named_parameters()
            if weight.grad is not None
        }
        found.append((sum(float(loss.sum.detach()) for loss in losses), gradients))
    (packed, ours), (single, theirs) = found
    assert packed == pytest.approx(single, abs=1e-5)
    assert ours.keys() == theirs.keys()
    for name, gradient in ours.items():
        torch.testing.assert_close(gradient, theirs[name], atol=1e-5, rtol=1e-4, msg=name)


@pytest.mark.parametrize(
    ("family", "extra"),
    [("deberta-v2", {}), ("modernbert", {"pad_token_id": 0, "cls_token_id": 2, "sep_token_id": 3})],
)
def test_a_body_runs_packed_only_if_it_then_gives_its_own_states(family: str, extra: Any) -> None:
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = AutoConfig.for_model(family, vocab_size=99, intermediate_size=48, **sizes, **extra)
    path = choose_body(AutoModel.from_config(config))
    assert path.name == ("packed" if family == "modernbert" else "padded")
    assert not path.causal
    assert bool(path.reason) == (path.name == "padded")


def test_a_decoder_in_padded_rows_is_read_at_its_last_token() -> None:
    sizes = {"hidden_size": 32, "num_heads": 4, "num_layers": 2, "max_position_embeddings": 64}
    kinds = {"attention_types": [[["global", "local"], 1]]}
    config = AutoConfig.for_model("gpt_neo", vocab_size=99, **sizes, **kinds)
    path = choose_body(AutoModel.from_config(config))
    assert (path.name, path.causal, pooling_of(path)) == ("padded", True, "last")


def _logits(model: LabelModel, tokens: list[Tokens]) -> torch.Tensor:
    model.eval()
    with torch.no_grad():
        batch = on_device(Layer(model.pooling, None)(tokens), CPU)
        return model.head(model.features(batch))


def _plainly(folder: Path, model: Any) -> torch.Tensor:
    """What plain transformers says of the same texts, padded to one length."""
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="right")
    texts = [row["text"] for row in rows(7)]
    given = tokenizer(texts, padding=True, return_tensors="pt")
    given.pop("token_type_ids", None)
    with torch.no_grad():
        if hasattr(model, "score") or hasattr(model, "base_model"):
            found = model.eval()(**given)
            if hasattr(found, "logits"):
                return found.logits
        states = model.eval()(**given).last_hidden_state
    mask = given["attention_mask"][..., None]
    return (states * mask).sum(1) / mask.sum(1)


NAMING = Naming("single_label", ("broken", "late", "lost"), "mean")


@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize(
    ("family", "pooling"), [*((each, None) for each in SIZES), ("llama", "mean")]
)
def test_what_is_saved_opens_in_plain_libraries(
    tmp_path: Path, family: str, pooling: Any, method: str
) -> None:
    base = save_base(tmp_path / "base", family)
    model, tokens, _ = _opened(base, pooling)
    adapter = None
    if method == "lora":
        described = describe(str(base))
        wrapped = Base(described, model.body, model.path)  # type: ignore[arg-type]
        adapter = attach(wrapped, model_section(method="lora", layers=2), 0).module
    with torch.no_grad():  # as if trained: a new adapter adds nothing
        for number, weight in enumerate(model.parameters()):
            torch.manual_seed(number)
            if weight.requires_grad:
                weight.add_(torch.randn_like(weight) * 0.02)
    wanted = _logits(model, tokens)
    folder = tmp_path / ("adapter" if adapter is not None else "model")
    tuned = LabelTuned(describe(str(base)), model, adapter)  # type: ignore[arg-type]
    naming = Naming("single_label", NAMING.names, model.pooling)
    tuned.save(naming, folder)

    if model.pooling == "mean":
        opened = AutoModel.from_pretrained(folder)
        dense = load_file(folder / "2_Dense" / "model.safetensors")
        plain = _plainly(folder, opened) @ dense["linear.weight"].T + dense["linear.bias"]
    elif adapter is not None:
        opened = AutoPeftModelForSequenceClassification.from_pretrained(folder, num_labels=3)
        opened.config.pad_token_id = 0
        plain = _plainly(folder, opened)
    else:
        opened = AutoModelForSequenceClassification.from_pretrained(folder)
        assert opened.config.id2label == dict(enumerate(NAMING.names))
        plain = _plainly(folder, opened)
    torch.testing.assert_close(plain, wanted, atol=2e-5, rtol=1e-4)

    recipe = load(None, [f"model.base={base}", "model.dtype=float32", "model.device=cpu"])
    _, again, said = open_labelled(folder, recipe)
    assert said == naming
    assert torch.equal(_logits(again, tokens), wanted), "opened by us: to the last bit"


def test_a_head_that_is_not_there_is_named(tmp_path: Path) -> None:
    model, _, _ = _opened(save_base(tmp_path, "llama"))
    with pytest.raises(ModelError, match="holds no head"):
        load_head(model, tmp_path)
    with pytest.raises(ModelError, match=r"holds no labels\.json"):
        Naming.load(tmp_path)


def test_the_mean_is_of_a_text_alone(tmp_path: Path) -> None:
    model, tokens, _ = _opened(save_base(tmp_path, "bert"))
    features = model.features(on_device(Layer("mean", None)(tokens), CPU))
    alone = model.features(on_device(Layer("mean", None)(tokens[:1]), CPU))
    np.testing.assert_allclose(features[0].detach(), alone[0].detach(), atol=1e-5)
