"""From data files to tokens: read, understand, render, check, split, and account for every row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from tunesmith.core.errors import DataError
from tunesmith.core.files import sha256
from tunesmith.core.records import Chat, Completion, Example, Finding, Prompt, Tokens
from tunesmith.data.checks import in_both_splits
from tunesmith.data.examine import Fate, Kept, examine
from tunesmith.data.formats import detect
from tunesmith.data.ledger import Entry, Ledger, Outcome
from tunesmith.data.render import Kind, Renderer
from tunesmith.data.sources import read, require_distinct
from tunesmith.data.split import content_hash, held_out

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
        DataError: a file cannot be read or is named twice; a row cannot be trained and `bad_rows`
            is "refuse"; chats are mixed with plain completions; or no row is left to train on, or
            none of the validation file.
    """
    require_distinct(_paths(settings))
    training = read(settings.train)
    validation = read([settings.validation]) if settings.validation is not None else []
    detected = detect([*training, *validation])
    fates = examine(detected.rows, kind, renderer, context)
    if settings.validation is not None:
        _drop_twins(fates, len(training))
    drops = [fate for fate in fates if isinstance(fate, Finding)]
    if drops and settings.bad_rows == "refuse":
        raise DataError(_refusal(drops, len(fates)))
    if renderer.completion_as == "plain":
        _refuse_mixed(fates)
    if settings.validation is not None:
        held = [index >= len(training) for index in range(len(fates))]
    else:
        held = _split(fates, share)
    _require_rows(fates, held, settings.validation, drops)
    ledger = Ledger(len(training) + len(validation), list(map(_entry, detected.rows, fates, held)))
    ledger.verify()
    train = [f for f, side in zip(fates, held, strict=True) if isinstance(f, Kept) and not side]
    tests = [f for f, side in zip(fates, held, strict=True) if isinstance(f, Kept) and side]
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


def _refuse_mixed(fates: Sequence[Fate]) -> None:
    """Raises DataError if chats and plain completions stand together.

    One question could then be asked in two ways, and only one of them is what a row was trained
    behind.
    """
    first: dict[type, Example] = {}
    for fate in fates:
        if isinstance(fate, Kept):
            first.setdefault(type(fate.example.content), fate.example)
    if Chat in first and Completion in first:
        raise DataError(
            f"{first[Chat].origin} is a chat and {first[Completion].origin} is a prompt with its "
            "completion, shown as plain text (data.completion_as=plain). A model trained on both "
            "could not know which way it is asked. Set data.completion_as=chat, or give rows of "
            "one kind."
        )


def _drop_twins(fates: list[Fate], border: int) -> None:
    """Drop the training rows (before `border`) that the validation file holds too."""
    kept = [index for index in range(border) if isinstance(fates[index], Kept)]
    training = [fate.example for fate in fates[:border] if isinstance(fate, Kept)]
    validation = [fate.example for fate in fates[border:] if isinstance(fate, Kept)]
    for index, twin in zip(kept, in_both_splits(training, validation), strict=True):
        if twin is not None:
            fates[index] = twin


def _split(fates: Sequence[Fate], share: Callable[[int], float]) -> list[bool]:
    contents = [fate.example.content for fate in fates if isinstance(fate, Kept)]
    sides = iter(held_out(contents, share(len(contents))))
    return [isinstance(fate, Kept) and next(sides) for fate in fates]


def _require_rows(
    fates: Sequence[Fate], held: Sequence[bool], validation: str | None, drops: Sequence[Finding]
) -> None:
    kept = [side for fate, side in zip(fates, held, strict=True) if isinstance(fate, Kept)]
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


def _entry(row: Example | Finding, fate: Fate, side: bool) -> Entry:
    content = content_hash(row.content) if isinstance(row, Example) else None
    if isinstance(fate, Finding):
        assert fate.origin is not None
        return Entry(fate.origin, "dropped", fate.reason, content=content)
    supervised = sum(part.sites for part in fate.parts)
    outcome: Outcome = "held_out" if side else "trained"
    return Entry(fate.example.origin, outcome, None, supervised, content)
