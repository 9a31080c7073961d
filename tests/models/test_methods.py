"""What each method trains, and that plain transformers and PEFT open what it saved."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import AutoPeftModelForCausalLM
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.support import opened
from tunesmith.core.errors import Unsupported
from tunesmith.models.methods import Tuned

IDS = torch.arange(20)[None]


def _trained(tuned: Tuned) -> set[str]:
    return {name for name, weight in tuned.module.named_parameters() if weight.requires_grad}


def _everything(tuned: Tuned) -> set[str]:
    return {name for name, _ in tuned.module.named_parameters()}


def test_full_trains_everything(tiny_base: Path) -> None:
    tuned = opened(tiny_base, "full")
    assert _trained(tuned) == _everything(tuned)
    assert tuned.trainable == sum(w.numel() for w in tuned.base.model.parameters())


@pytest.mark.parametrize("count", [1, 2, 3])
def test_last_layers_train_the_top_and_the_final_norm(tiny_base: Path, count: int) -> None:
    tuned = opened(tiny_base, "last_layers", layers=count)
    tops = {f"model.layers.{3 - n}." for n in range(1, count + 1)}
    wanted = {n for n in _everything(tuned) if any(n.startswith(top) for top in tops)}
    assert _trained(tuned) == wanted | {"model.norm.weight"}


def test_more_layers_than_there_are_is_refused(tiny_base: Path) -> None:
    with pytest.raises(Unsupported, match=r"model\.layers is 4, but .* has 3\. Ask for fewer"):
        opened(tiny_base, "last_layers", layers=4)


def test_lora_trains_adapters_on_every_linear_layer_but_the_head(tiny_base: Path) -> None:
    tuned = opened(tiny_base, "lora", rank=4)
    trained = _trained(tuned)
    assert all(".lora_A." in name or ".lora_B." in name for name in trained)
    assert len(trained) == 2 * 3 * 7
    assert not any("lm_head" in name or "embed" in name for name in trained)


def test_late_adapters_stand_in_the_top_layers(tiny_base: Path) -> None:
    trained = _trained(opened(tiny_base, "lora", layers=2))
    assert {name.split(".layers.")[1].split(".")[0] for name in trained} == {"1", "2"}
    assert len(trained) == 2 * 2 * 7
    with pytest.raises(Unsupported, match=r"model\.layers is 4, but .* has 3\. .*leave model\.l"):
        opened(tiny_base, "lora", layers=4)


def test_the_head_trains_an_output_embedding_of_its_own(tiny_base: Path, tmp_path: Path) -> None:
    """The base ties it to the input embedding, which must not move with it."""
    tuned = opened(tiny_base, "head")
    model = tuned.base.model
    assert _trained(tuned) == {"lm_head.weight"}
    before = model.get_input_embeddings().weight.clone()
    assert torch.equal(model.get_output_embeddings().weight, before)
    _disturb(tuned)
    assert torch.equal(model.get_input_embeddings().weight, before)
    tuned.save(tmp_path / "out")
    saved = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert not saved.config.tie_word_embeddings
    assert torch.equal(saved.get_input_embeddings().weight, before)
    assert not torch.equal(saved.get_output_embeddings().weight, before)


def test_a_new_adapter_changes_no_logit(tiny_base: Path) -> None:
    """The base is measured with one attached."""
    plain = opened(tiny_base, "full").base.model(IDS).logits
    assert torch.equal(opened(tiny_base, "lora").base.model(IDS).logits, plain)


def test_adapters_follow_the_seed(tiny_base: Path) -> None:
    def drawn() -> torch.Tensor:
        tuned = opened(tiny_base, "lora")
        return next(w for n, w in tuned.module.named_parameters() if "lora_A" in n)

    torch.manual_seed(1)
    first = drawn()
    torch.manual_seed(2)
    assert torch.equal(first, drawn())


def _disturb(tuned: Tuned) -> torch.Tensor:
    """Move every trained weight; the logits afterwards."""
    torch.manual_seed(5)
    with torch.no_grad():
        for weight in tuned.module.parameters():
            if weight.requires_grad:
                weight.add_(0.05 * torch.randn_like(weight))
        return tuned.module.eval()(IDS).logits


@pytest.mark.parametrize(
    ("method", "layers"), [("full", 3), ("last_layers", 3), ("head", 3), ("lora", 3), ("lora", 1)]
)
def test_the_saved_folder_opens_without_us(
    tiny_base: Path, tmp_path: Path, method: str, layers: int
) -> None:
    """In plain transformers, or PEFT, with the same logits, the tokenizer and its template."""
    tuned = opened(tiny_base, method, layers=layers)
    wanted = _disturb(tuned)
    tuned.save(tmp_path / "out")
    kind = AutoPeftModelForCausalLM if tuned.artefact == "adapter" else AutoModelForCausalLM
    with torch.no_grad():
        theirs = kind.from_pretrained(tmp_path / "out").eval()(IDS).logits
    torch.testing.assert_close(theirs, wanted, atol=1e-6, rtol=1e-6)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer.chat_template == tuned.base.described.tokenizer.chat_template
    assert not list((tmp_path / "out").glob("*.bin"))
