"""Pages of lists, and the answers to a deletion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Generic, Literal, Self, TypeVar

from fastapi import Query

from tunesmith.serve.store.page import Page
from tunesmith.serve.wire.base import Answer

Item = TypeVar("Item", bound=Answer)
Row = TypeVar("Row")

After = Annotated[str | None, Query(max_length=256, description="The last id of the page before.")]


class Listed(Answer, Generic[Item]):
    """A page: `after=last_id` asks for the next one while there are more."""

    object: Literal["list"] = "list"
    data: list[Item]
    first_id: str | None
    last_id: str | None
    has_more: bool

    @classmethod
    def of(cls, page: Page[Row], show: Callable[[Row], Item]) -> Self:
        """The rows, each as the interface shows it."""
        data = [show(row) for row in page.rows]
        ids = [str(getattr(item, "id")) for item in data]  # noqa: B009
        return cls(
            data=data,
            first_id=ids[0] if ids else None,
            last_id=ids[-1] if ids else None,
            has_more=page.has_more,
        )
