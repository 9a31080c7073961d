"""Vision-language bases: seen as their own processor shows it, trained as transformers would."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    LlavaForConditionalGeneration,
)

from tests import seeing
from tests.support import model_section
from tunesmith.core.errors import Unsupported
from tunesmith.core.records import Tokens
from tunesmith.data import Renderer, choose
from tunesmith.data.pack import pack
from tunesmith.engine.loop import on_device
from tunesmith.models.methods import Tuned, attach
from tunesmith.models.open import open_base
from tunesmith.objectives import OBJECTIVES
from tunesmith.runs.eyes import described_base
from tunesmith.runs.setup import read_examples

CPU = torch.device("cpu")
FAMILIES = {"llava": seeing.llava, "idefics3": seeing.idefics3, "gemma3": seeing.gemma3}
_PER_TOKEN = ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids")


def _begun(folder: Path) -> Path:
    return seeing.llava(folder, start="<s>")


@pytest.fixture(scope="module", params=[*FAMILIES, "begun"])
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each family; and one whose tokenizer begins a text, which the template does not."""
    make: Callable[[Path], Path] = FAMILIES.get(request.param, _begun)
    return make(tmp_path_factory.mktemp("bases") / request.param)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture(scope="module")
def rows(pictures: Path) -> list[dict[str, Any]]:
    """One picture, two pictures between words and a second turn, and none."""
    first, second = seeing.squares(pictures, 2)
    shown = [part["path"] for row in (first, second) for part in row["messages"][0]["content"][:1]]
    between = [
        {"type": "text", "text": "Compare "},
        {"type": "image", "path": shown[0]},
        {"type": "text", "text": " with "},
        {"type": "image", "path": shown[1]},
    ]
    turns = seeing.row(shown[0], "It is red.")["messages"]
    more = [{"role": "user", "content": between}, turns[1], _said("user", "Sure?"), turns[1]]
    alone = [_said("user", "Say a colour."), turns[1]]
    return [first, {"messages": more}, {"messages": alone}]


