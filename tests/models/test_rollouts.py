"""Rollouts are drawn from the model's own distribution, and their log-probabilities are its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from transformers import PreTrainedModel

from tests.conftest import make_tokenizer
from tests.shapes import SHAPES, sharp, tiny
from tests.support import opened
from tunesmith.core.batch import Batch
from tunesmith.core.errors import DataError, NonFiniteLoss, Unsupported
from tunesmith.core.records import Origin, Prompt, Rollout, Tokens
from tunesmith.data.pack import pack
from tunesmith.engine.loop import on_device
from tunesmith.evaluate.on_policy import gap_between
from tunesmith.models.branches import Branches
from tunesmith.models.forward import choose_forward
from tunesmith.models.fused import fuse
from tunesmith.models.open import Base, describe, open_base
from tunesmith.models.rollouts import InProcessRollouts, in_process
from tunesmith.models.rollouts.choose import choose, uniforms
from tunesmith.models.rollouts.decoding import PackedDecoding, PaddedDecoding
from tunesmith.models.sampling import ModelSampler

STOP = 1
NEO: dict[str, Any] = {
    "vocab_size": 97,
    "hidden_size": 32,
    "num_layers": 2,
    "num_heads": 4,
    "window_size": 8,
    "max_position_embeddings": 64,
    "attention_types": [[["global", "local"], 1]],
    "bos_token_id": 0,
    "eos_token_id": 1,
}
PADDED: dict[str, dict[str, Any]] = {
    "gpt_neo": NEO,
    "bloom": {"vocab_size": 97, "hidden_size": 32, "n_layer": 2, "n_head": 4}
    | {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 0},
}


def _model(family: str) -> PreTrainedModel:
    if family in PADDED:
        return sharp(family, PADDED[family])
    return tiny(family, **({"attn_logit_softcapping": 1.0} if family == "gemma2" else {}))


def _base(tiny_base: Path, model: PreTrainedModel) -> Base:
    """`model` as if it had been opened from a folder; its texts are of no concern here."""
    fuse(model)
    described = dataclasses.replace(
        describe(str(tiny_base)), config=model.config, text=model.config, tokenizer=make_tokenizer()
    )
    return Base(described, model, choose_forward(model))


def _prompts(lengths: Sequence[int] = (3, 17, 9, 17, 1, 12), vocabulary: int = 97) -> list[Prompt]:
    draw = np.random.default_rng(0)
    return [
        Prompt(Origin("p", n), (), draw.integers(2, vocabulary, length).astype(np.int32), "")
        for n, length in enumerate(lengths)
    ]


def _trainers(
    base: Base, prompts: Sequence[Prompt], drawn: Sequence[Sequence[Rollout]], temperature: float
) -> np.ndarray:
    """The log-probabilities that training computes of what was drawn, end to end."""
    rows = []
    for prompt, rollouts in zip(prompts, drawn, strict=True):
        for rollout in rollouts:
            ids_N = np.concatenate([prompt.ids_N, rollout.ids_N])
            weights_N = (np.arange(len(ids_N)) >= len(prompt.ids_N)).astype(np.float32)
            rows.append(Tokens(prompt.origin, ids_N, weights_N, 1))
    share = base.forward.shares
    batch: Batch = on_device(pack(rows, share=share), torch.device("cpu"))
    with torch.no_grad():
        logits = base.forward.head(base.forward.hidden_at_sites(batch)).float() / temperature
    log_probs_S = torch.log_softmax(logits, -1).gather(1, batch.targets_S[:, None])[:, 0]
    order = torch.argsort(batch.owner_S, stable=True)
    return log_probs_S[order].numpy()


def _flat(drawn: Sequence[Sequence[Rollout]]) -> np.ndarray:
    return np.concatenate([each.log_probs_N for rollouts in drawn for each in rollouts])


@pytest.mark.parametrize("family", [*SHAPES, *PADDED])
def test_log_probs_are_those_that_training_computes(tiny_base: Path, family: str) -> None:
    """Prompts of several lengths, two of them equal, answers that end at all times."""
    base, prompts = _base(tiny_base, _model(family)), _prompts()
    prompts[3] = dataclasses.replace(prompts[1], origin=prompts[3].origin)
    stops = (STOP, *range(60, 70))
    drawn = InProcessRollouts(base, stops).sample(prompts, 5, 20, temperature=1.4, seed=3)
    packed = family not in PADDED
    assert base.forward.shares == packed
    assert len({len(each.ids_N) for rollouts in drawn for each in rollouts}) > 5
    gap = gap_between(_flat(drawn), _trainers(base, prompts, drawn, 1.4))
    assert gap.largest < 1e-4 if family == "bloom" else gap.largest < 1e-5


@pytest.mark.parametrize("method", ["lora", "dora", "prompt_tuning", "prefix_tuning", "full"])
def test_they_are_with_what_is_trained_active(tiny_base: Path, method: str) -> None:
    tuned = opened(tiny_base, method, **({"dropout": 0.5} if method == "lora" else {}))
    for weight in tuned.module.parameters():
        if weight.requires_grad:
            weight.data.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
    tuned.module.train()
    prompts = _prompts(vocabulary=300)
    drawn = InProcessRollouts(tuned.base, (2,)).sample(prompts, 4, 12)
    assert tuned.base.model.training
    tuned.module.eval()
    found = _trainers(tuned.base, prompts, drawn, 1.0)
    assert gap_between(_flat(drawn), found).largest < 5e-5
    with tuned.without() as plain:
        other = _trainers(plain, prompts, drawn, 1.0)
    assert method == "full" or gap_between(_flat(drawn), other).largest > 1e-2


@pytest.mark.parametrize("family", ["llama", "gpt_neox", "gpt_neo", "bloom"])
def test_the_likeliest_answers_are_those_of_transformers(tiny_base: Path, family: str) -> None:
    base, prompts = _base(tiny_base, _model(family)), _prompts((3, 17, 9))
    drawn = InProcessRollouts(base, (STOP, 5, 50)).sample(prompts, 2, 40, temperature=0)
    for prompt, (rollout, again) in zip(prompts, drawn, strict=True):
        ids = torch.from_numpy(prompt.ids_N).long()[None]
        wanted: list[int] = []
        with torch.no_grad():
            while len(wanted) < 40 and wanted[-1:] not in ([STOP], [5], [50]):
                wanted.append(int(base.model(ids, use_cache=False).logits[0, -1].argmax()))
                ids = torch.cat([ids, torch.tensor([wanted[-1:]])], dim=1)
        assert rollout.ids_N.tolist() == again.ids_N.tolist() == wanted
        assert rollout.ended == (wanted[-1] in (STOP, 5, 50))


def test_texts_are_those_of_the_sampler_that_evaluates(tiny_base: Path) -> None:
    base, prompts = open_base(describe(str(tiny_base)), "float32", "cpu"), _prompts()
    wanted = ModelSampler(base.model, base.described.tokenizer, (2, 40), 128).answer(prompts, 20)
    drawn = InProcessRollouts(base, (2, 40)).sample(prompts, 1, 20, temperature=0)
    assert [rollout.text for (rollout,) in drawn] == wanted


def test_tokens_are_drawn_as_often_as_they_are_likely(tiny_base: Path) -> None:
    model = tiny("llama")
    (prompt,) = _prompts((6,))
    drawn = InProcessRollouts(_base(tiny_base, model), (STOP,)).sample([prompt], 4000, 1, 6.0, 5)
    with torch.no_grad():
        logits = model(torch.from_numpy(prompt.ids_N).long()[None]).logits[0, -1] / 6.0
    wanted = torch.softmax(logits.double(), 0).numpy() * 4000
    counts = np.bincount([int(each.ids_N[0]) for each in drawn[0]], minlength=97)
    common = np.argsort(wanted)[-30:]
    rest = [np.delete(values, common).sum() for values in (counts, wanted)]
    assert wanted[common].min() > 8
    assert chisquare([*counts[common], rest[0]], [*wanted[common], rest[1]]).pvalue > 1e-3


def test_equal_seeds_draw_equal_bits_and_others_do_not(tiny_base: Path) -> None:
    rollouts = InProcessRollouts(_base(tiny_base, tiny("llama")), (STOP,))
    once, again, other = (rollouts.sample(_prompts(), 6, 12, 2.0, seed) for seed in (1, 1, 2))
    assert all(
        np.array_equal(a.ids_N, b.ids_N) and a.log_probs_N.tobytes() == b.log_probs_N.tobytes()
        for left, right in zip(once, again, strict=True)
        for a, b in zip(left, right, strict=True)
    )
    assert _ids(once) != _ids(other)
    assert len(set(_ids(once[:1]))) == 6  # the answers to one prompt differ
    assert np.array_equal(uniforms(1, 2, 3, 5), uniforms(1, 2, 3, 9)[:5])


def _ids(drawn: Sequence[Sequence[Rollout]]) -> list[tuple[int, ...]]:
    return [tuple(each.ids_N.tolist()) for rollouts in drawn for each in rollouts]


@pytest.mark.parametrize("family", ["llama", "gpt_neo"])
def test_company_and_memory_change_nothing_but_rounding(
    tiny_base: Path, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = _base(tiny_base, _model(family))
    together = InProcessRollouts(base, (STOP,)).sample(_prompts(), 4, 9, 2.0, 4)
    alone = InProcessRollouts(base, (STOP,), memory=1).sample(_prompts(), 4, 9, 2.0, 4)
    assert _ids(together) == _ids(alone)
    np.testing.assert_allclose(_flat(together), _flat(alone), atol=1e-5)
    monkeypatch.setattr(in_process, "_ROWS", 1000)  # nothing is ever dropped
    assert _ids(InProcessRollouts(base, (STOP,)).sample(_prompts(), 4, 9, 2.0, 4)) == _ids(alone)


def test_each_prompt_is_computed_once_and_ended_answers_no_more(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, prompts = _base(tiny_base, tiny("llama")), _prompts((9, 20))
    sizes: list[int] = []
    hidden = type(base.forward).hidden  # type: ignore[union-attr]  # a PackedForward

    def counted(self: Any, tokens_T: torch.Tensor, *rest: Any, **more: Any) -> torch.Tensor:
        sizes.append(len(tokens_T))
        return hidden(self, tokens_T, *rest, **more)

    monkeypatch.setattr(type(base.forward), "hidden", counted)
    stops = tuple(range(1, 30))
    drawn = InProcessRollouts(base, stops).sample([*prompts, prompts[0]], 16, 12)
    assert sizes[0] == 64  # 9 + 20, filled up
    assert sizes[1] <= 48
    lengths = [len(each.ids_N) for rollouts in drawn for each in rollouts]
    assert sizes[1] > sizes[-1]
    assert sum(sizes[1:]) < sum(lengths) - len(lengths) + 8 * len(sizes)


@pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neo"])
def test_what_ends_and_what_is_cut_off(tiny_base: Path, family: str) -> None:
    base = _base(tiny_base, _model(family))
    assert base.context == 64
    short, long = _prompts((5, 60))
    (whole, _), (cut, _) = InProcessRollouts(base, (-1,)).sample([short, long], 2, 10)
    assert (len(cut.ids_N), cut.ended, len(whole.ids_N), whole.ended) == (4, False, 10, False)
    last = int(whole.ids_N[3])
    ((stopped,),) = InProcessRollouts(base, (-1, last)).sample([short], 1, 10)
    end = whole.ids_N.tolist().index(last) + 1
    assert stopped.ids_N.tolist() == whole.ids_N[:end].tolist()
    assert (stopped.ended, len(stopped.log_probs_N)) == (True, end)
    tokenizer = base.described.tokenizer
    assert stopped.text == tokenizer.decode(whole.ids_N[: end - 1], skip_special_tokens=True)
    assert InProcessRollouts(base, (STOP,)).sample([], 4, 10) == []
    with pytest.raises(DataError, match=r"p:0: the question has 64 tokens, .* reads at most 64"):
        InProcessRollouts(base, (STOP,)).sample(_prompts((64,)), 1, 10)


def test_logits_that_are_no_numbers_are_named(tiny_base: Path) -> None:
    base = _base(tiny_base, tiny("llama"))
    base.model.get_output_embeddings().weight.data[3] = float("nan")
    with pytest.raises(NonFiniteLoss, match=r"p:0: while this prompt was answered"):
        InProcessRollouts(base, (STOP,)).sample(_prompts((4,)), 2, 3)


def test_a_base_that_does_not_write_so_is_refused(tiny_base: Path) -> None:
    base = dataclasses.replace(_base(tiny_base, tiny("llama")), forward=None)  # type: ignore[arg-type]
    with pytest.raises(Unsupported, match=r"decoder-only models of text"):
        in_process.begin(base, [torch.tensor([1])], torch.tensor([0]))


def test_a_layer_that_is_gone_through_twice_is_refused() -> None:
    branches, states = Branches([3], torch.tensor([0])), torch.zeros(1, 2, 3, 4)
    layer = torch.nn.Identity()
    branches.remember(layer, states, states)
    with pytest.raises(Unsupported, match=r"\(Identity\) is gone through twice"):
        branches.remember(layer, states, states)


def test_both_ways_are_taken_where_they_should(tiny_base: Path) -> None:
    ids, owner = [torch.tensor([5, 6])], torch.tensor([0])
    for family, kind in (("llama", PackedDecoding), ("gpt_neo", PaddedDecoding)):
        base = _base(tiny_base, _model(family))
        with torch.no_grad():
            assert isinstance(in_process.begin(base, ids, owner), kind)


def test_a_token_without_a_share_is_never_drawn() -> None:
    logits = torch.full((3, 50), -torch.inf)
    logits[:, 7], logits[:, 30] = 0.0, 0.0
    drawn, log_probs = choose(logits, 1.0, torch.tensor([0.0, 0.4999, 1 - 2**-24]))
    assert drawn.tolist() == [7, 7, 30]
    torch.testing.assert_close(log_probs, torch.full((3,), -np.log(2.0)).float())
