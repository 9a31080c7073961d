"""Virtual tokens before each sequence: served as they were trained, whatever else is asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import GenerationConfig

from tests.support import examples, opened
from tunesmith.core.errors import Unsupported
from tunesmith.core.records import Origin, Prompt
from tunesmith.data.pack import pack
from tunesmith.engine.loop import on_device
from tunesmith.models.methods import Tuned
from tunesmith.models.methods.prompts import with_prompt
from tunesmith.models.prompted import PromptedForward
from tunesmith.models.sampling import ModelSampler
from tunesmith.models.trunk import open_trunk
from tunesmith.models.trunk_store import Budget

METHODS = ("prompt_tuning", "prefix_tuning")


@pytest.fixture(params=METHODS)
def tuned(request: pytest.FixtureRequest, tiny_base: Path) -> Tuned:
    return opened(tiny_base, request.param, virtual_tokens=6)


def _sampler(tuned: Tuned) -> ModelSampler:
    base = tuned.base
    assert base.prompted is not None
    return ModelSampler(base.prompted, base.described.tokenizer, (2,), base.context)


def _prompts() -> list[Prompt]:
    rows = [np.arange(3, 3 + length, dtype=np.int32) for length in (4, 9, 9, 17)]
    return [Prompt(Origin("p", n), (), ids_N, "") for n, ids_N in enumerate(rows)]


@pytest.mark.filterwarnings("ignore:Position ids are not supported")
def test_prompts_of_several_lengths_are_answered_as_each_alone(tuned: Tuned) -> None:
    """Padding on the left would stand between the virtual tokens and the prompt."""
    sampler, prompts = _sampler(tuned), _prompts()
    together = sampler.answer(prompts, 12)
    assert together == [sampler.answer([prompt], 12)[0] for prompt in prompts]
    batches = [chosen for _, chosen in sampler._batches(prompts, [12] * 4)]
    assert batches == [[0], [1, 2], [3]]


@pytest.mark.filterwarnings("ignore:Position ids are not supported")
def test_answers_are_the_likeliest_tokens_after_the_learned_ones(tuned: Tuned) -> None:
    """Token by token without a cache, whatever generation settings the base brings."""
    tuned.base.model.generation_config = GenerationConfig(repetition_penalty=5.0)
    (prompt, *_) = _prompts()
    ids = torch.from_numpy(prompt.ids_N).long()[None]
    with torch.no_grad():
        for _ in range(12):
            logits = tuned.module.eval()(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
            ids = torch.cat([ids, logits[:, -1:].argmax(-1)], dim=1)
    wanted = ids[0, len(prompt.ids_N) :].tolist()
    end = wanted.index(2) if 2 in wanted else len(wanted)
    tokenizer = tuned.base.described.tokenizer
    answer = _sampler(tuned).answer([prompt], 12)[0]
    assert answer == tokenizer.decode(wanted[:end], skip_special_tokens=True)


def test_learned_tokens_take_room_in_the_context(tuned: Tuned) -> None:
    assert tuned.base.context == tuned.base.described.context - 6
    assert tuned.plain.context == tuned.base.described.context


def test_no_states_of_the_frozen_part_are_kept(tuned: Tuned, tmp_path: Path) -> None:
    """All of it is frozen, and yet what it computes depends on the virtual tokens below it."""
    trunk = open_trunk(
        tuned.base, tokens=100, sites=100, budget=Budget(memory=1 << 20, disk=0, folder=tmp_path)
    )
    assert (trunk.forward, trunk.note) == (None, "")


def test_every_learned_token_gets_a_gradient(tuned: Tuned) -> None:
    batch = on_device(pack(examples(4), share=False), torch.device("cpu"))
    tuned.base.forward.hidden_at_sites(batch).square().sum().backward()
    (weight,) = (weight for weight in tuned.module.parameters() if weight.requires_grad)
    assert weight.grad is not None
    assert (weight.grad.abs().sum(1) > 0).all()
    assert len(weight) == 6


def test_a_model_that_answers_otherwise_in_padded_rows_is_refused(
    tuned: Tuned, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shifted(self: PromptedForward, tokens: torch.Tensor) -> dict[str, torch.Tensor]:
        return given(self, tokens.roll(1, 0))

    given = PromptedForward._input
    monkeypatch.setattr(PromptedForward, "_input", shifted)
    assert tuned.base.prompted is not None
    with pytest.raises(Unsupported, match=r"virtual tokens: in padded rows .* Use model\.method=l"):
        with_prompt(tuned.plain, tuned.base.prompted)
