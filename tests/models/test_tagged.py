"""Tagged words: as transformers' own token classifiers compute, train and open them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import AutoPeftModelForTokenClassification
from transformers import AutoConfig, AutoModelForTokenClassification

from tests.labelling import ENCODERS, SIZES, save_base, tagged
from tests.support import model_section
from tunesmith.core.errors import Unsupported
from tunesmith.core.records import Example, Origin, Tagged, Tokens
from tunesmith.data.classes import Targets
from tunesmith.data.labelled import LabelRenderer
from tunesmith.data.lay import Layer
from tunesmith.engine.loop import on_device
from tunesmith.models.classifier_form import reads_onwards, require_classifier
from tunesmith.models.label_artefact import Naming
from tunesmith.models.labelled import LabelModel, open_body
from tunesmith.models.methods import attach
from tunesmith.models.open import Base, describe
from tunesmith.objectives.labels import Labels
from tunesmith.recipe import load
from tunesmith.runs.labels.tuned import LabelTuned, open_labelled

CPU = torch.device("cpu")
_NO_TARGET = -100


def _opened(folder: Path, method: str = "full") -> tuple[LabelTuned, list[Tokens], Targets]:
    described = describe(str(folder))
    body, path = open_body(described, "float32", "cpu")
    renderer = LabelRenderer(described.tokenizer, last=reads_onwards(described.config))
    examples = [
        Example(Origin("rows", n + 1), Tagged(tuple(row["tokens"]), tuple(row["tags"])))
        for n, row in enumerate(tagged(7))
    ]
    tokens = [parts[0] for parts in renderer.render(examples, "tag", 64)]  # type: ignore[index]
    targets = Targets.tags(tokens)
    model = LabelModel(body, path, outputs=targets.outputs, pooling="words", seed=1)
    adapter = None
    if method == "lora":
        wrapped = Base(described, body, path)  # type: ignore[arg-type]
        adapter = attach(wrapped, model_section(method="lora", layers=2), 0).module
    with torch.no_grad():  # as if trained: a new adapter adds nothing
        for number, weight in enumerate(model.parameters()):
            torch.manual_seed(number)
            if weight.requires_grad:
                weight.add_(torch.randn_like(weight) * 0.02)
    return LabelTuned(described, model, adapter), tokens, targets  # type: ignore[arg-type]


def _saved(tmp_path: Path, family: str, method: str) -> tuple[Path, LabelTuned, list[Tokens]]:
    tuned, tokens, targets = _opened(save_base(tmp_path / "base", family), method)
    folder = tmp_path / ("adapter" if method == "lora" else "model")
    word_at = "first" if family in ENCODERS else "last"
    tuned.save(Naming("tags", targets.names, "words", word_at=word_at), folder)
    return folder, tuned, tokens


def _logits(model: LabelModel, tokens: list[Tokens]) -> torch.Tensor:
    model.eval()
    with torch.no_grad():
        return model.head(model.features(on_device(Layer("words", None)(tokens), CPU)))


def _padded(tokens: list[Tokens], targets: Targets) -> dict[str, torch.Tensor]:
    """The rows as plain transformers takes them: words are labelled, other tokens are not."""
    longest = max(map(len, tokens))
    given = {
        "input_ids": torch.zeros(len(tokens), longest, dtype=torch.long),
        "attention_mask": torch.zeros(len(tokens), longest, dtype=torch.long),
        "labels": torch.full((len(tokens), longest), _NO_TARGET),
    }
    for place, row in enumerate(tokens):
        given["input_ids"][place, : len(row)] = torch.tensor(row.ids_N.tolist())
        given["attention_mask"][place, : len(row)] = 1
        at = torch.tensor(row.weights_N.nonzero()[0])
        given["labels"][place, at] = torch.tensor(targets.of_rows([row]))
    return given


def _plainly(model: Any, tokens: list[Tokens]) -> torch.Tensor:
    given = _padded(tokens, Targets.tags(tokens))
    with torch.no_grad():
        found: torch.Tensor = model.eval()(**given).logits
    return found[given["labels"] != _NO_TARGET]


@pytest.mark.parametrize("family", SIZES)
def test_the_loss_is_transformers_own(tmp_path: Path, family: str) -> None:
    folder, tuned, tokens = _saved(tmp_path, family, "full")
    targets = Targets.tags(tokens)
    found = Labels("single_label", words=True).loss(
        tuned.model.eval(), on_device(Layer("words", targets)(tokens), CPU)
    )
    plain = AutoModelForTokenClassification.from_pretrained(folder).eval()
    wanted = plain(**_padded(tokens, targets)).loss
    assert found.count == sum(len(row.labels) for row in tokens)
    ours = float((found.sum / found.count).detach())
    assert ours == pytest.approx(float(wanted.detach()), abs=1e-5)


@pytest.mark.parametrize("family", SIZES)
def test_packed_is_one_by_one_with_every_gradient(tmp_path: Path, family: str) -> None:
    tuned, tokens, targets = _opened(save_base(tmp_path, family))
    layer, objective = Layer("words", targets), Labels("single_label", words=True)
    tuned.model.train()
    found = []
    for runs in ([tokens], [[each] for each in tokens]):
        tuned.model.zero_grad()
        losses = [objective.loss(tuned.model, on_device(layer(run), CPU)) for run in runs]
        torch.stack([loss.sum for loss in losses]).sum().backward()
        gradients = {
            name: weight.grad.clone()
            for name, weight in tuned.model.named_parameters()
            if weight.grad is not None
        }
        found.append((sum(float(loss.sum.detach()) for loss in losses), gradients))
    (packed, ours), (single, theirs) = found
    assert packed == pytest.approx(single, abs=1e-4)
    for name, gradient in ours.items():
        torch.testing.assert_close(gradient, theirs[name], atol=1e-5, rtol=1e-4, msg=name)


@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("family", SIZES)
def test_what_is_saved_opens_in_plain_libraries(tmp_path: Path, family: str, method: str) -> None:
    folder, tuned, tokens = _saved(tmp_path, family, method)
    wanted = _logits(tuned.model, tokens)
    if method == "lora":
        count = Targets.tags(tokens).outputs
        opened = AutoPeftModelForTokenClassification.from_pretrained(folder, num_labels=count)
        merged = opened.merge_and_unload
    else:
        opened, merged = AutoModelForTokenClassification.from_pretrained(folder), None
        assert tuple(opened.config.id2label.values()) == Targets.tags(tokens).names
    torch.testing.assert_close(_plainly(opened, tokens), wanted, atol=2e-5, rtol=1e-4)
    if merged is not None:
        torch.testing.assert_close(_plainly(merged(), tokens), wanted, atol=2e-5, rtol=1e-4)

    base = tmp_path / "base"
    recipe = load(None, [f"model.base={base}", "model.dtype=float32", "model.device=cpu"])
    _, again, naming = open_labelled(folder, recipe)
    assert naming.problem == "tags"
    assert torch.equal(_logits(again, tokens), wanted), "opened by us: to the last bit"


@pytest.mark.parametrize("family", SIZES)
def test_a_decoder_reads_a_word_at_its_end(tmp_path: Path, family: str) -> None:
    assert reads_onwards(describe(str(save_base(tmp_path, family))).config) is (
        family not in ENCODERS
    )


def test_a_family_without_a_plain_tagger_is_refused() -> None:
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4}
    with pytest.raises(Unsupported, match=r"no classifier of words .* over ModernBert"):
        require_classifier(
            AutoConfig.for_model("modernbert", intermediate_size=48, **sizes), words=True
        )
