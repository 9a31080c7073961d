"""The act `data show`: what of each row the model sees, and what all rows amount to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal

from tunesmith.core.errors import DataError
from tunesmith.core.files import require_new, write_text
from tunesmith.core.ports import Silent, Watcher
from tunesmith.core.records import Example, Finding, Origin, Tokens
from tunesmith.data import Prepared, show
from tunesmith.data.examine import look
from tunesmith.data.formats import understand
from tunesmith.data.infill import INFILLED
from tunesmith.data.sources import expand, require_readable, rows_of
from tunesmith.evaluate.shown import render_page
from tunesmith.recipe import Recipe
from tunesmith.runs.figures import Figures, figures_of
from tunesmith.runs.findings import require_checked
from tunesmith.runs.setup import Reader, read_data, reader_of

PARTS, TOKENS = 4, 1500
"""At most so many sequences of a row are shown, and so many tokens of each."""

Outcome = Literal["trained", "held_out", "dropped", "not_split"]


@dataclass(frozen=True, slots=True)
class Shown:
    """One sequence of a row as it is shown.

    `stretches` are texts and whether each is learned, `tokens` and `learned` count all of the
    sequence, also the `cut` tokens that are not shown, and `more` the row's further sequences.
    `complaint` says why a row is dropped; it has no stretches if it could not be rendered.
    """

    origin: Origin
    outcome: Outcome
    tokens: int = 0
    learned: int = 0
    stretches: tuple[tuple[str, bool], ...] = ()
    complaint: str | None = None
    cut: int = 0
    more: int = 0

    def marked(self) -> list[dict[str, str]]:
        """Each stretch with what becomes of it: trained, context or dropped."""
        if self.outcome == "dropped":
            whole = "".join(text for text, _ in self.stretches)
            return [{"text": whole, "is": "dropped"}] if whole else []
        names = {True: "trained", False: "context"}
        return [{"text": text, "is": names[learned]} for text, learned in self.stretches]

    def to_json(self) -> dict[str, Any]:
        """As plain values; no token of a dropped row is trained."""
        return {
            "row": str(self.origin),
            "outcome": self.outcome,
            "tokens": self.tokens,
            "trained_tokens": 0 if self.outcome == "dropped" else self.learned,
            "complaint": self.complaint,
            "stretches": self.marked(),
            "tokens_not_shown": self.cut,
            "further_sequences": self.more,
        }


@dataclass(frozen=True, slots=True)
class ShownData:
    """The first rows of data files, and the figures of all of them.

    Where a run on these files would stop, there are no figures, and `refusal` says why. `price` is
    that of a million tokens, where one was asked for.
    """

    files: tuple[str, ...]
    base: str
    rows: tuple[Shown, ...]
    recognised: tuple[str, ...] = ()
    figures: Figures | None = None
    refusal: str | None = None
    price: float | None = None

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values: what `--json` prints and the page is made from."""
        figures, price = self.figures, self.price
        return {
            "files": list(self.files),
            "base": self.base,
            "recognised": list(self.recognised),
            "refusal": self.refusal,
            "figures": None if figures is None else figures.to_json(),
            "cost": None if figures is None or price is None else figures.cost(price),
            "rows": [row.to_json() for row in self.rows],
        }


def show_data(
    recipe: Recipe,
    *,
    limit: int = 3,
    price: float | None = None,
    watcher: Watcher | None = None,
) -> ShownData:
    """The first `limit` rows of the training files, and the figures of a run of this recipe.

    Rows that cannot be trained are left out and counted, also where a run would stop at them or at
    what the checks found; the figures say so. Nothing is written.

    Raises:
        InputError: a file cannot be opened, or template or base cannot be used.
    """
    watcher = watcher or Silent()
    files = expand(recipe.data.require_train()).files
    require_readable(files)
    reader = reader_of(recipe)
    first = _first(files, recipe, reader, limit)
    whole = ShownData(files, recipe.model.base, tuple(first), price=price)
    watcher.stage("data", "read, check, split")
    lenient = recipe.data.model_copy(update={"bad_rows": "drop", "most_dropped": 1.0})
    try:
        prepared, resolved = read_data(recipe.model_copy(update={"data": lenient}), reader)
    except DataError as error:
        return replace(whole, refusal=str(error))
    for finding in prepared.findings:
        if finding.severity == "warn":
            watcher.note(finding.message)
    return replace(
        whole,
        rows=tuple(_with_outcomes(first, prepared)),
        recognised=tuple(prepared.recognised),
        figures=replace(figures_of(prepared, resolved.recipe), stops=_stops(recipe, prepared)),
    )


