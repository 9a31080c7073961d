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
    """The rows of one table behind the one whose id is `after`.

    Raises ApiError 400 if there is no such row among them.
    """
    if after is not None:
        seq = session.scalar(rows.where(table.id == after).with_only_columns(table.seq))
        if seq is None:
            raise bad_request(
                f"after: there is no {after!r} in this list. Give the id of the last object of "
                "the page before, or leave it out.",
                param="after",
            )
        rows = rows.where(table.seq < seq)
    found = session.scalars(rows.order_by(table.seq.desc()).limit(limit + 1)).all()
    return Page(tuple(found[:limit]), len(found) > limit)
