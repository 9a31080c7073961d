"""What a workload needs on disk, made from seeds: a base model, rows, and the rows as token ids."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

import tunesmith.models
from benchmarks.workloads import Shape, Workload
from tunesmith.core.files import whole_folder, write_jsonl
from tunesmith.core.records import Tokens
from tunesmith.data import Renderer, choose
from tunesmith.data.kinds import Kind
from tunesmith.runs.setup import read_examples, render_all

CONTEXT = 2048
TOKENIZER = Path(str(files(tunesmith.models))) / "anvil"
FRAME = {"system": 6, "user": 6, "assistant": 6}
"""Tokens that the template puts around a turn of each role; the last one's newline is not fed."""
ANSWERS = ("chosen", "rejected")


@dataclass(frozen=True, slots=True)
class Prepared:
    """Where a workload's files are, and the length and sites of each row in tokens: those of a pair
    are its prompt and both answers, those of a prompt to be answered the prompt alone."""

    base: Path
    rows: Path
    tokens: Path
    lengths: tuple[int, ...]
    sites: tuple[int, ...]


def prepare(workload: Workload, folder: Path) -> Prepared:
    """Make the files of a workload under `folder`; a base that is there is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    base = make_base(workload.shape, folder, workload.seed)
    rows, tokens = (folder / f"{workload.name}-{what}" for what in ("rows.jsonl", "tokens.json"))
    if workload.objective != "sft":
        return _prepared_answers(workload, base, rows, tokens)
    write_jsonl(rows, made_rows(workload))
    examples = tokenised(base, rows)
    tokens.write_text(json.dumps(examples), encoding="utf-8")
    return Prepared(
        base=base,
        rows=rows,
        tokens=tokens,
        lengths=tuple(len(example["input_ids"]) for example in examples),
        sites=tuple(sum(label >= 0 for label in example["labels"]) for example in examples),
    )


def make_base(shape: Shape, folder: Path, seed: int) -> Path:
    """A Llama of this shape in bfloat16, with the tokenizer of Anvil, as a plain model folder."""
    path = folder / f"base-{shape.hidden}x{shape.layers}-{seed}"
    if path.exists():
        return path
    tokenizer = AutoTokenizer.from_pretrained(TOKENIZER)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        intermediate_size=shape.mlp,
        max_position_embeddings=CONTEXT,
        rms_norm_eps=1e-5,  # what all contenders take for a Llama
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    tokenizer.model_max_length = CONTEXT
    with whole_folder(path) as draft:
        LlamaForCausalLM(config).bfloat16().save_pretrained(draft)
        tokenizer.save_pretrained(draft)
    return path


def made_rows(workload: Workload) -> Iterator[dict[str, Any]]:
    """Conversations of random words, each word one token, of exactly the lengths asked for."""
    draw = random.Random(f"{workload.seed} {workload.lengths}")
    shared = _turn("system", workload.prefix, random.Random(workload.seed))
    for _ in range(workload.rows):
        length = draw.randint(*workload.lengths)
        turns = [
            _turn("user", length - length // 2, draw),
            _turn("assistant", length // 2, draw),
        ]
        yield {"messages": [shared, *turns] if workload.prefix else turns}


def _prepared_answers(workload: Workload, base: Path, rows: Path, tokens: Path) -> Prepared:
    """Pairs, or prompts to be answered."""
    write_jsonl(rows, made_questions(workload))
    examples = asked(base, rows, workload.objective)
    tokens.write_text(json.dumps(examples), encoding="utf-8")
    return Prepared(
        base=base,
        rows=rows,
        tokens=tokens,
        lengths=tuple(len(example["prompt"]) for example in examples),
        sites=tuple(sum(len(example.get(which, ())) for which in ANSWERS) for example in examples),
    )


def made_questions(workload: Workload) -> Iterator[dict[str, Any]]:
    """Prompts of random words, for dpo with two answers."""
    draw = random.Random(f"{workload.seed} {workload.lengths}")
    for _ in range(workload.rows):
        row = {"prompt": [_turn("user", draw.randint(*workload.lengths), draw)]}
        if workload.objective == "dpo":
            sizes = [draw.randint(*workload.answers) + FRAME["assistant"] for _ in ANSWERS]
            row |= {
                which: [_turn("assistant", size, draw)]
                for which, size in zip(ANSWERS, sizes, strict=True)
            }
        yield row


def asked(base: Path, rows: Path, objective: Kind) -> list[dict[str, list[int]]]:
    """The token ids of each prompt, and of its answers where it has two."""
    tokenizer = AutoTokenizer.from_pretrained(base)
    template, _ = choose(tokenizer, "auto")
    rendered = Renderer(tokenizer, template, "chat").render(
        read_examples([str(rows)]), objective, CONTEXT
    )
    return [_asked(parts) for parts in rendered if isinstance(parts, list)]


def _asked(parts: list[Tokens]) -> dict[str, list[int]]:
    ids_N = parts[0].ids_N
    if len(parts) == 1:
        return {"prompt": ids_N.tolist()}
    learned = [np.flatnonzero(part.weights_N > 0) for part in parts]
    answers = [
        part.ids_N[places[0] : places[-1] + 1].tolist()
        for part, places in zip(parts, learned, strict=True)
    ]
    return {"prompt": ids_N[: learned[0][0]].tolist()} | dict(zip(ANSWERS, answers, strict=True))


def _turn(role: str, tokens: int, draw: random.Random) -> dict[str, str]:
    words = draw.choices(_words(), k=max(1, tokens - FRAME[role]))
    return {"role": role, "content": "".join(words)}


@cache
def _words() -> list[str]:
    """The tokenizer's whole words, with the space before them."""
    vocabulary = Tokenizer.from_file(str(TOKENIZER / "tokenizer.json")).get_vocab()
    whole = (token for token in sorted(vocabulary) if re.fullmatch("Ġ[a-z]{3,}", token))
    return [" " + token[1:] for token in whole]


def tokenised(base: Path, rows: Path) -> list[dict[str, list[int]]]:
    """Each row's token ids, and as labels those that tunesmith learns; −100 elsewhere."""
    tokenizer = AutoTokenizer.from_pretrained(base)
    template, _ = choose(tokenizer, "auto")
    examples = read_examples([str(rows)])
    return [
        {
            "input_ids": tokens.ids_N.tolist(),
            "labels": [
                int(token) if weight > 0 else -100
                for token, weight in zip(tokens.ids_N, tokens.weights_N, strict=True)
            ],
        }
        for tokens in render_all(Renderer(tokenizer, template, "chat"), examples, "sft", CONTEXT)
    ]
