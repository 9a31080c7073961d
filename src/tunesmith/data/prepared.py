"""The data of a run, as the rest of the program sees it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tunesmith.core.errors import DataError
from tunesmith.core.records import Canary, Completion, Example, Finding, Prompt, Row
from tunesmith.data.canaries import planted_rows
from tunesmith.data.examine import RowRenderer
from tunesmith.data.formats import understand
from tunesmith.data.kinds import ANSWERED, WHOLE_ROWS, Kind
from tunesmith.data.ledger import Ledger, planted_line
from tunesmith.data.mixing import Mix, Sources
from tunesmith.data.quality import Report
from tunesmith.data.render import Renderer
from tunesmith.data.sequences import Sequences, WithPlanted
from tunesmith.data.sources import Place, changed, rows_at
from tunesmith.data.split import content_digest
from tunesmith.data.store import KINDS, Store


@dataclass(frozen=True)
class Prepared:
    """The data of a run.

    `train` and `held_out` are in the order of the input rows; one row may be several Tokens.
    `infilled` are the held-out documents that would be trained on infilled, as such.
    `findings` holds warnings and drops (of the drops the first some hundred; the ledger has all),
    `files` the SHA-256 of each file read. `mapping` is the recipe's `data.mapping`; `recognised`
    says of each file which formats its rows have, `report` what the checks of whole data sets
    found in the rows that could be understood, `sources` which files are mixed by which weight.
    `canaries` are the secrets that the run plants and measures; no row of theirs is in `train`.
    """

    train: Sequences
    held_out: Sequences
    infilled: Sequences
    ledger: Ledger
    findings: list[Finding]
    files: dict[str, str]
    store: Store
    renderer: RowRenderer
    kind: Kind
    mapping: Mapping[str, str]
    recognised: list[str]
    report: Report
    sources: Sources
    canaries: tuple[Canary, ...] = ()

    @cached_property
    def trained_on(self) -> Sequences | WithPlanted:
        """All that is trained on: `train`, and behind it the planted rows."""
        planted = planted_rows(self.canaries)
        return WithPlanted(self.train, planted) if planted else self.train

    @cached_property
    def mix(self) -> Mix:
        """Which of `trained_on` each epoch sees, and how often."""
        planted = len(self.trained_on) - len(self.train)
        rows = self.train.rows
        whole = rows if self.kind in WHOLE_ROWS else None
        return self.sources.mix(self.store.rows["file"][rows], planted, whole)

    def mix_of(self, row_N: np.ndarray) -> Mix:
        """As `mix`, of sequences that are made of those of `train`, each of which is an example:
        which one each is made of (int64, N, ascending)."""
        file_N = self.store.rows["file"][self.train.rows][row_N]
        return self.sources.mix(file_N, row_N=row_N)

    def account(self) -> dict[str, Any]:
        """`ledger.json`: the totals, and those of each file, beside its weight if it is trained on.

        Rows count once, whatever their weight. Planted rows are none of the rows that came in, so
        they stand apart, under a key that other runs do not have.
        """
        weights = self.sources.by_file()
        files = [
            {**counts, "weight": weights.get(str(counts["file"]))}
            for counts in self.ledger.by_file()
        ]
        planted = [each for each in self.canaries if each.repeats]
        if not planted:
            return {**self.ledger.totals(), "files": files}
        counts = {
            "secrets": len(planted),
            "rows": sum(each.repeats for each in planted),
            "supervised_tokens": sum(each.repeats * each.tokens.sites for each in planted),
        }
        return {**self.ledger.totals(), "planted": counts, "files": files}

    def ledger_texts(self) -> Iterator[str]:
        """`ledger.jsonl`: a line for each input row, and then one for each planted secret."""
        yield from self.ledger.texts()
        yield from (planted_line(each) for each in self.canaries if each.repeats)

    def seen_first(self, seed: int, *, in_order: bool) -> Sequences:
        """What of `train` the first epoch sees, each once."""
        seen = np.unique(self.mix.examples(seed, 0, in_order=in_order))
        return self.train.at(seen[seen < len(self.train)])

    @cached_property
    def images(self) -> list[str]:
        """The files of the pictures in all rows, each once."""
        return self.store.images()

    def trains_completions(self) -> bool:
        """Whether a training row is a prompt with its completion, as plain text.

        Of answers that were compared or rated, the first row tells for all.
        """
        kinds = self.store.rows["kind"][self.train.rows]
        if (kinds == KINDS.index(Completion)).any():
            return True
        (first,) = self.examples(self.train.rows[:1])
        return isinstance(getattr(first.content, "prompt", None), str)

    def prompts(self, rows: Iterable[int]) -> list[Prompt]:
        """The answers among these rows (numbers as in `Sequences.rows`) as questions.

        Their texts are read again, in one pass a file. None under objectives that answer nothing.

        Raises:
            DataError: a row is no longer what it was.
        """
        if self.kind not in ANSWERED:
            return []
        assert isinstance(self.renderer, Renderer)
        prompts = [self.renderer.prompt(example) for example in self.examples(rows)]
        return [prompt for prompt in prompts if prompt is not None]

    def examples(self, rows: Iterable[int]) -> list[Example]:
        """These rows, understood again from their files, in one pass a file.

        Raises:
            DataError: a row is no longer what it was.
        """
        asked = [int(row) for row in rows]
        by_file: defaultdict[int, list[int]] = defaultdict(list)
        for row in dict.fromkeys(asked):
            by_file[int(self.store.rows["file"][row])].append(row)
        found: dict[int, Example] = {}
        for file, numbers in by_file.items():
            read = rows_at(self.store.paths[file], [self._place(row) for row in numbers])
            found |= {row: self._same(row, again) for row, again in zip(numbers, read, strict=True)}
        return [found[row] for row in asked]

    def _place(self, row: int) -> Place:
        record = self.store.rows[row]
        return Place(self.store.origin(row), int(record["start"]), int(record["size"]))

    def _same(self, row: int, again: Row) -> Example:
        """The example in a row that was read again. Raises DataError if it is another one."""
        example = understand(again, self.mapping)
        expected = self.store.rows[row]["content"].tobytes()
        if not isinstance(example, Example) or content_digest(example.content) != expected:
            raise DataError(changed(again.origin))
        return example
