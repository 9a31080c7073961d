"""From rows to the logits of their next tokens.

`Batched` is for models that call our attention: rows of all adapters in one forward, prompts in
portions. `OneByOne` is for all others, and for those behind virtual tokens: each row by itself,
through transformers' own cache.

Shape legend: R rows, T tokens laid end to end, V vocabulary.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch.nn.functional import pad

from tunesmith.models.forward import PackedForward, evened_size
from tunesmith.models.open import Base
from tunesmith.models.resident.attending import Portion, Reading, Writing
from tunesmith.models.resident.bank import Bank, Products
from tunesmith.models.resident.kept import Form, Kept, Shelves
from tunesmith.models.resident.prefixes import BLOCK, Beginning, Prefixes
from tunesmith.models.resident.row import Row
from tunesmith.models.rollouts.decoding import Decoding, begin

_ROWS = 8
"""Rows that write are filled up to a multiple of this: libraries make code for every number."""

Logits = tuple[Sequence[Row], torch.Tensor]
"""Rows, and the logits (R, V) of the next token of each."""


class Decoder(Protocol):
    """Rows under way."""

    def join(self, row: Row) -> None:
        """Take in a row."""
        ...

    def leave(self, row: Row) -> None:
        """Forget a row, wherever it is."""
        ...

    def read(self) -> Logits | None:
        """Read a portion of the prompts that wait; the rows that are through with theirs."""
        ...

    def write(self) -> Logits | None:
        """Go on with the last token of every row that writes."""
        ...


@dataclass(slots=True)
class _Step:
    """What stays the same from one token to the next, until a row joins, leaves or moves."""

    rows: list[Row]
    products: Sequence[Products]
    writing: Writing
    positions_R: torch.Tensor
    left: int


class Batched:
    """Rows side by side.

    `portion` is how many tokens of prompts are read between two tokens of those who write.
    """

    def __init__(
        self, forward: PackedForward, bank: Bank, form: Form, prefixes: Prefixes, portion: int
    ) -> None:
        self._forward, self._bank, self._form = forward, bank, form
        self._prefixes, self._portion = prefixes, portion
        self._shelves = Shelves(form)
        self._waiting: deque[Row] = deque()
        self._drafts: dict[int, Kept] = {}
        self._rows: list[Row] = []
        self._step: _Step | None = None

    @property
    def bytes(self) -> int:
        """That rows take which write."""
        return self._shelves.bytes

    def join(self, row: Row) -> None:
        """See Decoder."""
        if row.wanted.adapter is not None:
            self._bank.use(row.wanted.adapter)
        self._waiting.append(row)

    def leave(self, row: Row) -> None:
        """See Decoder."""
        if row.wanted.adapter is not None:
            self._bank.release(row.wanted.adapter)
        if row in self._rows:
            self._rows.remove(row)
            self._prefixes.add(row.wanted.reader, row.ids[: row.kept], self._shelves.of(row.number))
            self._shelves.take(row.number)
            self._step = None
        else:
            self._waiting.remove(row)
            self._drafts.pop(row.number, None)

    def read(self) -> Logits | None:
        """See Decoder."""
        if not self._waiting:
            return None
        rows, counts = self._next_portion()
        names = [row.wanted.adapter for row in rows]
        order = self._bank.order(names, counts)
        rows, counts = [rows[n] for n in order], [counts[n] for n in order]
        portions = [
            Portion(self._drafts[row.number], row.kept, count)
            for row, count in zip(rows, counts, strict=True)
        ]
        spans = [range(row.kept, row.kept + count) for row, count in zip(rows, counts, strict=True)]
        ids = [row.ids[place] for row, span in zip(rows, spans, strict=True) for place in span]
        places = [place for span in spans for place in span]
        self._bank.activate(self._bank.lay([row.wanted.adapter for row in rows], counts))
        room = evened_size(len(ids))
        hidden_TD = self._forward.hidden(
            self._tensor(ids, room),
            self._tensor(places, room),
            segment_branches=Reading(self._form, portions),
        )
        return self._through(rows, counts, hidden_TD)

    def write(self) -> Logits | None:
        """See Decoder."""
        if not self._rows:
            return None
        if self._step is None or self._step.left == 0:
            self._step = self._arranged()
        step = self._step
        room = -(-len(step.rows) // _ROWS) * _ROWS
        step.writing.at(step.positions_R)
        self._bank.activate(step.products)
        hidden_TD = self._forward.hidden(
            self._tensor([row.ids[-1] for row in step.rows], room),
            pad(step.positions_R, (0, room - len(step.rows))),
            segment_branches=step.writing,
        )
        step.positions_R = step.positions_R + 1
        step.left -= 1
        for row in step.rows:
            row.kept += 1
        return step.rows, self._forward.head(hidden_TD[: len(step.rows)])

    def _next_portion(self) -> tuple[list[Row], list[int]]:
        """The first rows that wait, and how many tokens of each fit.

        A row whose beginning is just being read for another waits for it, and finds it known.
        """
        left, rows, counts = self._portion, [], []
        being_read: set[Beginning] = set()
        for row in self._waiting:
            beginning = self._prefixes.unknown(row.wanted.reader, row.ids)
            if row.number not in self._drafts:
                if beginning in being_read:
                    continue
                self._begin(row)
            if beginning is not None:
                being_read.add(beginning)
            rows.append(row)
            counts.append(min(left, len(row.ids) - row.kept))
            left -= counts[-1]
            if left == 0:
                break
        return rows, counts

    def _begin(self, row: Row) -> None:
        """Make room for the prompt, and fill in what is known of its beginning."""
        draft = Kept.empty(self._form, 1, len(row.ids))
        for known in self._prefixes.find(row.wanted.reader, row.ids):
            draft.set_part(row.kept, known)
            row.kept += BLOCK
        row.cached = row.kept
        self._drafts[row.number] = draft

    def _through(
        self, rows: list[Row], counts: list[int], hidden_TD: torch.Tensor
    ) -> Logits | None:
        """Those of a portion that are read to the end."""
        through, sites, end = [], [], 0
        for row, count in zip(rows, counts, strict=True):
            end += count
            row.kept += count
            if row.kept == len(row.ids):
                through.append(row)
                sites.append(end - 1)
        for row in through:
            draft = self._drafts.pop(row.number)
            self._prefixes.add(row.wanted.reader, row.ids, draft)
            self._shelves.put(row.number, draft, row.kept)
            self._waiting.remove(row)
            self._rows.append(row)
            self._step = None
        if not through:
            return None
        return through, self._forward.head(hidden_TD[torch.tensor(sites, device=hidden_TD.device)])

    def _arranged(self) -> _Step:
        """Rows by adapter, each on a shelf with room for its next token."""
        for row in self._rows:
            self._shelves.move_full(row.number, row.kept)
        ones = [1] * len(self._rows)
        order = self._bank.order([row.wanted.adapter for row in self._rows], ones)
        self._rows = [self._rows[n] for n in order]
        products = self._bank.lay([row.wanted.adapter for row in self._rows], ones)
        writing = Writing(self._form, self._shelves.used, [row.number for row in self._rows])
        positions = torch.tensor([row.kept for row in self._rows], device=self._form.device)
        left = min(self._shelves.left(row.number, row.kept) for row in self._rows)
        return _Step(list(self._rows), products, writing, positions, left)

    def _tensor(self, values: list[int], room: int) -> torch.Tensor:
        """Filled up with zeros to `room`."""
        filled = [*values, *([0] * (room - len(values)))]
        return torch.tensor(filled, device=self._form.device)


class OneByOne:
    """Each row by itself."""

    def __init__(self, base: Base) -> None:
        self._base = base
        self._waiting: deque[Row] = deque()
        self._under_way: dict[int, tuple[Row, Decoding]] = {}

    def join(self, row: Row) -> None:
        """See Decoder."""
        self._waiting.append(row)

    def leave(self, row: Row) -> None:
        """See Decoder."""
        if self._under_way.pop(row.number, None) is None:
            self._waiting.remove(row)

    def read(self) -> Logits | None:
        """See Decoder. One prompt, as a whole."""
        if not self._waiting:
            return None
        row, device = self._waiting.popleft(), self._base.model.device
        owner_R = torch.zeros(1, dtype=torch.long, device=device)
        under_way = begin(self._base, [torch.tensor(row.ids, device=device)], owner_R)
        row.kept = len(row.ids)
        self._under_way[row.number] = row, under_way
        return [row], under_way.logits_RV

    def write(self) -> Logits | None:
        """See Decoder."""
        if not self._under_way:
            return None
        rows, logits = [], []
        for row, under_way in self._under_way.values():
            under_way.step(torch.tensor(row.ids[-1:], device=self._base.model.device))
            row.kept += 1
            rows.append(row)
            logits.append(under_way.logits_RV)
        return rows, torch.cat(logits)
