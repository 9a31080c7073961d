"""The data of a run, as the rest of the program sees it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tunesmith.core.errors import DataError
from tunesmith.core.records import Completion, Example, Finding, Prompt
from tunesmith.data.formats import understand
from tunesmith.data.ledger import Ledger
from tunesmith.data.render import Kind, Renderer
from tunesmith.data.sequences import Sequences
from tunesmith.data.sources import changed, row_at
from tunesmith.data.split import content_digest
from tunesmith.data.store import KINDS, Store


@dataclass(frozen=True, slots=True)
class Prepared:
    """The data of a run.

    `train` and `held_out` are in the order of the input rows; one row may be several Tokens.
    `findings` holds warnings and drops (of the drops the first some hundred; the ledger has all),
    `files` the SHA-256 of each file read.
    """

    train: Sequences
    held_out: Sequences
    ledger: Ledger
    findings: list[Finding]
    files: dict[str, str]
    store: Store
    renderer: Renderer
    kind: Kind

    def trains_completions(self) -> bool:
        """Whether a training row is a prompt with its completion."""
        kinds = self.store.rows["kind"][self.train.rows]
        return bool((kinds == KINDS.index(Completion)).any())

    def prompts(self, rows: Iterable[int]) -> list[Prompt]:
        """The chats and completions among these rows (numbers as in `Sequences.rows`) as questions.

        Their texts are read again from the files. None under the objective "text".

        Raises:
            DataError: a row is no longer what it was.
        """
        if self.kind != "sft":
            return []
        prompts = [self.renderer.prompt(self._example(int(row))) for row in rows]
        return [prompt for prompt in prompts if prompt is not None]

    def _example(self, row: int) -> Example:
        record, origin = self.store.rows[row], self.store.origin(row)
        example = understand(row_at(origin, int(record["start"]), int(record["size"])))
        if not isinstance(example, Example) or (
            content_digest(example.content) != record["content"].tobytes()
        ):
            raise DataError(changed(origin))
        return example
