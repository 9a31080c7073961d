"""Texts drawn from a base follow its own distribution, and the seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import GenerationConfig

from tunesmith.models.drawing import draw
from tunesmith.models.open import Base, describe, open_base

OPENING = np.array([2, 9, 41], dtype=np.int32)


@pytest.fixture(scope="module")
def base(tiny_base: Path) -> Base:
    return open_base(describe(str(tiny_base)), "float32", "cpu")


def test_a_seed_draws_the_same_texts_and_another_one_others(base: Base) -> None:
    drawn = draw(base, OPENING, 20, 12, seed=5)
    assert drawn.shape == (20, 12)
    assert drawn.dtype == np.int32
    assert np.array_equal(drawn, draw(base, OPENING, 20, 12, seed=5))
    assert not np.array_equal(drawn, draw(base, OPENING, 20, 12, seed=6))
    assert len(np.unique(drawn, axis=0)) == 20  # no batch repeats another


def test_the_draws_are_those_of_the_whole_distribution(base: Base) -> None:
    """First tokens against the softmax: no cut, no temperature, no settings of the base's own."""
    base.model.generation_config = GenerationConfig(top_k=1, temperature=0.1, eos_token_id=2)
    drawn = draw(base, OPENING, 1600, 1, seed=0)[:, 0]
    with torch.no_grad():
        logits = base.model(torch.from_numpy(OPENING).long()[None]).logits[0, -1]
    expected = torch.softmax(logits, -1).double().numpy()
    counts = np.bincount(drawn, minlength=len(expected))
    chi = float(((counts - 1600 * expected) ** 2 / (1600 * expected)).sum())
    freedom = len(expected) - 1
    assert abs(chi - freedom) < 4 * np.sqrt(2 * freedom)


def test_no_token_ends_a_text(base: Base) -> None:
    """A base that writes its end token nearly always goes on behind it."""
    head = base.model.get_output_embeddings()
    ended = draw(base, OPENING, 64, 40, seed=1)
    assert head is not None
    end = base.described.tokenizer.eos_token_id
    with_end = ended[(ended[:, :-1] == end).any(axis=1)]
    assert len(with_end)
    assert not (with_end[:, -1] == end).all()
