"""What the data of a run amount to: rows, tokens, lengths, repetition, and what that costs.

All of it is read off what the run itself trains on, so the totals are those of its ledger, its plan
and its metrics.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tunesmith.data import Prepared
from tunesmith.data.lengths import Bin, histogram
from tunesmith.data.prefixes import most_repeated
from tunesmith.recipe import Recipe
from tunesmith.runs.assembly import batches_for
from tunesmith.runs.workload import LAID_OUT, lay_out

_PREFIX_SHOWN = 300
"""Characters of the repeated beginning that are shown."""


@dataclass(frozen=True, slots=True)
class Prefix:
    """The beginning that repeats the most tokens.

    `tokens` long and in `sequences` of those `looked_at`; computed once it would save `saved`
    tokens. `text` is how it begins.
    """

    text: str
    tokens: int
    sequences: int
    looked_at: int
    saved: int


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of a run's data, before anything is trained.

    `rows` are the totals of the ledger. Of one epoch, `tokens` are all of the training sequences,
    `supervised` those that are predicted, and `computed` what is left where each shared prefix is
    laid down once a step: `estimated` from some steps where there are many. `in_pieces` counts
    training rows that are several sequences, `held_out` the tokens that are judged by. `stops` says
    why a run would not begin, where these are figures of data that it would refuse.
    """

    rows: Mapping[str, Any]
    kind: str
    context: int
    epochs: int
    sequences: int
    tokens: int
    supervised: int
    computed: int
    estimated: bool
    held_out: int
    in_pieces: int
    median: int
    longest: int
    bins: tuple[Bin, ...]
    prefix: Prefix | None
    stops: str | None = None

    def to_json(self) -> dict[str, Any]:
        """With the names that ledger.json and plan.json have for the same numbers."""
        return {
            "rows": dict(self.rows),
            "stops": self.stops,
            "kind": self.kind,
            "context": self.context,
            "epochs": self.epochs,
            "sequences": self.sequences,
            "tokens_per_epoch": self.tokens,
            "supervised_tokens_per_epoch": self.supervised,
            "supervised_share": self.supervised / self.tokens,
            "computed_tokens_per_epoch": self.computed,
            "computed_is_estimated": self.estimated,
            "held_out_tokens": self.held_out,
            "rows_in_pieces": self.in_pieces,
            "lengths": {
                "median": self.median,
                "longest": self.longest,
                "bins": [asdict(each) for each in self.bins],
            },
            "prefix": None if self.prefix is None else asdict(self.prefix),
        }

    def cost(self, price: float) -> dict[str, Any]:
        """What training takes at `price` for a million tokens, each of every epoch counted."""
        tokens = self.tokens * self.epochs
        return {"price_per_million": price, "tokens": tokens, "cost": tokens * price / 1e6}


def figures_of(prepared: Prepared, recipe: Recipe) -> Figures:
    """The figures of prepared data under a resolved recipe."""
    train, mix = prepared.train, prepared.mix
    batches = batches_for(recipe, prepared, share=True)
    steps = batches.steps_per_epoch
    _, parts_R = np.unique(train.rows, return_counts=True)
    return Figures(
        rows=prepared.ledger.totals(),
        kind=prepared.kind,
        context=int(recipe.data.context),
        epochs=int(recipe.engine.epochs),
        sequences=mix.epoch_size,
        tokens=mix.per_epoch(prepared.trained_on.lengths),
        supervised=mix.per_epoch(prepared.trained_on.sites),
        computed=lay_out(batches, steps, padded=False).tokens,
        estimated=steps > LAID_OUT,
        held_out=int(prepared.held_out.lengths.sum()),
        in_pieces=int((parts_R > 1).sum()),
        median=int(np.median(train.lengths)),
        longest=int(train.lengths.max()),
        bins=histogram(train.lengths),
        prefix=_prefix(prepared),
    )


def _prefix(prepared: Prepared) -> Prefix | None:
    train = prepared.train
    found = most_repeated(train, float(train.lengths.mean()))
    if found is None or prepared.images:  # equal tokens may stand for other pictures
        return None
    tokenizer = prepared.renderer.encoder.tokenizer
    text = str(tokenizer.decode(found.ids_P.tolist(), clean_up_tokenization_spaces=False))
    shown = text if len(text) <= _PREFIX_SHOWN else f"{text[:_PREFIX_SHOWN]}…"
    return Prefix(shown, len(found.ids_P), found.sequences, found.looked_at, found.saved)
