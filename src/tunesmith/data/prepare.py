"""From data files to tokens: read, understand, render, check, split, and account for every row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from tunesmith.core.errors import DataError
from tunesmith.core.files import sha256
from tunesmith.core.records import Example, Finding, Prompt, Tokens
from tunesmith.data.checks import Limits, check, in_both_splits
from tunesmith.data.formats import detect
from tunesmith.data.ledger import Entry, Ledger
from tunesmith.data.render import Kind, Renderer
from tunesmith.data.sources import read
from tunesmith.data.split import held_out

_NAMED = 5


class DataSettings(Protocol):
    """What this room reads of the recipe's section `data`."""

    @property
    def train(self) -> Sequence[str]:
        """Paths of the training files."""
        ...

    @property
    def validation(self) -> str | None:
        """Path of the validation file, or None to hold rows out of the training files."""
        ...

    @property
    def bad_rows(self) -> Literal["refuse", "drop"]:
        """What a row that cannot be trained does: stop the run, or be left out."""
        ...


@dataclass(frozen=True, slots=True)
class Prepared:
    """The data of a run.

    `train` and `held_out` are in the order of the input rows; one row may be several Tokens.
    `prompts` are the held-out chat and completion rows as questions (none under the objective
    "text"). `train_examples` are the training rows before rendering, for `Renderer.prompt`.
    `findings` holds drops and warnings, `files` the SHA-256 of each file read.
    """

    train: list[Tokens]
    held_out: list[Tokens]
    prompts: list[Prompt]
    train_examples: list[Example]
    ledger: Ledger
    findings: list[Finding]
    files: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Kept:
    example: Example
    parts: list[Tokens]


_Fate = _Kept | Finding


def prepare(
    settings: DataSettings,
    kind: Kind,
    renderer: Renderer,
    context: int,
    share: Callable[[int], float],
) -> Prepared:
    """Everything between the files and the batches.

    Args:
        settings: the recipe's data section.
        kind: the objective, "sft" or "text".
        renderer: made with the base's tokenizer.
        context: tokens the model sees, at least 2.
        share: from the number of usable rows, the share of the distinct ones to hold out (0 to 1)
            where no validation file is given.

    Raises:
        DataError: a file cannot be read; a row cannot be trained and `bad_rows` is "refuse"; or
            no row is left to train on, or none of the validation file.
    """
    training = read(settings.train)
    validation = read([settings.validation]) if settings.validation is not None else []
    detected = detect([*training, *validation])
    fates = _render(detected.rows, kind, renderer, context)
    if settings.validation is not None:
        _drop_twins(fates, len(training))
    drops = [fate for fate in fates if isinstance(fate, Finding)]
    if drops and settings.bad_rows == "refuse":
        raise DataError(_refusal(drops, len(fates)))
    if settings.validation is not None:
        held = [index >= len(training) for index in range(len(fates))]
    else:
        held = _split(fates, share)
    _require_rows(fates, held, settings.validation, drops)
    ledger = Ledger(len(training) + len(validation), list(map(_entry, fates, held)))
    ledger.verify()
    train = [f for f, side in zip(fates, held, strict=True) if isinstance(f, _Kept) and not side]
    tests = [f for f, side in zip(fates, held, strict=True) if isinstance(f, _Kept) and side]
    prompts = [renderer.prompt(fate.example) for fate in tests] if kind == "sft" else []
    return Prepared(
        train=[part for fate in train for part in fate.parts],
        held_out=[part for fate in tests for part in fate.parts],
        prompts=[prompt for prompt in prompts if prompt is not None],
        train_examples=[fate.example for fate in train],
        ledger=ledger,
        findings=[*detected.warnings, *drops],
        files={path: sha256(Path(path)) for path in _paths(settings)},
    )


def _paths(settings: DataSettings) -> list[str]:
    validation = [] if settings.validation is None else [settings.validation]
    return [*settings.train, *validation]


def _render(
    rows: Sequence[Example | Finding], kind: Kind, renderer: Renderer, context: int
) -> list[_Fate]:
    """Each understood row rendered and checked, in order."""
    start = renderer.encoder.tokenizer.bos_token_id
    limits = Limits(context, renderer.stop_ids(), start)
    examples = [row for row in rows if isinstance(row, Example)]
    rendered = renderer.render(examples, kind, context)
    fates: list[_Fate] = []
    for row in rows:
        if isinstance(row, Finding):
            fates.append(row)
            continue
        parts = next(rendered)
        if isinstance(parts, Finding):
            fates.append(parts)
        else:
            fates.append(check(row.origin, parts, limits) or _Kept(row, parts))
    return fates


def _drop_twins(fates: list[_Fate], border: int) -> None:
    """Drop the training rows (before `border`) that the validation file holds too."""
    kept = [index for index in range(border) if isinstance(fates[index], _Kept)]
    training = [fate.example for fate in fates[:border] if isinstance(fate, _Kept)]
    validation = [fate.example for fate in fates[border:] if isinstance(fate, _Kept)]
    for index, twin in zip(kept, in_both_splits(training, validation), strict=True):
        if twin is not None:
            fates[index] = twin


def _split(fates: Sequence[_Fate], share: Callable[[int], float]) -> list[bool]:
    contents = [fate.example.content for fate in fates if isinstance(fate, _Kept)]
    sides = iter(held_out(contents, share(len(contents))))
    return [isinstance(fate, _Kept) and next(sides) for fate in fates]


def _require_rows(
    fates: Sequence[_Fate], held: Sequence[bool], validation: str | None, drops: Sequence[Finding]
) -> None:
    kept = [side for fate, side in zip(fates, held, strict=True) if isinstance(fate, _Kept)]
    if kept.count(False) == 0:
        raise DataError(f"No row is left to train on. {_refusal(drops, len(fates))}")
    if validation is not None and kept.count(True) == 0:
        raise DataError(
            f"No row of the validation file {validation} is left. {_refusal(drops, len(fates))}"
        )


def _refusal(drops: Sequence[Finding], rows: int) -> str:
    """The first bad row's sentence, how many there are of which kind, and what to do."""
    first = drops[0]
    sentence = f"{first.origin}: {first.message}"
    if len(drops) > 1:
        counts = Counter(drop.reason for drop in drops).most_common()
        reasons = ", ".join(f"{reason} {count}" for reason, count in counts)
        places = ", ".join(str(drop.origin) for drop in drops[:_NAMED])
        more = ", …" if len(drops) > _NAMED else ""
        sentence += (
            f"\nIn all {len(drops)} of {rows} rows cannot be used ({reasons}): {places}{more}."
        )
    return (
        f"{sentence}\nCorrect the data, or leave such rows out with --set data.bad_rows=drop; the "
        "ledger then counts each with its reason."
    )


def _entry(fate: _Fate, side: bool) -> Entry:
    if isinstance(fate, Finding):
        assert fate.origin is not None
        return Entry(fate.origin, "dropped", fate.reason)
    supervised = sum(part.sites for part in fate.parts)
    return Entry(fate.example.origin, "held_out" if side else "trained", None, supervised)
