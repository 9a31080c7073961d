"""Texts from a model's own distribution: temperature 1, the whole vocabulary, nothing cut off."""

from __future__ import annotations

import numpy as np
import torch
from transformers import GenerationConfig

from tunesmith.core.seeds import derive
from tunesmith.models.open import Base
from tunesmith.models.sampling import plain_decoding
from tunesmith.models.seeding import seeded

TOGETHER = 16
"""Texts drawn at a time."""


@torch.no_grad()
def draw(base: Base, opening_N: np.ndarray, count: int, length: int, seed: int) -> np.ndarray:
    """`count` texts of `length` tokens behind `opening_N`, shape (count, length), int32.

    No token ends a text: what the model writes after an end token belongs to its distribution, too.
    The texts of one seed are the same on one machine.
    """
    base.model.eval()
    device = base.model.device
    opening = torch.from_numpy(opening_N).long().to(device)
    settings = GenerationConfig(
        do_sample=True, temperature=1.0, top_k=0, max_new_tokens=length, use_cache=True
    )
    drawn = []
    with plain_decoding(base.model):
        for start in range(0, count, TOGETHER):
            ids = opening.repeat(min(TOGETHER, count - start), 1)
            with seeded(derive(seed, "draw", start), device):
                output = base.model.generate(  # type: ignore[operator]  # hidden by nn.Module
                    input_ids=ids,
                    attention_mask=torch.ones_like(ids),
                    generation_config=settings,
                )
            drawn.append(output[:, len(opening) :].cpu().numpy().astype(np.int32))
    return np.concatenate(drawn)
