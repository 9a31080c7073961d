"""Which answers are written side by side: as many as memory allows, prompts of like length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from tunesmith.core.records import Origin, Prompt
from tunesmith.models.open import Base
from tunesmith.models.prompted import PromptedForward


@dataclass(frozen=True, slots=True)
class Cost:
    """Bytes: of a token that is kept, of a row beside its tokens, and of all rows of a round.

    `shared` says that a prompt is kept once for all of its answers, `padded` that prompts of
    several lengths may stand in one round.
    """

    token: int
    row: int
    memory: int
    shared: bool
    padded: bool

    def of_prompt(self, tokens: int, room: int, answers: int) -> int:
        """Of so many answers to a prompt."""
        copies = 1 if self.shared else answers
        return copies * tokens * self.token + answers * (room * self.token + self.row)

    def most_answers(self, tokens: int, room: int) -> int:
        """To one prompt in one round, one at least."""
        first = self.of_prompt(tokens, room, 1)
        more = self.of_prompt(tokens, room, 2) - first
        return max(1, 1 + (self.memory - first) // more)


def cost_of(base: Base, memory: int) -> Cost:
    """What writing with `base` takes, in rounds of at most `memory` bytes."""
    config = base.described.text
    heads = getattr(config, "num_attention_heads", None) or 1
    width = getattr(config, "head_dim", None) or base.described.hidden_size // heads
    groups = getattr(config, "num_key_value_heads", None) or heads
    return Cost(
        token=2 * 4 * base.described.layers * groups * width,
        row=4 * 4 * base.described.vocab_size,  # logits, shares, their sums, and one more
        memory=memory,
        shared=base.forward.shares,
        padded=not isinstance(base.forward, PromptedForward),
    )


@dataclass(slots=True)
class Asked:
    """One round: each prompt once, and for each row whose answer it is, of `room` tokens at most.

    `rows` are the place of the prompt in what was asked, and the number of the answer; `owner_R`
    are indices into `prompts`, ascending.
    """

    room: int

    prompts: list[np.ndarray] = field(default_factory=list)
    rows: list[tuple[int, int]] = field(default_factory=list)
    owner_R: list[int] = field(default_factory=list)
    origins: list[Origin] = field(default_factory=list)

    def add(self, prompt: Prompt, rows: Sequence[tuple[int, int]]) -> None:
        """So many more answers to `prompt`."""
        self.rows += rows
        self.owner_R += [len(self.prompts)] * len(rows)
        self.origins += [prompt.origin] * len(rows)
        self.prompts.append(prompt.ids_N)


def rounds(
    prompts: Sequence[Prompt], rooms: Sequence[int], answers: int, cost: Cost
) -> Iterator[Asked]:
    """All answers to all prompts. Prompts of the same tokens are one, and are computed once.

    Only answers of equal room stand together: a row that has ended is computed a while longer, and
    must not reach beyond the context.
    """
    asked, taken = Asked(0), 0
    for places in _alike(prompts):
        prompt, room = prompts[places[0]], rooms[places[0]]
        length = len(prompt.ids_N)
        rows = [(place, number) for place in places for number in range(answers)]
        step = cost.most_answers(length, room)
        for start in range(0, len(rows), step):
            some = rows[start : start + step]
            more = cost.of_prompt(length, room, len(some))
            alike = room == asked.room and (cost.padded or length == len(asked.prompts[0]))
            if not (alike and taken + more <= cost.memory):
                if asked.rows:
                    yield asked
                asked, taken = Asked(room), 0
            asked.add(prompt, some)
            taken += more
    if asked.rows:
        yield asked


def _alike(prompts: Sequence[Prompt]) -> Iterator[list[int]]:
    """The places of prompts of the same tokens, the shortest first."""

    def tokens(place: int) -> tuple[int, bytes]:
        ids_N = prompts[place].ids_N
        return len(ids_N), ids_N.tobytes()

    for _, places in groupby(sorted(range(len(prompts)), key=tokens), key=tokens):
        yield list(places)
