"""Whose turn it is: answers that wait to be begun, fairly between keys."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Iterator

from tunesmith.runs.resident import Placed, Row, Wanted
from tunesmith.serve.chat.generation import Piece
from tunesmith.serve.errors import ApiError, too_many

_RETRY_SECONDS = 2.0


class Ticket:
    """One answer, from when it was asked for until it has been told.

    Its pieces are handed from the thread that owns the model to `loop`, where `news` is set.
    """

    def __init__(self, key: str, placed: Placed, wanted: Wanted) -> None:
        self.key, self.placed, self.wanted = key, placed, wanted
        self.loop = asyncio.get_running_loop()
        self.pieces: deque[Piece | ApiError] = deque()
        self.news = asyncio.Event()
        self.since = time.monotonic()
        self.row: Row | None = None
        self.cancelled = False

    def tell(self, piece: Piece | ApiError) -> None:
        """Called in `loop`."""
        self.pieces.append(piece)
        self.news.set()


class Turns:
    """Tickets that wait, `most` of one key, and few more of several. The key with the fewest
    answers under way is next, and of equals the one that has waited longest."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: OrderedDict[str, deque[Ticket]] = OrderedDict()
        self._under_way: Counter[str] = Counter()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, ticket: Ticket) -> None:
        """Wait. Raises ApiError where too many wait already, unless fewer of this key's than are
        its share: one key fills no queue for the others."""
        mine, keys = len(self._waiting.get(ticket.key, ())), {*self._waiting, ticket.key}
        if self._size >= self._most and mine * len(keys) >= self._most:
            raise too_many(
                f"{self._size} answers wait to be begun, which is all that this service lets wait. "
                "Try again in a moment.",
                _RETRY_SECONDS,
                code="queue_full",
            )
        self._waiting.setdefault(ticket.key, deque()).append(ticket)
        self._size += 1

    def in_turn(self) -> Iterator[Ticket]:
        """Those that wait, in the order in which they are to begin as of now."""
        keys = list(self._waiting)
        heads = {key: deque(self._waiting[key]) for key in keys}
        counts = Counter({key: self._under_way[key] for key in keys})
        while heads:
            key = min(heads, key=lambda each: counts[each])
            yield heads[key].popleft()
            counts[key] += 1
            if not heads[key]:
                del heads[key]

    def begin(self, ticket: Ticket) -> None:
        """It is under way; its key comes last among equals."""
        self.remove(ticket)
        self._under_way[ticket.key] += 1
        if ticket.key in self._waiting:
            self._waiting.move_to_end(ticket.key)

    def end(self, ticket: Ticket) -> None:
        """It is through."""
        self._under_way[ticket.key] -= 1
        if not self._under_way[ticket.key]:
            del self._under_way[ticket.key]

    def remove(self, ticket: Ticket) -> None:
        """It waits no longer, if it did."""
        waiting = self._waiting.get(ticket.key, deque())
        if ticket not in waiting:
            return
        waiting.remove(ticket)
        self._size -= 1
        if not waiting:
            del self._waiting[ticket.key]
