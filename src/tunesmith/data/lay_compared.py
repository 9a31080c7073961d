"""Lays answers that were compared or rated into one Batch, with what the base held of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from tunesmith.core.batch import Batch
from tunesmith.core.records import Tokens
from tunesmith.data.known import Known
from tunesmith.data.mismatched import MISMATCHED
from tunesmith.data.pack import pack


class References(Protocol):
    """The reference model's log-probabilities of learned tokens, sequence by sequence."""

    def of(self, rows: Sequence[Tokens]) -> np.ndarray | None:
        """Those of `rows`, end to end (S, float32); None where one of them is not known."""
        ...


class Unasked:
    """Stands for a reference where only the work of a batch is of interest: all zeros."""

    def of(self, rows: Sequence[Tokens]) -> np.ndarray:
        """Zeros (S, float32)."""
        return np.zeros(sum(row.sites for row in rows), dtype=np.float32)


class ComparedLayer:
    """Makes a Batch of answers, which share the prompts that they have in common.

    Args:
        references: of the base; None where the loss does not look back at it.
    """

    def __init__(self, references: References | None) -> None:
        self._references = references

    def __call__(self, examples: Sequence[Tokens], share: bool = True) -> Batch:
        """The sequences in their order. Raises KeyError where the reference of one is not known."""
        batch = pack(examples, share)
        part_B = np.array([example.part for example in examples], dtype=np.int64)
        batch = replace(batch, parts_B=np.minimum(part_B, MISMATCHED))
        if self._references is None:
            return batch
        reference_S = self._references.of(examples)
        if reference_S is None:
            raise KeyError(f"no reference for {', '.join(map(str, batch.origins))}")
        return replace(batch, reference_S=reference_S)


def known_tokens() -> Known:
    """An empty store of log-probabilities, one for each learned token of a sequence."""
    return Known(words=True)
