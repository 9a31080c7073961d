"""What becomes of all the rows together: twins between the splits, refusals, sides, the account.

Every step is one pass of numpy over a table of the store: a shape with R has one element a row.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from functools import cached_property
from itertools import islice

import numpy as np

from tunesmith.core.errors import DataError
from tunesmith.core.records import Chat, Completion, Finding
from tunesmith.data.checks import (
    families_divided,
    in_both_groups,
    in_both_splits,
    unseen_label,
)
from tunesmith.data.formats import all_recognised, unused
from tunesmith.data.infill import INFILLED
from tunesmith.data.ledger import DROPPED, HELD_OUT, TRAINED, Account, Ledger, Places
from tunesmith.data.sequences import Sequences
from tunesmith.data.split import held_out, places, twins
from tunesmith.data.store import FINDINGS_KEPT, KINDS, Store

_NAMED = 5


class Fates:
    """The rows of a store, of which those of the files from number `validation` on validate."""

    def __init__(self, store: Store, validation: int) -> None:
        self._store = store
        self._reasons = list(store.summary.reasons)
        self._reason_R = store.rows["reason"].astype(np.int16)
        self._twins: dict[int, int] = {}
        self._unseen: frozenset[int] = frozenset()
        self._divided = 0
        self.validation_R: np.ndarray = store.rows["file"] >= validation

    def kept(self) -> np.ndarray:
        """Which rows can be trained (bool, R)."""
        return self._reason_R == 0

    @property
    def drops(self) -> int:
        """How many cannot."""
        return int(np.count_nonzero(self._reason_R))

    def drop_twins(self) -> None:
        """Drop the training rows that the validation file holds too."""
        training = np.flatnonzero(self.kept() & ~self.validation_R)
        validation = np.flatnonzero(self.kept() & self.validation_R)
        content = self._store.rows["content"]
        found = twins(content[training], content[validation])
        self._twins = {int(training[row]): int(validation[it]) for row, it in found.items()}
        if self._twins:
            self._reasons.append("in_both_splits")
            self._reason_R[list(self._twins)] = len(self._reasons)

    def split(self, share: Callable[[int], float]) -> np.ndarray:
        """Which rows are held out by the hash of their content or conversation."""
        kept = np.flatnonzero(self.kept())
        rows = self._store.rows
        content, family = rows["content"][kept], self._store.near["group"][kept]
        where, equal = places(content, rows["group"][kept]), places(content)
        sides = held_out(where, family, share(len(kept)), equal)
        self._divided = sides.divided
        held_R = np.zeros(len(self._reason_R), dtype=bool)
        held_R[kept] = sides.held_R
        return held_R

    def unseen(self, held_R: np.ndarray) -> np.ndarray:
        """The kept rows among `held_R` with a label that no other kept row has (ascending)."""
        row_L = self._row_of_labels
        kept_L, held_L = self.kept()[row_L], held_R[row_L]
        known = np.unique(self._store.labels[kept_L & ~held_L])
        new_L = kept_L & held_L & ~np.isin(self._store.labels, known)
        return np.unique(row_L[new_L])

    def drop_unseen(self) -> None:
        """Drop the rows of the validation files with a label that no training row has."""
        rows = self.unseen(self.validation_R)
        if len(rows):
            self._reasons.append("unseen_label")
            self._reason_R[rows] = len(self._reasons)
            self._unseen = frozenset(rows.tolist())

    def sequences(self, side_R: np.ndarray, *, infilled: bool = False) -> Sequences:
        """The tokens of the kept rows among these, in order; `infilled`: of those that are."""
        chosen_S = (side_R & self.kept())[self._store.sequences["row"]]
        return Sequences(self._store, np.flatnonzero(chosen_S & (self._are_infilled() == infilled)))

    def trained(self, train_R: np.ndarray) -> Sequences:
        """The tokens that are trained on: of a row that is infilled these, and no others."""
        chosen_S = (train_R & self.kept())[self._store.sequences["row"]]
        return Sequences(self._store, np.flatnonzero(chosen_S & self._as_trained()))

    def _are_infilled(self) -> np.ndarray:
        found: np.ndarray = self._store.sequences["part"] >= INFILLED
        return found

    def _as_trained(self) -> np.ndarray:
        """Which sequences are those of their row in training."""
        row_S, infilled_S = self._store.sequences["row"], self._are_infilled()
        infilled_R = np.zeros(len(self._reason_R), dtype=bool)
        infilled_R[row_S[infilled_S]] = True
        return infilled_S == infilled_R[row_S]

    def refuse_mixed(self) -> None:
        """Raises DataError if chats and plain completions stand together.

        One question could then be asked in two ways, and only one of them is what a row was trained
        behind.
        """
        kind_R = np.where(self.kept(), self._store.rows["kind"], 0)
        first = {kind: np.flatnonzero(kind_R == KINDS.index(kind)) for kind in (Chat, Completion)}
        if all(map(len, first.values())):
            chat, completion = (self._store.origin(int(rows[0])) for rows in first.values())
            raise DataError(
                f"{chat} is a chat and {completion} is a prompt with its completion, shown as "
                "plain text (data.completion_as=plain). A model trained on both could not know "
                "which way it is asked. Set data.completion_as=chat, or give rows of one kind."
            )

    def require_both(self, held_R: np.ndarray, validation: str | None) -> None:
        """Raises DataError if no row is left to train on, or none of the validation file."""
        if not (self.kept() & ~held_R).any():
            raise DataError(f"No row is left to train on. {self.refusal()}")
        if validation is not None and not (self.kept() & held_R).any():
            raise DataError(f"No row of the validation file {validation} is left. {self.refusal()}")

    def require_few(self, most: float) -> None:
        """Raises DataError if more than this share of the rows is dropped."""
        rows = len(self._reason_R)
        if self.drops > most * rows:
            raise DataError(
                f"{self._account()} That is {self.drops / rows:.1%} of the rows, and a run goes "
                f"on without {most:.1%} at most. Correct the data, or let more be left out with "
                f"--set data.most_dropped={math.ceil(100 * self.drops / rows) / 100:.2f}."
            )

    def require_grouped(self, field: str) -> None:
        """Raises DataError if no row has the field that `data.group_by` names."""
        if not self._store.rows["group"].any():
            raise DataError(
                f'No row has the field "{field}", which data.group_by names. Name a field of the '
                "rows, as it stands in the files."
            )

    def refusal(self) -> str:
        """The first bad row's sentence, how many there are of which kind, and what to do."""
        return (
            f"{self._account()}\nCorrect the data, or leave such rows out with --set "
            "data.bad_rows=drop; the ledger then counts each with its reason."
        )

    def _account(self) -> str:
        """The first bad row's sentence, and how many there are of which kind."""
        first = next(iter(self.findings()))
        sentence = f"{first.origin}: {first.message}"
        if self.drops == 1:
            return sentence
        dropped = np.flatnonzero(self._reason_R)
        named = ", ".join(str(self._store.origin(int(row))) for row in dropped[:_NAMED])
        more = ", …" if self.drops > _NAMED else ""
        return (
            f"{sentence}\nIn all, {self.drops} of {len(self._reason_R)} rows cannot be used "
            f"({self._counts()}): {named}{more}."
        )

    def findings(self) -> list[Finding]:
        """The first bad rows with their sentences, in order."""
        dropped = np.flatnonzero(self._reason_R)
        found = (self._finding(int(row)) for row in dropped)
        return [each for each in islice(found, FINDINGS_KEPT) if each is not None]

    def recognised(self) -> list[str]:
        """What the rows were read as: a sentence a file, or one for many."""
        store = self._store
        rows = np.bincount(store.rows["file"], minlength=len(store.paths)).tolist()
        counts = store.summary.formats
        return all_recognised(
            [
                (path, rows[file], counts.get(file, Counter()))
                for file, path in enumerate(store.paths)
            ]
        )

    def warnings(self) -> list[Finding]:
        """What should be known of whole files."""
        store = self._store
        extras = store.summary.extras.items()
        found = [unused(store.paths[file], counts) for file, counts in extras if counts]
        if self._divided:
            found.append(families_divided(self._divided, int(np.count_nonzero(self.kept()))))
        shared = self._shared_groups()
        if len(shared):
            found.append(in_both_groups(len(shared), store.origin(int(shared[0]))))
        return found

    def _shared_groups(self) -> np.ndarray:
        """The training rows of conversations that the validation files have rows of, too."""
        group_R = np.where(self.kept(), self._store.rows["group"], 0)
        judged = group_R[self.validation_R]
        return np.flatnonzero(
            ~self.validation_R & (group_R != 0) & np.isin(group_R, judged[judged != 0])
        )

    def ledger(self, held_R: np.ndarray) -> Ledger:
        """The account of every row."""
        rows = self._store.rows
        outcome_R = np.where(self.kept(), np.where(held_R, HELD_OUT, TRAINED), DROPPED)
        row_S = self._store.sequences["row"]
        counted_S = np.where(held_R[row_S], ~self._are_infilled(), self._as_trained())
        supervised_R = np.where(self.kept(), self._store.sites_of_rows(counted_S), 0)
        account = Account(
            outcome_R.astype(np.int8),
            self._reason_R,
            self._reasons,
            supervised_R,
            rows["content"],
            rows["kind"] > 0,
        )
        places = Places(self._store.paths, rows["file"], rows["line"], rows["item"])
        return Ledger(self._store.summary.rows_in, places, account)

    def _finding(self, row: int) -> Finding | None:
        if row in self._twins:
            origin, other = self._store.origin(row), self._store.origin(self._twins[row])
            return in_both_splits(origin, other)
        if row in self._unseen:
            return unseen_label(self._store.origin(row), self._labels(row), self._known)
        return self._store.finding(row)

    def _labels(self, row: int) -> list[str]:
        """The labels of a row, each once."""
        codes = self._store.labels[self._row_of_labels == row]
        return [self._store.summary.names[code] for code in dict.fromkeys(codes.tolist())]

    @cached_property
    def _row_of_labels(self) -> np.ndarray:
        """The row that each label of the store belongs to, (L,), as its sequences lie."""
        sequences = self._store.sequences
        row_L: np.ndarray = np.repeat(sequences["row"], sequences["labels"])
        return row_L

    @cached_property
    def _known(self) -> set[str]:
        """The labels of the training rows; asked for when all that is dropped has been."""
        trained_R = self.kept() & ~self.validation_R
        codes = np.unique(self._store.labels[trained_R[self._row_of_labels]])
        return {self._store.summary.names[code] for code in codes.tolist()}

    def _counts(self) -> str:
        """How many rows each reason dropped, the most first, then in the order of the rows."""
        dropped = self._reason_R[self._reason_R > 0]
        codes, first, rows = np.unique(dropped, return_index=True, return_counts=True)
        order = np.lexsort((first, -rows))
        return ", ".join(f"{self._reasons[codes[i] - 1]} {rows[i]}" for i in order)
