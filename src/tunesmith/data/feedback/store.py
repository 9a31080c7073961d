"""The feedback store: judgements in, each at once or many together, and out again."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Select, func, select

from tunesmith.core.errors import DataError, Unsupported
from tunesmith.core.records import Message, Spoken
from tunesmith.data.feedback.records import (
    Answer,
    Choice,
    Edit,
    Feedback,
    Judgement,
    Kind,
    Rated,
    now,
    utc,
)
from tunesmith.data.feedback.rows import identity
from tunesmith.data.feedback.tables import (
    ANSWERS,
    FEEDBACK,
    create,
    opened,
    refusals,
    writing,
)

_TOGETHER = 200
"""Judgements that one statement holds: SQLite takes a few hundred values in each."""

_LIKED = {"liked": True, "disliked": False}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which judgements; None leaves it open. `model` gave one of the answers at least, `since` is a
    time as `records.utc` writes it."""

    person: str | None = None
    model: str | None = None
    since: str | None = None


class FeedbackStore:
    """Judgements in a file, to which several processes may add at once.

    It holds no connection open between calls, so it need not be closed.
    """

    def __init__(self, where: Path | str, *, new: bool = True) -> None:
        """Open the store in a file, and make it first where there is none and it may be `new`.

        Raises:
            DataError: there is no such file, or it is no store, or one of a later version.
            StorageError: the file can be neither read nor written.
            Unsupported: `where` is the address of another kind of database.
        """
        if "://" in str(where):
            raise Unsupported(
                f"Feedback is kept in a SQLite file; {str(where).split('://')[0]}:// is no place "
                "for it. Give the path of a file, which need not exist."
            )
        self.path = Path(where)
        if not os.path.exists(self.path):  # also where it may not be looked for
            if not new:
                raise DataError(
                    f"There is no feedback store {self.path}. `tunesmith feedback collect` and "
                    "`tunesmith feedback add` make one; --store names another."
                )
            create(self.path)
        self._engine = opened(self.path)

    def add(self, feedback: Feedback) -> bool:
        """Keep one judgement; False if the store has it already. Raises as `add_all`."""
        return self.add_all([feedback]) == 1

    def add_all(self, feedback: Iterable[Feedback]) -> int:
        """Keep judgements, all or none of them; returns how many the store had not.

        Raises:
            DataError: a text holds what no text can, or a time is none.
            StorageError: the disk refuses.
        """
        given = iter([_whole(each) for each in feedback])
        added = 0
        with writing(self._engine, self.path) as connection:
            while together := list(islice(given, _TOGETHER)):
                added += _insert(connection, together)
        return added

    def __len__(self) -> int:
        with refusals(self.path), self._engine.connect() as connection:
            return connection.execute(select(func.count()).select_from(FEEDBACK)).scalar_one()

    def __iter__(self) -> Iterator[Feedback]:
        return self.feedback()

    def feedback(self, wanted: Wanted | None = None) -> Iterator[Feedback]:
        """Judgements in the order in which they came, as they stood when the first was taken."""
        with refusals(self.path), self._engine.connect() as connection:
            rows = connection.execution_options(yield_per=_TOGETHER).execute(
                _selected(wanted or Wanted())
            )
            for _, group in groupby(rows.mappings(), key=lambda row: row["number"]):
                yield _feedback([*group])


def _whole(feedback: Feedback) -> Feedback:
    """With an id and a time."""
    try:
        known = feedback.id or identity(feedback)
        "".join([feedback.person, *(answer.text for answer in feedback.answers)]).encode()
    except UnicodeEncodeError as error:
        raise DataError(
            "Feedback holds half of a surrogate pair, which is no text and cannot be kept: "
            f"{error.object[max(error.start - 20, 0) : error.end + 20]!a}. Write the whole "
            "character."
        ) from error
    return replace(feedback, id=known, time=_time(feedback.time))


def _time(text: str) -> str:
    try:
        return utc(text) if text else now()
    except (ValueError, OverflowError):
        raise DataError(f"{text!r} is no time of ISO 8601, as 2026-05-04T12:30:00Z is.") from None


def _insert(connection: Connection, given: list[Feedback]) -> int:
    """Those that are not there yet, the first of each id."""
    distinct: dict[str, Feedback] = {}
    for each in given:
        distinct.setdefault(each.id, each)
    there = select(FEEDBACK.c.id).where(FEEDBACK.c.id.in_(distinct))
    known = set(connection.execute(there).scalars())
    fresh = [each for id, each in distinct.items() if id not in known]
    if fresh:
        connection.execute(FEEDBACK.insert(), [_row(each) for each in fresh])
        connection.execute(ANSWERS.insert(), [row for each in fresh for row in _answer_rows(each)])
    return len(fresh)


def _row(feedback: Feedback) -> dict[str, Any]:
    prompt = feedback.prompt
    turns = prompt if isinstance(prompt, str) else [asdict(message) for message in prompt]
    return {
        "id": feedback.id,
        "kind": feedback.kind,
        "prompt": json.dumps(turns, ensure_ascii=False),
        "said": _said(feedback.judgement),
        "person": feedback.person,
        "time": feedback.time,
    }


def _answer_rows(feedback: Feedback) -> list[dict[str, Any]]:
    return [
        {"feedback": feedback.id, "place": place, **asdict(answer)}
        for place, answer in enumerate(feedback.answers, start=1)
    ]


def _said(judgement: Judgement) -> str:
    if isinstance(judgement, Choice):
        return judgement.preferred
    if isinstance(judgement, Edit):
        return judgement.corrected
    return "liked" if judgement.liked else "disliked"


def _selected(wanted: Wanted) -> Select[Any]:
    query = (
        select(FEEDBACK, *(column for column in ANSWERS.c if column.name != "feedback"))
        .join(ANSWERS, ANSWERS.c.feedback == FEEDBACK.c.id)
        .order_by(FEEDBACK.c.number, ANSWERS.c.place)
    )
    if wanted.person is not None:
        query = query.where(FEEDBACK.c.person == wanted.person)
    if wanted.since is not None:
        query = query.where(FEEDBACK.c.time >= wanted.since)
    if wanted.model is not None:
        theirs = select(ANSWERS.c.feedback).where(ANSWERS.c.model == wanted.model)
        query = query.where(FEEDBACK.c.id.in_(theirs))
    return query


def _feedback(rows: list[Any]) -> Feedback:
    """A judgement from its row, which stands beside each of its answers."""
    first = rows[0]
    answers = [Answer(row["text"], row["model"], row["version"], row["sampling"]) for row in rows]
    return Feedback(
        _prompt(json.loads(first["prompt"])),
        _judgement(first["kind"], first["said"], answers),
        first["person"],
        first["time"],
        first["id"],
    )


def _prompt(value: Any) -> Spoken:
    return value if isinstance(value, str) else tuple(map(Message.from_json, value))


def _judgement(kind: Kind, said: Any, answers: list[Answer]) -> Judgement:
    if kind == "choice":
        return Choice(answers[0], answers[1], said)
    return Rated(answers[0], _LIKED[said]) if kind == "rating" else Edit(answers[0], said)
