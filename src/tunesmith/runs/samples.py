"""Texts that the base itself writes, on which a change of the model shows without any data."""

from __future__ import annotations

import numpy as np

from tunesmith.core.errors import ModelError
from tunesmith.core.files import read_jsonl, write_jsonl
from tunesmith.core.records import Origin, Tokens
from tunesmith.core.seeds import derive
from tunesmith.data import Renderer
from tunesmith.models.drawing import draw
from tunesmith.models.open import Base
from tunesmith.recipe import own_samples as wanted
from tunesmith.runs.folder import RunFolder
from tunesmith.runs.setup import Setup

SAMPLES = "the base's own samples"
"""What stands for a file in their origins."""


def own_samples(base: Base, setup: Setup, folder: RunFolder) -> list[Tokens]:
    """Texts drawn from the base at temperature 1, once, and kept for a resumed run.

    They begin where a user's turn begins if the base has a chat template of its own (it then writes
    the question as well as the answer: Xu et al. 2024, Magpie), else at its start token. A base
    whose decoder writes apart draws none: without a question it has nothing to go on from.
    """
    if folder.samples.exists():
        return saved_samples(folder)
    count, length = wanted(setup.recipe.evaluate.level)
    if not count or setup.described.writes_apart:
        return []
    opening_N = opening_of(setup.renderer, templated=setup.templated)
    length = min(length, setup.described.context - len(opening_N))
    seed = derive(setup.recipe.engine.seed, "samples")
    drawn = draw(base, opening_N, count, length, seed)
    text_of = setup.described.tokenizer.decode
    write_jsonl(
        folder.samples,
        [
            {
                "ids": [*opening_N.tolist(), *ids.tolist()],
                "opening": len(opening_N),
                "text": text_of(ids, skip_special_tokens=True),
            }
            for ids in drawn
        ],
    )
    return saved_samples(folder)


def saved_samples(folder: RunFolder) -> list[Tokens]:
    """The texts that the base of a run wrote; none where it was not asked to."""
    lines = read_jsonl(folder.samples) if folder.samples.exists() else []
    return [_tokens(number, **line) for number, line in enumerate(lines, start=1)]


def opening_of(renderer: Renderer, *, templated: bool) -> np.ndarray:
    """The ids that the base goes on from (int32).

    Without a template: its start token, or its end token, which stands before each text where texts
    are trained end to end. Raises ModelError for a base that has neither.
    """
    if templated:
        return renderer.opening()
    tokenizer = renderer.encoder.tokenizer
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if token is not None:
            return np.array([token], dtype=np.int32)
    raise ModelError(
        "The base's tokenizer has neither a start token nor an end token, so nothing says where "
        "one of its own texts would begin. Set bos_token in its tokenizer_config.json."
    )


def _tokens(number: int, ids: list[int], opening: int, text: str) -> Tokens:
    weights_N = np.ones(len(ids), dtype=np.float32)
    weights_N[:opening] = 0
    return Tokens(
        Origin(SAMPLES, number), np.array(ids, dtype=np.int32), weights_N, len(text.encode())
    )
