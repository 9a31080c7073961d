"""The ids of a beginning, taken from those of the whole text, are the ids it has by itself."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from tokenizers import AddedToken, normalizers

from tunesmith.data.cuts import Cuts
from tunesmith.data.encode import Encoder

PIECES = ["<|im_start|>", "<|im_end|>", "</s>", "<s>", "<|im", "_end|>", " ", "\n", "user\n"]
WORDS = ["the", "parcel", "größe", "🙂", "assistant\n", "4711", "<", "|>"]


def _texts(count: int) -> list[str]:
    draw = random.Random(0)
    return ["".join(draw.choices(PIECES + WORDS, k=draw.randint(1, 30))) for _ in range(count)]


@pytest.mark.parametrize("name", ["plain", "starting", "merging"])
def test_a_cut_changes_no_id(name: str, request: pytest.FixtureRequest) -> None:
    encoder = Encoder(request.getfixturevalue(name))
    cuts, draw, found = Cuts(encoder), random.Random(1), 0
    for text in _texts(400):
        spans, whole = cuts.spans(text), encoder.ids(text)
        for end in draw.sample(range(len(text) + 1), min(8, len(text))):
            cut = cuts.cut(text, spans, text[:end])
            if cut is not None:
                found += 1
                assert cuts.ids(whole, len(spans), cut) == encoder.ids(text[:end])
    assert found > 500


def test_no_cut_inside_a_token_or_of_another_text(plain: Any) -> None:
    cuts = Cuts(Encoder(plain))
    text = "<s>hi<|im_end|>\nyes</s>"
    spans = cuts.spans(text)
    assert cuts.cut(text, spans, "<s>hi<|im") is None
    assert cuts.cut(text, spans, "hi") is None
    assert cuts.cut(text, spans, "<s>ho") is None
    assert cuts.cut(text, spans, "<s>hi<|im_end|>\n") is not None
    long = "<s>" + "a" * 100 + "</s>"
    assert cuts.cut(long, cuts.spans(long), "<s>" + "a" * 99) is None


def test_ids_that_hold_other_special_tokens_than_the_text_are_not_used(plain: Any) -> None:
    encoder = Encoder(plain)
    cuts, text = Cuts(encoder), "<s>hi<|im_end|>\nyes</s>"
    cut = cuts.cut(text, cuts.spans(text), "<s>hi<|im_end|>\n")
    assert cut is not None
    assert cuts.ids(encoder.ids(text + "</s>"), 3, cut) is None


@pytest.mark.parametrize("flag", ["lstrip", "rstrip", "single_word"])
def test_tokens_that_do_more_than_cut_are_not_cut_at(
    tokenizer_of: Callable[..., Any], flag: str
) -> None:
    tokenizer = tokenizer_of()
    tokenizer.add_tokens([AddedToken("<|odd|>", special=True, normalized=False, **{flag: True})])
    assert Cuts(Encoder(tokenizer)).spans("<s>hi</s>") == []


def test_tokens_found_in_normalised_text_are_not_cut_at(tokenizer_of: Callable[..., Any]) -> None:
    tokenizer = tokenizer_of()
    tokenizer.add_tokens([AddedToken("<|odd|>", special=True, normalized=True)])
    assert Cuts(Encoder(tokenizer)).spans("<s>hi</s>") == [(0, 3), (5, 9)]
    tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()
    assert Cuts(Encoder(tokenizer)).spans("<s>hi</s>") == []
