"""The paths to hidden states: what they say of themselves, and prefixes in rows."""

from __future__ import annotations

import pytest
import torch
from transformers import AttentionInterface

from tests.models.test_families import FAMILIES, _random
from tunesmith.core.batch import Segment
from tunesmith.models.attention import NAME, segment_attention, switch
from tunesmith.models.forward import (
    FullLogitsForward,
    PackedForward,
    PaddedForward,
    choose_forward,
    close,
    evened,
    probe,
)


@pytest.mark.parametrize(
    ("family", "reason"),
    [
        ("llama", ""),
        ("gpt_neo", "GPTNeoForCausalLM runs in padded rows: its attention is code of its own"),
        ("gpt_oss", "GptOssForCausalLM runs in padded rows: its attention has sinks"),
    ],
)
def test_a_model_on_a_slower_path_says_why(family: str, reason: str) -> None:
    assert family in FAMILIES
    forward = choose_forward(_random(family))
    assert forward.reason.startswith(reason)
    assert bool(forward.reason) == bool(reason)
    assert forward.shares == (not reason)


@torch.no_grad()
def test_attention_that_forgets_the_prefix_fails_the_probe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Branches as roots of their own: right for packed rows, wrong for shared prefixes."""

    def forgetful(*args, segment_layout, **kwargs):  # type: ignore[no-untyped-def]
        layout = None
        if segment_layout is not None:
            layout = type(segment_layout)(tuple(Segment(*s[:2]) for s in segment_layout.segments))
        return segment_attention(*args, segment_layout=layout, **kwargs)

    monkeypatch.setitem(AttentionInterface._global_mapping, NAME, forgetful)
    forward = choose_forward(_random("llama"))
    assert forward.name == "padded"
    assert "did not give its own logits" in forward.reason


@torch.no_grad()
def test_rows_hold_whole_paths() -> None:
    """Three rows for two branches and a root, and the prefix read from the first."""
    model = _random("llama")
    batch = probe(model)
    seen: list[torch.Tensor] = []
    model.base_model.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs["input_ids"]), with_kwargs=True
    )
    padded = PaddedForward(model).hidden_at_sites(batch)
    tokens = batch.tokens_T.tolist()
    assert seen[0].tolist() == [
        tokens[:11],
        tokens[:7] + tokens[11:14] + [0],
        tokens[14:] + [0] * 6,
    ]
    whole = FullLogitsForward(model).hidden_at_sites(batch)
    torch.testing.assert_close(model.lm_head(padded), whole)


@torch.no_grad()
def test_batches_come_in_few_sizes_and_nothing_else_changes() -> None:
    """The body sees a multiple of 64 tokens; the sites read what they read in rows of their own."""
    model = _random("llama")
    batch = probe(model)
    wanted = FullLogitsForward(model).hidden_at_sites(batch)
    assert switch(model)
    seen: list[int] = []
    model.base_model.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs["input_ids"].shape[1]), with_kwargs=True
    )
    hidden = PackedForward(model).hidden_at_sites(batch)
    assert batch.tokens < 64
    assert seen == [64]
    torch.testing.assert_close(model.lm_head(hidden), wanted)
    assert evened(evened(batch)).tokens == 64


def test_rounding_of_large_bfloat16_logits_is_no_other_path() -> None:
    """A tuned model's logits are large; half a logit of 40 is two steps of bfloat16."""
    wanted = torch.linspace(-40, 40, 64, dtype=torch.bfloat16)
    assert close(wanted + 0.5, wanted)
    assert not close(wanted + 1.0, wanted)
