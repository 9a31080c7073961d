"""The thread that owns the models: it begins answers in turn, writes all of them side by side, and
hands on what can be told."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict, defaultdict, deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Condition, Thread

from tunesmith.core.errors import TunesmithError
from tunesmith.runs.resident import Resident, Row, Weights, Written
from tunesmith.serve.chat.counts import Counts
from tunesmith.serve.chat.generation import Piece, TokenLogprob
from tunesmith.serve.chat.turns import Ticket, Turns
from tunesmith.serve.errors import ApiError, unavailable
from tunesmith.serve.settings import Settings

_log = logging.getLogger(__name__)

_FLUSH_SECONDS = 0.03
"""Pieces are handed on so often: to wake a client for every token of every row costs as much as to
write it."""

_PATIENCE_SECONDS = 5.0
"""That an answer waits for its adapter before others wait for it."""

_LOADERS = 2
"""Threads that read weights and adapters from the disk."""

Told = tuple[Ticket, Piece | ApiError]


class ModelThread:
    """Started by the first answer that is asked for."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._turns = Turns(settings.limits.waiting_answers)
        self._condition = Condition()
        self._open: OrderedDict[Weights, Resident] = OrderedDict()
        self._opening: dict[Weights, Future[Resident]] = {}
        self._pool = ThreadPoolExecutor(_LOADERS, thread_name_prefix="tunesmith-load")
        self._tickets: dict[Row, Ticket] = {}
        self._cancelled: deque[Ticket] = deque()
        self._untold: list[Told] = []
        self._told_at = 0.0
        self._changed = False
        self._closing = False
        self._thread: Thread | None = None
        self._counts = Counts()

    def add(self, ticket: Ticket) -> None:
        """Write this answer in its turn. Raises ApiError where too many wait, or at the end."""
        with self._condition:
            if self._closing:
                raise _stopping()
            self._turns.add(ticket)
            if self._thread is None:
                self._thread = Thread(target=self._run, name="tunesmith-model", daemon=True)
                self._thread.start()
            self._notice()

    def cancel(self, ticket: Ticket) -> None:
        """Nobody waits for it any more."""
        with self._condition:
            ticket.cancelled = True
            self._cancelled.append(ticket)
            self._notice()

    def close(self) -> None:
        """End all, and give memory back."""
        with self._condition:
            self._closing = True
            self._notice()
        if self._thread is not None:
            self._thread.join()
        self._pool.shutdown(cancel_futures=True)
        self._open.clear()

    def counts(self) -> Counts:
        """As of now."""
        with self._condition:
            counts = self._counts
            counts.waiting, counts.under_way = len(self._turns), len(self._tickets)
            writers = [resident.writer for resident in self._open.values()]
            counts.bases = len(writers)
            counts.adapters = sum(len(writer.bank) for writer in writers)
            counts.adapter_bytes = sum(writer.bank.bytes for writer in writers)
            counts.prefix_bytes = sum(writer.prefixes.bytes for writer in writers)
            return counts

    def _notice(self) -> None:
        self._changed = True
        self._condition.notify()

    def _wake(self) -> None:
        with self._condition:
            self._notice()

    def _run(self) -> None:
        try:
            self._work()
        except Exception:
            _log.exception("the thread that writes answers broke down; it begins anew")
            self._thread = None
        self._end()

    def _work(self) -> None:
        while True:
            with self._condition:
                while not (self._changed or self._tickets or self._closing):
                    self._condition.wait()
                if self._closing:
                    return
                self._forget()
                if self._changed:
                    self._changed = False
                    self._begin()
            self._step()
            self._hand_on()

    def _forget(self) -> None:
        while self._cancelled:
            ticket = self._cancelled.popleft()
            if ticket.row is None:
                self._turns.remove(ticket)
            elif ticket.row in self._tickets:
                self._leave(ticket)

    def _begin(self) -> None:
        """Every answer that waits and can be begun now.

        Where one has waited long for its adapter, because those in memory are used without a pause,
        nothing is begun behind it until some of them are idle.
        """
        now, held = time.monotonic(), set[Weights]()
        for ticket in self._turns.in_turn():
            weights = ticket.placed.weights
            if weights in held:
                continue
            try:
                resident = self._resident(ticket)
                if resident is None or not self._has_place(resident, ticket):
                    if now - ticket.since > _PATIENCE_SECONDS:
                        held.add(weights)
                    continue
                row = resident.writer.join(ticket.wanted)
            except Exception as error:  # of whatever kind: it is this answer's alone
                if isinstance(error, TunesmithError):
                    _log.error("a model could not be opened: %s", error)
                else:
                    _log.exception("an answer could not be begun")
                self._turns.remove(ticket)
                self._tell(ticket, _not_opened())
                continue
            self._turns.begin(ticket)
            ticket.row = row
            self._tickets[row] = ticket

    def _has_place(self, resident: Resident, ticket: Ticket) -> bool:
        if len(resident.writer.rows) >= self._settings.batch_size:
            return False
        return resident.ready(ticket.placed.adapter, self._pool, self._wake)

    def _resident(self, ticket: Ticket) -> Resident | None:
        """The open weights that it needs, None while they are being opened."""
        weights = ticket.placed.weights
        if weights in self._open:
            self._open.move_to_end(weights)
            return self._open[weights]
        if weights not in self._opening and self._made_room():
            most = self._settings.resident_adapters
            self._opening[weights] = self._pool.submit(Resident, ticket.placed, most)
            self._opening[weights].add_done_callback(lambda _: self._wake())
        if weights in self._opening and self._opening[weights].done():
            self._open[weights] = self._opening.pop(weights).result()
            return self._open[weights]
        return None

    def _made_room(self) -> bool:
        """Whether another base may be opened; the idle one used least recently goes for it."""
        if len(self._open) + len(self._opening) < self._settings.resident_bases:
            return True
        idle = next((each for each, one in self._open.items() if not one.writer.rows), None)
        if idle is None:
            return False
        del self._open[idle]
        return True

    def _step(self) -> None:
        for weights, resident in list(self._open.items()):
            rows = len(resident.writer.rows)
            if not rows:
                continue
            try:
                told = resident.writer.step()
            except Exception:
                _log.exception("a model broke down; it is opened again for the next answer")
                self._break(weights, resident)
                continue
            self._counts.steps += 1
            self._counts.rows_stepped += rows
            self._hear(told)

    def _hear(self, told: Sequence[tuple[Row, Written]]) -> None:
        for row, written in told:
            ticket = self._tickets[row]
            self._counts.written_tokens += written.tokens
            if written.finish is not None:
                self._leave(ticket)
                self._counts.answers += 1
                self._counts.prompt_tokens += len(row.wanted.prompt)
                self._counts.cached_tokens += row.cached
            self._tell(ticket, _broken() if written.finish == "failed" else _piece(row, written))

    def _leave(self, ticket: Ticket) -> None:
        assert ticket.row is not None
        del self._tickets[ticket.row]
        self._open[ticket.placed.weights].writer.leave(ticket.row)
        self._turns.end(ticket)
        self._changed = True

    def _break(self, weights: Weights, resident: Resident) -> None:
        del self._open[weights]
        for row in resident.writer.rows:
            ticket = self._tickets.pop(row)
            self._turns.end(ticket)
            self._tell(ticket, _broken())
        self._changed = True

    def _tell(self, ticket: Ticket, said: Piece | ApiError) -> None:
        self._counts.failures += isinstance(said, ApiError)
        self._untold.append((ticket, said))

    def _hand_on(self) -> None:
        now = time.monotonic()
        if not self._untold or (self._tickets and now - self._told_at < _FLUSH_SECONDS):
            return
        self._told_at = now
        by_loop: dict[asyncio.AbstractEventLoop, list[Told]] = defaultdict(list)
        for ticket, said in self._untold:
            by_loop[ticket.loop].append((ticket, said))
        self._untold = []
        for loop, told in by_loop.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(_tell_all, told)

    def _end(self) -> None:
        """Tell all who still wait that nothing will come."""
        with self._condition:
            waiting = list(self._turns.in_turn())
            for ticket in (*self._tickets.values(), *waiting):
                self._untold.append((ticket, _stopping() if self._closing else _broken()))
            for ticket in waiting:
                self._turns.remove(ticket)
            for ticket in self._tickets.values():
                self._turns.end(ticket)
            self._tickets.clear()
            self._open.clear()
        self._hand_on()


def _tell_all(told: Sequence[Told]) -> None:
    for ticket, said in told:
        ticket.tell(said)


def _piece(row: Row, written: Written) -> Piece:
    likely = (TokenLogprob(o.id, o.raw, o.logprob, o.rivals) for o in written.likely)
    finish = None if written.finish == "failed" else written.finish
    return Piece(
        written.text, written.tokens, tuple(likely), finish, len(row.wanted.prompt), row.cached
    )


def _broken() -> ApiError:
    return ApiError(
        500,
        "The model could not go on with this answer: it gave no numbers to choose a token by, or "
        "the schema cannot be followed any further. Nothing was kept of it.",
        kind="server_error",
    )


def _not_opened() -> ApiError:
    return ApiError(
        500,
        "The model could not be opened on this server. Its operator finds the reason in the log.",
        kind="server_error",
    )


def _stopping() -> ApiError:
    return unavailable("The service is stopping. Try again in a moment.", 5.0)
