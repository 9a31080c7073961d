"""A whole small base on disk, as a user would name it: config, safetensors, tokenizer, template."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when the hub's library is imported

import pytest
from transformers import PreTrainedTokenizerFast

from tests.bases import byte_level, save_llama

TEMPLATE = (
    "{% for m in messages %}{{ '<|turn|>' + m['role'] + '\n' + m['content'] + '<|end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|turn|>assistant\n' }}{% endif %}"
)
COLOURS = ("red", "blue", "green", "white", "black", "yellow", "brown", "grey")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Read here because only this file is read before the command line."""
    parser.addoption(
        "--database",
        choices=["chosen", "sqlite", "postgres", "both"],
        default="chosen",
        help="of the service's tests: all on SQLite and the marked ones on PostgreSQL, too; or all",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Markers of our own."""
    config.addinivalue_line("markers", "stores: runs on every database that is installed")


def pytest_collection_finish() -> None:
    """What imports and collection left is looked through once, not in each test."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _nothing_waits_for_the_disk() -> Iterator[None]:
    """What a test writes need not outlive a power cut."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


def colour_rows(count: int) -> list[dict[str, Any]]:
    """Small conversations with a rule to learn: the answer repeats the colour and the number."""
    rows = []
    for n in range(count):
        colour = COLOURS[n * 5 % len(COLOURS)]
        question = f"Box {n} is {colour}. Which colour is box {n}?"
        answer = f"Box {n} is {colour}, thank you" + "." * (1 + n % 5)
        rows.append(
            {
                "messages": [
                    {"role": "user", "content": question},
                    {"role": "assistant", "content": answer},
                ]
            }
        )
    return rows


def make_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE of 330 entries with chat tokens."""
    texts = [message["content"] for row in colour_rows(64) for message in row["messages"]]
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=byte_level(texts, 330, ["<|pad|>", "<|turn|>", "<|end|>"]),
        eos_token="<|end|>",
        pad_token="<|pad|>",
        clean_up_tokenization_spaces=False,
        model_max_length=128,
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of 40 thousand weights with grouped-query attention; context 128."""
    return save_llama(
        tmp_path_factory.mktemp("bases") / "tiny",
        make_tokenizer(),
        seed=7,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        tie_word_embeddings=True,
    )


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    """60 conversations in a file."""
    path = tmp_path / "colours.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in colour_rows(60)), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real data and models beside the checkout; tests that need them skip where they are not."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("../shared is not here")
    return folder
