"""Rows with images to what the ledger, the split and the batches count: one position an image.

Each file is decoded here once, so that what cannot be is named as a bad row before anything is
trained; its pixels are taken later (`pixels`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from tunesmith.core.records import Example, Finding, ImageLabel, Tokens
from tunesmith.data.images.decode import decoded
from tunesmith.data.kinds import Kind, wrong_kind
from tunesmith.data.refusals import Refused


@dataclass(frozen=True, slots=True)
class _NoTokenizer:
    bos_token_id: None = None


@dataclass(frozen=True, slots=True)
class _NoTokens:
    """Images have no tokens, so none begins them."""

    start: None = None
    tokenizer: _NoTokenizer = _NoTokenizer()


class ImageRenderer:
    """Checks examples with images."""

    encoder = _NoTokens()
    completion_as = "labels"

    def identity(self) -> dict[str, Any]:
        """All that the outcome of an example follows from besides the example, as JSON."""
        return {"images": 1, "pillow": version("pillow")}

    def stop_ids(self) -> tuple[int, ...]:
        """None: nothing is written, so nothing has to end."""
        return ()

    def render(
        self, examples: Sequence[Example], kind: Kind, context: int
    ) -> Iterator[list[Tokens] | Finding]:
        """One position for each example whose image can be used, or why it cannot."""
        return (self._checked(example, kind) for example in examples)

    def _checked(self, example: Example, kind: Kind) -> list[Tokens] | Finding:
        if (complaint := wrong_kind(example.content, kind)) is not None:
            return Finding("wrong_kind", complaint, "drop", example.origin)
        assert isinstance(example.content, ImageLabel)
        try:
            decoded(place_of(example))
        except Refused as refused:
            return Finding(refused.reason, str(refused), "drop", example.origin)
        one_N = np.zeros(1, dtype=np.int32)
        labels = (example.content.label,)
        return [Tokens(example.origin, one_N, one_N.astype(np.float32), 0, 0, labels)]


def place_of(example: Example) -> str:
    """The file of an example's image: relative paths are read from the folder of the row's file.

    An image of a folder is its own row, and named as it stands.
    """
    assert isinstance(example.content, ImageLabel)
    named, row = example.content.path, example.origin.path
    return named if named == row else os.path.join(os.path.dirname(row), named)
