"""Models that label or embed, kept open between requests."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from tunesmith.serve.chat.generation import Model
from tunesmith.serve.chat.prompts import opening

Opened = TypeVar("Opened")


@dataclass(slots=True)
class _Place(Generic[Opened]):
    """One model: opened by the first who uses it, and used by one at a time."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    opened: Opened | None = None


class Shelf(Generic[Opened]):
    """At most `room` models; the one used least recently goes first. Shared by threads."""

    def __init__(self, open_run: Callable[[Path], Opened], room: int) -> None:
        self._open_run = open_run
        self._room = room
        self._places: OrderedDict[str, _Place[Opened]] = OrderedDict()
        self._lock = threading.Lock()

    @contextmanager
    def used(self, model: Model) -> Iterator[Opened]:
        """The tuned model, for one thread. Raises ApiError 503 if it cannot be opened."""
        assert model.folder is not None  # a base does not label
        place = self._place(model.id)
        with place.lock:
            if place.opened is None:
                with opening(model):
                    place.opened = self._open_run(model.folder)
            yield place.opened

    def _place(self, id: str) -> _Place[Opened]:
        with self._lock:
            place = self._places.setdefault(id, _Place())
            self._places.move_to_end(id)
            if len(self._places) > self._room:
                self._places.popitem(last=False)
            return place
