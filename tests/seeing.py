"""Tiny random vision-language bases, and pictures of coloured squares to ask them about."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tokenizers import processors
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Gemma3ImageProcessorPil,
    Gemma3Processor,
    Gemma3TextConfig,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessorPil,
    Idefics3Processor,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    SiglipVisionConfig,
)
from transformers.models.idefics3.configuration_idefics3 import Idefics3VisionConfig

from tests.bases import byte_level

COLOURS = {"red": (230, 20, 20), "green": (20, 200, 30), "blue": (20, 30, 230)}
QUESTION = "Which colour is the square?"
SIDE = 28
"""Pixels of a side of what the bases see."""

_TILES = [f"<row_{i}_col_{j}>" for i in range(1, 7) for j in range(1, 7)]
_SPECIAL = (
    *("<pad>", "<s>", "</s>", "<|turn|>", "<image>", "<boi>", "<eoi>"),
    *("<fake_token_around_image>", "<global-img>", "<end_of_utterance>", *_TILES),
)
_LAYERS = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
_TEXT = {**_LAYERS, "intermediate_size": 64, "max_position_embeddings": 256}
_VISION = {**_LAYERS, "intermediate_size": 48, "image_size": SIDE, "patch_size": 7}


def template(mark: str) -> str:
    """A chat template that takes parts only, and writes `mark` for a picture."""
    return (
        "{% for m in messages %}{{ '<|turn|>' + m['role'] + '\\n' }}{% for c in m['content'] %}"
        f"{{% if c['type'] == 'image' %}}{{{{ '{mark}' }}}}{{% else %}}{{{{ c['text'] }}}}"
        "{% endif %}{% endfor %}{{ '</s>\\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|turn|>assistant\\n' }}{% endif %}"
    )


def tokenizer(start: str | None = None) -> PreTrainedTokenizerFast:
    """Byte-level, with the marks of all three families; `start` begins each text."""
    texts = [QUESTION, *(f"It is {colour}." for colour in COLOURS)]
    bpe = byte_level(texts * 4, 360, _SPECIAL)
    if start is not None:
        opening = [(start, bpe.token_to_id(start))]
        bpe.post_processor = processors.TemplateProcessing(f"{start} $A", None, opening)
    made = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        **({} if start is None else {"bos_token": start}),
        eos_token="</s>",
        pad_token="<pad>",
        extra_special_tokens={"image_token": "<image>", "boi_token": "<boi>", "eoi_token": "<eoi>"},
        clean_up_tokenization_spaces=False,
        model_max_length=256,
    )
    return made


def llava(folder: Path, seed: int = 0, start: str | None = None) -> Path:
    """A CLIP tower before a Llama: 16 image tokens a picture."""
    reader = tokenizer(start)
    look = CLIPImageProcessorPil(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    )
    processor = LlavaProcessor(
        look,
        reader,
        patch_size=7,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template("<image>"),
    )
    torch.manual_seed(seed)
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**_VISION, projection_dim=32),
        text_config=LlamaConfig(**_TEXT, vocab_size=len(reader), **_ids(reader)),
        image_token_index=reader.convert_tokens_to_ids("<image>"),
        image_seq_length=16,
        vision_feature_layer=-1,
    )
    return _saved(folder, LlavaForConditionalGeneration(config), processor)


def idefics3(folder: Path, seed: int = 0) -> Path:
    """A SigLIP-like tower before a Llama: pictures in tiles of 4 image tokens."""
    reader = tokenizer()
    look = Idefics3ImageProcessorPil(
        size={"longest_edge": 2 * SIDE}, max_image_size={"longest_edge": SIDE}
    )
    processor = Idefics3Processor(look, reader, image_seq_len=4, chat_template=template("<image>"))
    torch.manual_seed(seed)
    config = Idefics3Config(
        vision_config=Idefics3VisionConfig(**_VISION),
        text_config=LlamaConfig(**_TEXT, vocab_size=len(reader), **_ids(reader)),
        image_token_id=reader.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=reader.pad_token_id,
    )
    return _saved(folder, Idefics3ForConditionalGeneration(config), processor)


def gemma3(folder: Path, seed: int = 0) -> Path:
    """A SigLIP tower before a Gemma, whose image tokens see each other both ways."""
    reader = tokenizer("<s>")
    look = Gemma3ImageProcessorPil(size={"height": SIDE, "width": SIDE})
    processor = Gemma3Processor(look, reader, image_seq_length=4, chat_template=template("<boi>"))
    torch.manual_seed(seed)
    heads = {"num_key_value_heads": 1, "head_dim": 16, "sliding_window": 64}
    config = Gemma3Config(
        vision_config=SiglipVisionConfig(**_VISION, vision_use_head=False),
        text_config=Gemma3TextConfig(**_TEXT, **heads, vocab_size=len(reader), **_ids(reader)),
        mm_tokens_per_image=4,
        boi_token_index=reader.convert_tokens_to_ids("<boi>"),
        eoi_token_index=reader.convert_tokens_to_ids("<eoi>"),
        image_token_index=reader.convert_tokens_to_ids("<image>"),
    )
    return _saved(folder, Gemma3ForConditionalGeneration(config), processor)


def squares(folder: Path, count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rows about pictures of one square each, saved in `folder`/pics: its colour is asked for."""
    random = np.random.default_rng(seed)
    (folder / "pics").mkdir(parents=True, exist_ok=True)
    names = list(COLOURS)
    rows = []
    for number in range(count):
        colour = names[number % len(names)]
        name = f"pics/{seed}-{number}.png"
        square(random, colour).save(folder / name)
        rows.append(row(name, f"It is {colour}."))
    return rows


def square(random: np.random.Generator, colour: str) -> Image.Image:
    """A square of about this colour somewhere on a grey ground, never twice the same."""
    pixels = np.full((SIDE, SIDE, 3), 128.0) + random.normal(0, 6, (SIDE, SIDE, 3))
    top, left = random.integers(0, SIDE - 18, 2)
    pixels[top : top + 18, left : left + 18] += np.array(COLOURS[colour]) - 128.0
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def row(path: str, answer: str, asked: str = QUESTION) -> dict[str, Any]:
    """A conversation about one picture, in parts."""
    shown = [{"type": "image", "path": path}, {"type": "text", "text": asked}]
    said = [{"type": "text", "text": answer}]
    return {
        "messages": [{"role": "user", "content": shown}, {"role": "assistant", "content": said}]
    }


def with_pictures(value: dict[str, Any], folder: Path) -> Sequence[dict[str, Any]]:
    """The messages of a row as a processor takes them: whole paths."""
    return [
        {
            **turn,
            "content": [
                {**part, "path": str(folder / part["path"])} if "path" in part else part
                for part in turn["content"]
            ],
        }
        for turn in value["messages"]
    ]


def _ids(reader: PreTrainedTokenizerFast) -> dict[str, Any]:
    return {
        "bos_token_id": reader.bos_token_id,
        "eos_token_id": reader.eos_token_id,
        "pad_token_id": reader.pad_token_id,
    }


def _saved(folder: Path, model: Any, processor: Any) -> Path:
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
