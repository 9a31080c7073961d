"""The page without our abstractions, on a tiny random model."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from peft import AutoPeftModelForCausalLM
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from tests.bases import byte_level, save_llama

PAGE = Path(__file__).parents[2] / "examples" / "flat.py"
TEMPLATE = (
    "{% for m in messages %}{{ '<turn>' + m['role'] + '\n' + m['content'] + '<end>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<turn>assistant\n' }}{% endif %}"
)


@pytest.fixture(scope="module")
def flat() -> ModuleType:
    spec = importlib.util.spec_from_file_location("flat", PAGE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    bpe = byte_level(["Where is my parcel? It is on its way."], 300, ["<turn>", "<end>"])
    fast = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<end>", pad_token="<end>")
    fast.chat_template = TEMPLATE
    return fast


@pytest.fixture(scope="module")
def base(tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_llama(
        tmp_path_factory.mktemp("base"),
        tokenizer,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=512,
        initializer_range=0.3,  # a frozen head must be able to tell tokens apart
    )


def chat(*contents: str) -> list[dict[str, str]]:
    return [
        {"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(contents)
    ]


def test_it_trains_and_the_adapter_opens_in_plain_peft(
    flat: ModuleType, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = tmp_path / "chats.jsonl", tmp_path / "adapter"
    rows = [chat(f"Where is parcel {i}?", f"Parcel {i} is on its way.") for i in range(20)]
    data.write_text("".join(json.dumps({"messages": row}) + "\n" for row in rows))
    arguments = ["--base", base, "--data", data, "--out", out]
    arguments += ["--epochs", 6, "--batch", 4, "--learning-rate", 0.01]
    before, after = flat.main([str(argument) for argument in arguments])
    assert after < 0.7 * before
    printed = capsys.readouterr().out
    assert "20 rows: 18 to train on, 2 held out." in printed
    assert f"{before:.4f} before, {after:.4f} after" in printed
    model = AutoPeftModelForCausalLM.from_pretrained(out)
    assert any("lora_B" in name and bool(w.any()) for name, w in model.named_parameters())


def test_each_answer_is_learned_to_its_end_behind_the_prompt_it_is_asked_with(
    flat: ModuleType, tokenizer: Any
) -> None:
    messages = chat("One?", "Yes.", "Two?", "No.")
    ids, sites = flat.encode(messages, tokenizer)
    assert tokenizer.decode(ids[sites + 1]) == "Yes.<end>No.<end>"
    prompt = tokenizer.apply_chat_template(messages[:3], tokenize=False, add_generation_prompt=True)
    served = tokenizer.encode(prompt, add_special_tokens=False)
    assert ids[: len(served)].tolist() == served


def test_logits_at_sites_cost_what_all_logits_do(
    flat: ModuleType, tokenizer: Any, base: Path
) -> None:
    model = LlamaForCausalLM.from_pretrained(base)
    ids, sites = row = flat.encode(chat("One?", "Yes.", "Two?", "No."), tokenizer)
    likely = model(ids[None]).logits[0].log_softmax(-1)
    expected = -likely[sites, ids[sites + 1]].sum()
    torch.testing.assert_close(flat.loss_sum(model, row), expected)


def test_a_template_that_rewrites_earlier_turns_is_refused(
    flat: ModuleType, tokenizer: Any
) -> None:
    class Forgetful:
        def apply_chat_template(self, messages: list[dict[str, str]], **_: Any) -> str:
            return messages[-1]["content"]

    with pytest.raises(SystemExit, match="rewrites earlier turns"):
        flat.encode(chat("One?", "Yes.", "Two?", "No."), Forgetful())


def test_it_is_one_short_page_that_stands_alone() -> None:
    assert len(PAGE.read_text(encoding="utf-8").splitlines()) < 200
    code = (
        f"import runpy, sys; runpy.run_path({str(PAGE)!r});"
        "print([name for name in sys.modules if name.startswith('tunesmith')])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
