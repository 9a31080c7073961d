"""The act `sample`: rows that the base itself writes, to be learned again beside new ones.

A model that learns a task and meanwhile repeats what its base would have written keeps it
(pseudo-rehearsal: Robins 1995). A base with a chat template of its own writes conversations, the
question as well as the answer (Xu et al. 2024, Magpie); any other base writes texts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.core.errors import DataError
from tunesmith.core.files import require_new, write_jsonl
from tunesmith.core.ports import Silent, Watcher
from tunesmith.core.records import Message, Origin, Prompt
from tunesmith.core.seeds import derive
from tunesmith.data import Renderer, choose
from tunesmith.models.drawing import TOGETHER, draw
from tunesmith.models.open import Base, open_base
from tunesmith.recipe import AUTO, load
from tunesmith.runs.eyes import described_base, reads_alone
from tunesmith.runs.open import Opened
from tunesmith.runs.rendering import require_going_on
from tunesmith.runs.samples import opening_of
from tunesmith.runs.setup import early_choices, facts_of

_TRIES = 20
"""Texts drawn for each row that is wanted, at most: empty ones and repetitions are drawn again."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the base shall write: how many rows, of at most how many tokens, from which words on."""

    rows: int
    tokens: int = 256
    seed: int = 0
    opening: str = ""


def sample(
    base_name: str, wanted: Wanted, out: Path, watcher: Watcher | None = None
) -> tuple[int, str]:
    """Write `wanted.rows` different rows to the new file `out`; it appears whole or not at all.

    Returns how many texts were drawn for them, and the form of the rows: "text" or "messages".
    The rows of one seed are the same on one machine.

    Raises:
        DataError: `out` exists, or the base repeats itself too much to write so many rows.
        ModelError: the base cannot be opened, or nothing says where its texts begin.
        Unsupported: the base does not go on from what it reads, but answers.
    """
    watcher = watcher or Silent()
    require_new(out, "the samples")
    watcher.stage("base", f"open {base_name}")
    described = described_base(base_name)
    if reads_alone(described):
        described = described_base(base_name, sees=False)
    require_going_on(described, "`tunesmith sample`")
    model = early_choices(load(None, (), {"model.base": base_name}), facts_of(described), 1).recipe
    templated = bool(described.tokenizer.chat_template)
    template, _ = choose(described.tokenizer, AUTO)
    renderer = Renderer(described.tokenizer, template)
    base = open_base(described, model.model.dtype, model.model.device)
    watcher.stage("sample", f"{wanted.rows:,} rows")
    writer = _Writer(base, renderer, wanted, templated)
    write_jsonl(out, writer.rows(watcher))
    return writer.drawn, "messages" if templated else "text"


class _Writer:
    """A base that writes rows."""

    def __init__(self, base: Base, renderer: Renderer, wanted: Wanted, templated: bool) -> None:
        self._base, self._renderer, self._wanted = base, renderer, wanted
        self._templated = templated
        words_N = renderer.encoder.continuation(wanted.opening)
        opening_N = opening_of(renderer, templated=templated)
        self._opening_N = np.concatenate([opening_N, words_N]).astype(np.int32)
        self._length = min(wanted.tokens, base.described.context - len(self._opening_N))
        self._ends = renderer.encoder.specials | set(renderer.stop_ids())
        if self._length < 1:
            raise DataError(
                f"The opening has {len(self._opening_N)} tokens, and {base.described.name} reads "
                f"at most {base.described.context}: nothing could follow. Shorten it."
            )
        self.drawn = 0

    def rows(self, watcher: Watcher) -> Iterator[Row]:
        """Different rows, as many as wanted."""
        seen: set[str] = set()
        told = 0
        for number in count():
            for row in self._batch(derive(self._wanted.seed, "sample", number)):
                text = str(row)
                if text in seen or len(seen) == self._wanted.rows:
                    continue
                seen.add(text)
                yield row
            if len(seen) == self._wanted.rows:
                return
            if 10 * len(seen) // self._wanted.rows > told:
                told = 10 * len(seen) // self._wanted.rows
                watcher.note(f"{len(seen):,} of {self._wanted.rows:,} rows written.")
            if self.drawn >= _TRIES * max(self._wanted.rows, TOGETHER):
                raise DataError(
                    f"The base wrote only {len(seen):,} different rows in {self.drawn:,} tries. "
                    "Ask for fewer with --rows, or for longer ones with --tokens."
                )

    def _batch(self, seed: int) -> Iterator[Row]:
        self.drawn += TOGETHER
        drawn = draw(self._base, self._opening_N, TOGETHER, self._length, seed)
        texts = [self._text(ids_N) for ids_N in drawn]
        if self._templated:
            return self._conversations([text for text, ended in texts if text and ended], seed)
        return ({"text": text} for text, _ in texts if text)

    def _text(self, ids_N: np.ndarray) -> tuple[str, bool]:
        """What was written up to the first special token, and whether there is one."""
        ids = ids_N.tolist()
        end = next((place for place, token in enumerate(ids) if token in self._ends), len(ids))
        written = self._renderer.encoder.tokenizer.decode(ids[:end]) if end else ""
        whole = (self._wanted.opening + written).strip() if written.strip() else ""
        return whole, end < len(ids)

    def _conversations(self, questions: list[str], seed: int) -> Iterator[Row]:
        """The questions with the base's answers, those left out that did not come to an end."""
        most = self._wanted.tokens
        prompts = [self._prompt(line, text) for line, text in enumerate(questions, start=1)]
        room = self._base.described.context - most
        prompts = [prompt for prompt in prompts if len(prompt.ids_N) <= room]
        sampler = Opened(self._base, self._renderer).sampler
        answers = sampler.answer(prompts, most, 1.0, derive(seed, "answer"))
        for prompt, answer in zip(prompts, answers, strict=True):
            if answer.strip() and self._renderer.length(answer) < most:
                turns = [*prompt.messages, Message("assistant", answer.strip())]
                yield {"messages": [{"role": each.role, "content": each.content} for each in turns]}

    def _prompt(self, line: int, text: str) -> Prompt:
        asked = (Message("user", text),)
        return Prompt(Origin("samples", line), asked, self._renderer.ask(asked), "")