def _said(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": [{"type": "text", "text": text}]}


def _tokens(base: Path, pictures: Path, rows: list[dict[str, Any]]) -> list[Tokens]:
    data = pictures / "rows.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)))
    described = described_base(str(base))
    template, _ = choose(described.tokenizer, "auto")
    renderer = Renderer(described.tokenizer, template, eyes=described.eyes)  # type: ignore[arg-type]
    made = []
    for parts in renderer.render(read_examples([str(data)]), "sft", 256):
        assert isinstance(parts, list), parts
        made += parts
    return made


def _theirs(base: Path, pictures: Path, row: dict[str, Any], length: int) -> dict[str, Any]:
    """What the processor makes of a row, up to the end of the last answer."""
    messages = list(seeing.with_pictures(row, pictures))
    processor = AutoProcessor.from_pretrained(str(base))
    found = processor.apply_chat_template(
        messages, tokenize=True, return_dict=True, return_tensors="pt"
    )
    return {k: v[:, :length] if k in _PER_TOKEN else v for k, v in found.items()}


def _attached(base: Path, method: str, **fields: Any) -> Tuned:
    opened = open_base(described_base(str(base)), "float32", "cpu")
    return attach(opened, model_section(method=method, layers=2, **fields), 0)


def test_the_model_is_given_what_its_processor_gives(
    base: Path, pictures: Path, rows: list[dict[str, Any]]
) -> None:
    eyes = described_base(str(base)).eyes
    assert eyes is not None
    for row, tokens in zip(rows, _tokens(base, pictures, rows), strict=True):
        theirs = _theirs(base, pictures, row, len(tokens))
        assert theirs["input_ids"][0].tolist() == tokens.ids_N.tolist()
        ours = eyes.inputs(tokens.ids_N, tokens.images)
        assert set(ours) == set(theirs) - {"input_ids", "attention_mask"}
        for name, value in ours.items():
            assert torch.equal(torch.from_numpy(value), theirs[name]), name


def test_answers_alone_are_learned(base: Path, pictures: Path, rows: list[dict[str, Any]]) -> None:
    processor = AutoProcessor.from_pretrained(str(base))
    answers = [["It is red."], ["It is red.", "It is red."], ["It is red."]]
    for tokens, said in zip(_tokens(base, pictures, rows), answers, strict=True):
        learned = tokens.ids_N[tokens.weights_N > 0].tolist()
        assert processor.tokenizer.decode(learned) == "".join(f"{each}</s>" for each in said)
        assert not set(learned) & set(processor.image_token_ids)


def test_loss_and_gradients_are_those_of_transformers(
    base: Path, pictures: Path, rows: list[dict[str, Any]]
) -> None:
    """All rows in one micro-batch, against the model's own loss, row by row."""
    tokens = _tokens(base, pictures, rows)
    tuned = _attached(base, "full")
    tuned.module.train()
    found = OBJECTIVES["sft"]().loss(tuned.base.forward, on_device(pack(tokens, False), CPU))
    found.sum.backward()
    plain = AutoModelForImageTextToText.from_pretrained(str(base)).train()
    for row, each in zip(rows, tokens, strict=True):
        ids = torch.from_numpy(each.ids_N).long()
        labels = torch.where(torch.from_numpy(each.weights_N) > 0, ids, -100)[None]
        loss = plain(**_theirs(base, pictures, row, len(each)), labels=labels).loss
        (loss * each.sites).backward()
    wanted = dict(plain.named_parameters())
    trained = {name: w for name, w in tuned.module.named_parameters() if w.grad is not None}
    assert trained
    for name, weight in trained.items():
        assert torch.allclose(weight.grad, wanted[name].grad, atol=2e-5, rtol=1e-3), name


@pytest.mark.parametrize("method", ["lora", "full", "last_layers"])
def test_what_sees_is_frozen(base: Path, method: str) -> None:
    tuned = _attached(base, method)
    trained = {name for name, w in tuned.module.named_parameters() if w.requires_grad}
    assert trained
    assert not [name for name in trained if "vision" in name or "multi_modal" in name]
    assert not [name for name in trained if "connector" in name]
    if method == "lora":
        assert len(trained) == 2 * 2 * 7, "A and B of the seven linear layers of two blocks"


def test_an_adapter_opens_in_plain_peft_and_merges(
    base: Path, pictures: Path, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    tuned = _attached(base, "lora", init="default")
    for name, weight in tuned.module.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.3)
    tuned.module.eval()
    tuned.save(tmp_path / "adapter")
    tokens = _tokens(base, pictures, rows)[1]
    with torch.no_grad():
        batch = on_device(pack([tokens], False), CPU)
        ours_SV = tuned.base.forward.head(tuned.base.forward.hidden_at_sites(batch))
    plain = AutoModelForImageTextToText.from_pretrained(str(base))
    given = _theirs(base, pictures, rows[1], len(tokens))
    module = PeftModel.from_pretrained(plain, tmp_path / "adapter").eval()
    for model in (module, module.merge_and_unload()):
        with torch.no_grad():
            theirs_SV = model(**given).logits[0].index_select(0, batch.sites_S)
        assert torch.allclose(ours_SV, theirs_SV, atol=1e-4)
    saved = AutoProcessor.from_pretrained(str(tmp_path / "adapter"))
    assert saved.chat_template == tuned.base.described.tokenizer.chat_template


def test_logits_of_more_than_body_and_head_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = described_base(str(seeing.llava(tmp_path / "llava")))
    forward = LlavaForConditionalGeneration.forward

    def doubled(self: Any, *args: Any, **kwargs: Any) -> Any:
        output = forward(self, *args, **kwargs)
        output.logits = 2 * output.logits
        return output

    monkeypatch.setattr(LlavaForConditionalGeneration, "forward", doubled)
    with pytest.raises(Unsupported, match="more than its last hidden states and its head"):
        open_base(described, "float32", "cpu")


@pytest.mark.parametrize("method", ["ia3", "prompt_tuning", "vera", "bias", "norm"])
def test_methods_that_would_touch_what_sees_are_refused(tmp_path: Path, method: str) -> None:
    base = seeing.llava(tmp_path / "llava")
    with pytest.raises(Unsupported, match="does not train a base on rows with pictures"):
        _attached(base, method)
