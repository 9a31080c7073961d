"""Answers in batches are the answers one by one, and end where they should."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from tunesmith.core.records import Origin, Prompt
from tunesmith.models.open import describe, open_base
from tunesmith.models.sampling import ModelSampler

LENGTHS = (3, 17, 9, 40, 1, 22, 5)


@pytest.fixture(scope="module")
def theirs(tiny_base: Path) -> PreTrainedModel:
    """The base in plain transformers."""
    return AutoModelForCausalLM.from_pretrained(tiny_base).eval()


def _sampler(folder: Path, stop_ids: tuple[int, ...] = (2,), **limits: int) -> ModelSampler:
    base = open_base(describe(str(folder)), "float32", "cpu")
    limits = {"context": 128, "batch_size": 4} | limits
    return ModelSampler(base.model, base.described.tokenizer, stop_ids, **limits)


def _prompts(lengths: tuple[int, ...] = LENGTHS) -> list[Prompt]:
    draw = np.random.default_rng(0)
    return [
        Prompt(Origin("p", n), (), draw.integers(3, 300, length).astype(np.int32), "")
        for n, length in enumerate(lengths)
    ]


def _greedy(model: PreTrainedModel, ids_N: np.ndarray, count: int) -> list[int]:
    """By hand, without cache, padding or generation code."""
    ids = ids_N.tolist()
    with torch.no_grad():
        for _ in range(count):
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
    return ids[len(ids_N) :]


def test_batched_greedy_answers_are_those_of_one_by_one(
    tiny_base: Path, theirs: PreTrainedModel
) -> None:
    prompts, tokenizer = _prompts(), describe(str(tiny_base)).tokenizer
    wanted = [
        tokenizer.decode(_greedy(theirs, p.ids_N, 12), skip_special_tokens=True) for p in prompts
    ]
    assert _sampler(tiny_base).answer(prompts, 12) == wanted


def test_an_answer_stops_before_any_of_its_stop_ids(
    tiny_base: Path, theirs: PreTrainedModel
) -> None:
    (prompt,) = _prompts((9,))
    said = _greedy(theirs, prompt.ids_N, 12)
    stop = said[5]
    tokenizer = describe(str(tiny_base)).tokenizer
    wanted = tokenizer.decode(said[: said.index(stop)], skip_special_tokens=True)
    assert _sampler(tiny_base, (2, stop)).answer([prompt], 12) == [wanted]


def test_an_answer_ends_with_the_context(tiny_base: Path, theirs: PreTrainedModel) -> None:
    (prompt,) = _prompts((20,))
    tokenizer = describe(str(tiny_base)).tokenizer
    wanted = tokenizer.decode(_greedy(theirs, prompt.ids_N, 5), skip_special_tokens=True)
    assert _sampler(tiny_base, context=25).answer([prompt], 12) == [wanted]


def test_sampled_answers_follow_their_seed(tiny_base: Path) -> None:
    sampler, prompts = _sampler(tiny_base), _prompts()
    drawn = [sampler.answer(prompts, 12, temperature=1.0, seed=seed) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_no_prompts_no_answers(tiny_base: Path) -> None:
    assert _sampler(tiny_base).answer([], 12) == []
