"""From data files to tokens: read, understand, render, check, split, and account for every row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol

from tunesmith.core.errors import DataError
from tunesmith.data.checks import missing_start
from tunesmith.data.examine import RowRenderer
from tunesmith.data.fates import Fates
from tunesmith.data.kinds import Kind
from tunesmith.data.looked import report_of
from tunesmith.data.mixing import WeightedSource, open_sources
from tunesmith.data.portions import Tokenise
from tunesmith.data.prepared import Prepared
from tunesmith.data.sources import expand, require_distinct, require_readable
from tunesmith.data.tokenised import tokenised


class DataSettings(Protocol):
    """What this room reads of the recipe's section `data`."""

    @property
    def train(self) -> Sequence[str | WeightedSource]:
        """Training files, folders of them, and patterns, some with a weight."""
        ...

    @property
    def validation(self) -> str | None:
        """The validation file, a folder or a pattern; None holds training rows out."""
        ...

    @property
    def mapping(self) -> Mapping[str, str] | None:
        """Names of fields, and the names under which they are read, where they are others."""
        ...

    @property
    def group_by(self) -> str | None:
        """The field whose equal values stay on one side of the split; None is a known one."""
        ...

    @property
    def bad_rows(self) -> Literal["refuse", "drop"]:
        """What a row that cannot be trained does: stop the run, or be left out."""
        ...

    @property
    def most_dropped(self) -> float:
        """The share of the rows that may be left out."""
        ...


def prepare(
    settings: DataSettings,
    kind: Kind,
    renderer: RowRenderer,
    context: int,
    share: Callable[[int], float],
    *,
    classes: bool = False,
) -> Prepared:
    """Everything between the files and the batches.

    Args:
        settings: the recipe's data section.
        kind: the objective.
        renderer: made with the base's tokenizer.
        context: tokens the model sees, at least 2.
        share: from the number of usable rows, the share of the distinct ones to hold out (0 to 1)
            where no validation file is given.
        classes: labels are classes: a held-out row has none that no training row has.

    Raises:
        DataError: a file cannot be read or is named twice; a row cannot be trained and `bad_rows`
            is "refuse", or more than `most_dropped` of them cannot; no row has the field
            `group_by`; chats are mixed with plain completions; or no row is left to train on, or
            none of the validation file.
        StorageError: the tokens of large files cannot be kept on disk.
    """
    train = open_sources(settings.train)
    validation = expand([] if settings.validation is None else [settings.validation])
    paths = (*train.files, *validation.files)
    require_distinct(paths)
    require_readable(paths)
    task = Tokenise(renderer, kind, context, settings.mapping or {}, settings.group_by)
    made = tokenised(paths, len(train.files), task)
    fates = Fates(made.store, len(train.files))
    if settings.validation is not None:
        fates.drop_twins()
        if classes:
            fates.drop_unseen()
    if fates.drops and settings.bad_rows == "refuse":
        raise DataError(fates.refusal())
    fates.require_few(settings.most_dropped)
    if settings.group_by is not None:
        fates.require_grouped(settings.group_by)
    if renderer.completion_as == "plain":
        fates.refuse_mixed()
    held_R = fates.validation_R if settings.validation is not None else fates.split(share)
    if classes:
        held_R[fates.unseen(held_R)] = False  # a class of few rows is learned before it is judged
    fates.require_both(held_R, settings.validation)
    ledger = fates.ledger(held_R)
    ledger.verify()
    trained = fates.trained(~held_R)
    unstarted = missing_start(trained, renderer.encoder.start)
    return Prepared(
        train=trained,
        held_out=fates.sequences(held_R),
        infilled=fates.sequences(held_R, infilled=True),
        ledger=ledger,
        findings=[
            *train.findings,
            *validation.findings,
            *made.notes,
            *fates.warnings(),
            *([] if unstarted is None else [unstarted]),
            *fates.findings(),
        ],
        files=made.digests,
        store=made.store,
        renderer=renderer,
        kind=kind,
        mapping=settings.mapping or {},
        recognised=fates.recognised(),
        report=report_of(made.store, len(train.files)),
        sources=train,
    )
