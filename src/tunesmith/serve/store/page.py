"""One page of a list that may grow while it is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Some rows in order, newest first unless said otherwise, and whether there are more.

    The next page begins behind the `id` of the last row: rows that were added since stand before
    the first page, so nothing is seen twice or missed.
    """

    rows: tuple[Row, ...]
    has_more: bool
