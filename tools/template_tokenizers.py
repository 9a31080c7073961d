"""The chat templates that trl keeps, and a byte-level tokenizer for each.

A tokenizer of the same kind as the model's own: its special tokens are those that the template
writes, and blank lines are one token, so that a generation prompt may end in the middle of one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

_SPECIAL = re.compile(
    r"<[|\uff5c][^\s<>|\uff5c]+[|\uff5c]?>"  # <|im_end|>, <|turn>, and DeepSeek's wide bars
    r"|<[^\s<>|\uff5c]+[|\uff5c]>"  # <turn|>
    r"|\[gMASK\]|<sop>|</s>|<image>|<(?:start|end)_of_(?:turn|image|utterance)>"
)
_MARKS = ("<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>")
"""One token each for the models whose templates write them, but text, not special."""

_ENDS = {
    "cohere": "<|END_OF_TURN_TOKEN|>",
    "deepseek": "<\uff5cend▁of▁sentence\uff5c>",
    "gemma": "<eos>",
    "gptoss": "<|return|>",
    "lfm2": "<|im_end|>",
    "llama3": "<|eot_id|>",
    "llava": "</s>",
    "muse": "<|eot|>",
    "nemotron": "<|im_end|>",
    "qwen": "<|im_end|>",
    "smolvlm": "<end_of_utterance>",
}
"""The tokenizer's own end token, by the beginning of the template's name."""

_WORDS = r"\s*\n+| ?\w+| ?[^\s\w]+|\s+"
"""Line ends stay together, as in the tokenizers of Llama 3 and of Qwen."""

_SENTENCES = [
    "User: Good morning.\n\nAssistant: Good morning, how can I help you today?\n\n",
    "Where is my order number 4711? I ordered a blue jacket last week.\n\n",
    "Ja, das Päckchen kommt am Dienstag. 你好, 世界 🙂\n\n",
] * 4


def serving_templates() -> dict[str, str]:
    """The templates that models are published with, by name; none where trl is not installed."""
    found = find_spec("trl")
    if found is None or found.origin is None:
        return {}
    files = sorted((Path(found.origin).parent / "chat_templates").glob("*.jinja"))
    served = [file for file in files if not file.stem.endswith("_training")]
    return {file.stem: file.read_text(encoding="utf-8") for file in served}


def end_token(name: str) -> str:
    """The end-of-sequence token of the models that the template `name` belongs to."""
    found = [end for prefix, end in _ENDS.items() if name.startswith(prefix)]
    return found[0] if found else "<|endoftext|>"


def add_tokens(tokenizer: Any, name: str, template: str) -> Any:
    """The tokenizer, with the special tokens and the end token of the template's models."""
    start = tokenizer.bos_token or "<s>"
    special = dict.fromkeys([*_SPECIAL.findall(template), end_token(name), start])
    tokenizer.add_tokens([AddedToken(each, special=True, normalized=False) for each in special])
    marks = [mark for mark in _MARKS if mark in template]
    tokenizer.add_tokens([AddedToken(mark, normalized=False) for mark in marks])
    tokenizer.eos_token = end_token(name)
    tokenizer.bos_token = start
    return tokenizer


def tokenizer_for(name: str, template: str) -> Any:
    """A byte-level tokenizer that knows the special tokens of one template."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_bytes()),
        clean_up_tokenization_spaces=False,
    )
    return add_tokens(tokenizer, name, template)


@cache
def _bytes(entries: int = 400, special: Sequence[str] = ("<s>",)) -> str:
    bpe = Tokenizer(models.BPE())
    words = pre_tokenizers.Split(Regex(_WORDS), behavior="isolated")
    as_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bpe.pre_tokenizer = pre_tokenizers.Sequence([words, as_bytes])
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=entries,
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(_SENTENCES, trainer)
    return str(bpe.to_str())
