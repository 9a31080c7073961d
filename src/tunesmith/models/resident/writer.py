"""Rows that join, are read, write and leave: continuous batching (Yu et al. 2022, Orca, §4)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tunesmith.core.errors import Unsupported
from tunesmith.models.defaults import keeping_defaults
from tunesmith.models.forward import PackedForward
from tunesmith.models.open import Base
from tunesmith.models.resident.bank import Bank
from tunesmith.models.resident.choosing import Choosing
from tunesmith.models.resident.decoders import Batched, Decoder, OneByOne
from tunesmith.models.resident.kept import Form, form_of
from tunesmith.models.resident.prefixes import Prefixes
from tunesmith.models.resident.row import Likely, Row, Wanted, Written

PORTION = 256
"""Tokens of prompts that are read between two tokens of those who write."""

PREFIX_BYTES = 256 << 20
"""Of what is kept of the beginnings of prompts."""

Told = tuple[Row, Written]
"""What can be told of a row now."""


class Writer:
    """All answers that one open base writes. Used by one thread.

    `adapters` is how many are kept in memory; 0 for a base that has an adapter of its own.
    """

    def __init__(
        self,
        base: Base,
        *,
        adapters: int = 0,
        portion: int = PORTION,
        prefix_bytes: int = PREFIX_BYTES,
    ) -> None:
        self._device = base.model.device
        self.bank = Bank(base.model, adapters)
        self.prefixes = Prefixes(prefix_bytes)
        form = _form(base)
        self._decoder: Decoder = OneByOne(base)
        if form is not None and isinstance(base.forward, PackedForward):
            self._decoder = Batched(base.forward, self.bank, form, self.prefixes, portion)
        self.batches = form is not None
        self.rows: set[Row] = set()
        self._choosing: tuple[Sequence[Row], Choosing] = ((), Choosing((), self._device))

    def join(self, wanted: Wanted) -> Row:
        """Begin an answer."""
        row = Row(wanted, self._device)
        self._decoder.join(row)
        self.rows.add(row)
        return row

    def leave(self, row: Row) -> None:
        """End an answer that nobody waits for any more."""
        if row in self.rows:
            self.rows.remove(row)
            self._decoder.leave(row)

    @torch.inference_mode()
    def step(self) -> list[Told]:
        """A token for every row that writes, and a portion of the prompts that wait.

        What can be told of each row; a row whose answer is finished has left.
        """
        told: list[Told] = []
        with keeping_defaults():
            for found in (self._decoder.write(), self._decoder.read()):
                if found is not None:
                    told += self._go_on(*found)
        for row, written in told:
            if written.finish is not None:
                self.leave(row)
        return told

    def _go_on(self, rows: Sequence[Row], logits_RV: torch.Tensor) -> list[Told]:
        logits_RV = logits_RV.float()
        asking = [n for n, row in enumerate(rows) if row.wanted.top_logprobs is not None]
        log_probs_AV = torch.log_softmax(logits_RV[asking], -1) if asking else None
        tokens_R = self._chosen(rows, logits_RV)
        sound = logits_RV.gather(1, tokens_R[:, None])[:, 0].isfinite().tolist()
        tokens = tokens_R.tolist()
        likely: dict[int, Likely] = {}
        if log_probs_AV is not None:
            likely = self._likely(rows, asking, log_probs_AV, tokens)
        told = []
        for n, row in enumerate(rows):
            written = row.write(tokens[n], likely.get(n)) if sound[n] else row.fail()
            if written is not None:
                told.append((row, written))
        return told

    def _chosen(self, rows: Sequence[Row], logits_RV: torch.Tensor) -> torch.Tensor:
        for number, row in enumerate(rows):
            if row.changes_logits:
                row.change(logits_RV[number])
        if self._choosing[0] is not rows:
            self._choosing = rows, Choosing([row.wanted.choice for row in rows], self._device)
        uniform_R = torch.tensor([row.uniform for row in rows], device=self._device)
        return self._choosing[1](logits_RV, uniform_R)

    def _likely(
        self,
        rows: Sequence[Row],
        asking: Sequence[int],
        log_probs_AV: torch.Tensor,
        tokens: Sequence[int],
    ) -> dict[int, Likely]:
        """Of the rows that ask for it, by their number."""
        most = max(rows[n].wanted.top_logprobs or 0 for n in asking)
        best = log_probs_AV.topk(min(most, log_probs_AV.shape[1]))
        values, ids = best.values.tolist(), best.indices.tolist()
        chosen_A = log_probs_AV[range(len(asking)), [tokens[n] for n in asking]].tolist()
        found = {}
        for place, n in enumerate(asking):
            name, top = rows[n].wanted.spelling.name, rows[n].wanted.top_logprobs or 0
            pairs = list(zip(ids[place], values[place], strict=True))[:top]
            rivals = tuple((id, name(id), value) for id, value in pairs)
            found[n] = Likely(tokens[n], name(tokens[n]), chosen_A[place], rivals)
        return found


def _form(base: Base) -> Form | None:
    """What the layers of a base keep; None where rows cannot be written side by side."""
    if not isinstance(base.forward, PackedForward):
        return None
    try:
        with torch.inference_mode():
            return form_of(base.forward, base.model.device)
    except Unsupported:
        return None
