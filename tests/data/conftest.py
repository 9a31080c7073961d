"""Tiny real tokenizers, made in a moment, and rows on disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tokenizers import processors
from transformers import PreTrainedTokenizerFast

from tests.bases import byte_level

SENTENCES = [
    "The parcel is on its way to you.",
    "Where is my order number 4711? I ordered a blue jacket last week.",
    "User: Good morning. Assistant: Good morning, how can I help you today?",
    "Ja, das Päckchen kommt am Dienstag. 你好, 世界 🙂",
] * 4

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

MERGING = (
    "{% for m in messages %}{{ m['role'] + '=' + m['content'] }}"
    "{% if m['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant=' }}{% endif %}"
)


def build(*, start: bool = False, split: bool = True, extra: Sequence[str] = ()) -> Any:
    """A byte-level BPE of 400 entries.

    `start` lets it put <s> before plain text; without `split` words are not kept apart, so that
    merges cross every border.
    """
    special = dict.fromkeys(["<s>", "</s>", "<|im_start|>", "<|im_end|>", *extra])
    texts = [*SENTENCES, *["assistant=Yes"] * 40]
    bpe = byte_level(texts, 400, list(special), split=split)
    if start:
        bpe.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", bpe.token_to_id("<s>"))]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token="<s>",
        eos_token="</s>",
        clean_up_tokenization_spaces=False,
    )


@pytest.fixture(scope="session")
def tokenizer_of() -> Callable[..., Any]:
    """Builds another tokenizer, see `build`."""
    return build


@pytest.fixture(scope="session")
def chatml() -> str:
    """A template with special tokens round each turn and a newline behind the end token."""
    return CHATML


@pytest.fixture(scope="session")
def merging_template() -> str:
    """A template whose generation prompt ends in the middle of a token of `merging`."""
    return MERGING


@pytest.fixture(scope="session")
def plain() -> Any:
    """No chat template, adds no start token."""
    return build()


@pytest.fixture(scope="session")
def starting() -> Any:
    """No chat template, puts <s> before plain text."""
    return build(start=True)


@pytest.fixture(scope="session")
def merging() -> Any:
    """Merges cross word borders: "=Yes" is one token."""
    return build(split=False)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Write rows as JSON lines and return the path."""

    def to_file(rows: Sequence[Any], name: str = "rows.jsonl") -> str:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return str(path)

    return to_file
