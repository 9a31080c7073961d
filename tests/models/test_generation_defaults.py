"""Answers show what the weights say: settings and neighbours have no part in them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support import model_section
from tunesmith.core.errors import DataError
from tunesmith.core.records import Origin, Prompt
from tunesmith.models.methods import attach
from tunesmith.models.open import describe, open_base
from tunesmith.models.sampling import ModelSampler

CONTEXT = 128
SETTINGS = {
    "repetition_penalty": 1.8,
    "no_repeat_ngram_size": 2,
    "min_new_tokens": 3,
    "do_sample": True,
    "temperature": 0.2,
    "top_k": 1,
    "top_p": 0.1,
}


@pytest.fixture
def opinionated(tiny_base: Path, tmp_path: Path) -> Path:
    """The tiny base with generation settings that forbid what it says first, and more."""
    folder = Path(shutil.copytree(tiny_base, tmp_path / "opinionated"))
    first = _tokens_of(tiny_base, _prompt(9), 1)
    settings = SETTINGS | {"suppress_tokens": first, "eos_token_id": 2}
    (folder / "generation_config.json").write_text(json.dumps(settings))
    return folder


def _prompt(length: int, line: int = 1) -> Prompt:
    ids_N = np.random.default_rng(length).integers(3, 300, length).astype(np.int32)
    return Prompt(Origin("questions.jsonl", line), (), ids_N, "")


def _tokens_of(folder: Path, prompt: Prompt, count: int) -> list[int]:
    """What the weights find likeliest, by hand."""
    model, ids = open_base(describe(str(folder)), "float32", "cpu").model, prompt.ids_N.tolist()
    with torch.no_grad():
        for _ in range(count):
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
    return ids[len(prompt.ids_N) :]


def _sampler(folder: Path, context: int = CONTEXT) -> ModelSampler:
    base = open_base(describe(str(folder)), "float32", "cpu")
    return ModelSampler(base.model, base.described.tokenizer, (2,), context)


def test_temperature_0_takes_the_likeliest_token_whatever_the_base_suggests(
    tiny_base: Path, opinionated: Path
) -> None:
    wanted = _tokens_of(tiny_base, _prompt(9), 16)
    spoken = describe(str(tiny_base)).tokenizer.decode(wanted, skip_special_tokens=True)
    assert _sampler(opinionated).answer([_prompt(9)], 16) == [spoken]


def test_a_temperature_draws_from_the_models_own_distribution(opinionated: Path) -> None:
    """Drawn at 3, the tiny base is nearly uniform: 400 draws see most of its 330 tokens."""
    sampler = _sampler(opinionated)
    (answer,) = sampler.answer([_prompt(9)], 1, temperature=3.0)
    drawn = sampler.answer([_prompt(9)] * 400, 1, temperature=3.0)
    assert len(set(drawn)) > 120
    assert answer in drawn


def test_a_saved_model_keeps_the_generation_settings_of_its_base(
    opinionated: Path, tmp_path: Path
) -> None:
    base = open_base(describe(str(opinionated)), "float32", "cpu")
    tuned = attach(base, model_section(method="full"), 0)
    ModelSampler(base.model, base.described.tokenizer, (2,), CONTEXT).answer([_prompt(9)], 4)
    tuned.save(tmp_path / "out")
    saved = json.loads((tmp_path / "out" / "generation_config.json").read_text())
    assert {key: saved[key] for key in SETTINGS} == SETTINGS


def test_a_long_neighbour_cuts_no_answer(tiny_base: Path) -> None:
    sampler, short, long = _sampler(tiny_base), _prompt(9), _prompt(CONTEXT - 2, 2)
    (alone,), (by_itself,) = sampler.answer([short], 20), sampler.answer([long], 20)
    assert sampler.answer([long, short], 20) == [by_itself, alone]
    assert len(_tokens_of(tiny_base, short, 20)) > 2
    assert alone != sampler.answer([short], 2)[0]


def test_a_question_as_long_as_the_context_is_named(tiny_base: Path) -> None:
    with pytest.raises(
        DataError, match=r"^questions\.jsonl:7: the question has 128 tokens.*no room for an answer"
    ):
        _sampler(tiny_base).answer([_prompt(9), _prompt(CONTEXT, 7)], 4)


def test_the_callers_generator_is_left_alone(tiny_base: Path) -> None:
    torch.manual_seed(11)
    seed, state = torch.initial_seed(), torch.get_rng_state()
    described = describe(str(tiny_base))
    base = open_base(described, "float32", "cpu", from_scratch_seed=3)
    assert torch.initial_seed() == seed
    attach(base, model_section(method="lora"), 0)
    assert torch.initial_seed() == seed
    ModelSampler(base.model, described.tokenizer, (2,), CONTEXT).answer([_prompt(9)], 4, 1.0)
    assert torch.initial_seed() == seed
    assert torch.equal(torch.get_rng_state(), state)