def shown_of_training(prepared: Prepared, recipe: Recipe, limit: int = 4) -> dict[str, Any]:
    """The first `limit` training sequences of a run and its figures, as plain values."""
    tokenizer = prepared.renderer.encoder.tokenizer
    chosen = (prepared.train[place] for place in range(min(limit, len(prepared.train))))
    rows = [_shown(tokens, tokenizer, "trained") for tokens in chosen]
    return {
        "figures": figures_of(prepared, recipe).to_json(),
        "rows": [row.to_json() for row in rows],
    }


def write_page(shown: ShownData, out: Path) -> None:
    """Write one self-contained page. Raises DataError if `out` exists or has no folder."""
    require_new(out, "the page")
    write_text(out, render_page(shown.to_json()))


def _first(files: Sequence[str], recipe: Recipe, reader: Reader, limit: int) -> list[Shown]:
    """The first rows by themselves: which of them are held out is not known yet."""
    rows = islice(chain.from_iterable(map(rows_of, files)), limit)
    mapping = recipe.data.mapping or {}
    shown: list[Shown] = []
    for read in [understand(row, mapping) for row in rows]:
        if isinstance(read, Finding):
            assert read.origin is not None
            shown.append(Shown(read.origin, "dropped", complaint=read.message))
        else:
            shown += _of_row(read, recipe, reader)
    return shown


def _of_row(example: Example, recipe: Recipe, reader: Reader) -> Iterator[Shown]:
    """The first sequences of a row; the last of them says how many more there are."""
    kind = recipe.objective.kind
    ((parts, finding),) = look([example], kind, reader.trained, reader.context)
    parts = [part for part in parts if part.part >= INFILLED] or parts
    complaint = None if finding is None else finding.message
    outcome: Outcome = "not_split" if finding is None else "dropped"
    if not parts:
        yield Shown(example.origin, outcome, complaint=complaint)
    for number, part in enumerate(parts[:PARTS], start=1):
        shown = _shown(part, reader.described.tokenizer, outcome)
        more = len(parts) - number if number == PARTS else 0
        yield replace(shown, complaint=complaint if number == 1 else None, more=more)


def _shown(part: Tokens, tokenizer: Any, outcome: Outcome) -> Shown:
    kept = replace(part, ids_N=part.ids_N[:TOKENS], weights_N=part.weights_N[:TOKENS])
    return Shown(
        part.origin,
        outcome,
        len(part),
        part.sites,
        tuple(show(kept, tokenizer)),
        cut=len(part) - len(kept),
    )


def _stops(recipe: Recipe, prepared: Prepared) -> str | None:
    """Why a run of this recipe would not begin with these rows; None if it would."""
    totals, most = prepared.ledger.totals(), recipe.data.most_dropped
    dropped = sum(totals["dropped"].values())
    if dropped and recipe.data.bad_rows == "refuse":
        return (
            "stops at rows that cannot be trained, unless --set data.bad_rows=drop leaves them out"
        )
    if dropped > most * totals["rows_in"]:
        return (
            f"stops where more than {most:.1%} of the rows would be left out: correct them, or "
            "raise data.most_dropped"
        )
    try:
        require_checked(recipe.data.checks, prepared.report)
    except DataError as error:
        return f"stops at what the checks found: {error}"
    return None


def _with_outcomes(shown: Sequence[Shown], prepared: Prepared) -> Iterator[Shown]:
    """The same rows, each with what the ledger says became of it."""
    wanted = {str(row.origin) for row in shown}
    lines = islice(prepared.ledger.lines(), len(wanted))
    found = {line["origin"]: line for line in lines if line["origin"] in wanted}
    for row in shown:
        line = found[str(row.origin)]
        complaint = row.complaint
        if line["outcome"] == "dropped" and row.outcome == "not_split":
            complaint = f"This row is dropped: {line['reason']}."
        yield replace(row, outcome=line["outcome"], complaint=complaint)
