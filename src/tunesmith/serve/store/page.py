"""One page of a list that may grow while it is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Select
from sqlalchemy.orm import Session

from tunesmith.serve.errors import bad_request

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Some rows in order, newest first unless said otherwise, and whether there are more.

    The next page begins behind the `id` of the last row: rows that were added since stand before
    the first page, so nothing is seen twice or missed.
    """

    rows: tuple[Row, ...]
    has_more: bool


def newest_first(
    session: Session, rows: Select[Row], table: Any, after: str | None, limit: int
) -> Page[Row]:
    """The rows of one table behind the one whose id is `after`, newest first.

    Raises ApiError 400 if there is no such row among them.
    """
    return cut(session, rows, table, place_of(session, rows, table, after), limit)


def place_of(session: Session, among: Select[Row], table: Any, after: str | None) -> int | None:
    """The place of the row that a page begins behind, None for the first page.

    Raises ApiError 400 where there is none among these: a list that silently began anew, or ended,
    would be taken for the whole.
    """
    if after is None:
        return None
    place: int | None = session.scalar(among.where(table.id == after).with_only_columns(table.seq))
    if place is None:
        raise bad_request(
            f"after: there is no {after!r} in this list. Give the id of the last object of "
            "the page before, or leave it out.",
            param="after",
        )
    return place


def cut(
    session: Session,
    rows: Select[Row],
    table: Any,
    place: int | None,
    limit: int,
    *,
    ascending: bool = False,
) -> Page[Row]:
    """At most `limit` of the rows behind that place, newest first unless `ascending`."""
    if place is not None:
        rows = rows.where(table.seq > place if ascending else table.seq < place)
    ordered = rows.order_by(table.seq if ascending else table.seq.desc())
    found = session.scalars(ordered.limit(limit + 1)).all()
    return Page(tuple(found[:limit]), len(found) > limit)
