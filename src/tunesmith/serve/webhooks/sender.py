"""The thread that sends messages until they have arrived, or three days have passed.

Whoever sends a message takes it for a minute first; if the process dies meanwhile, the message is
due again after that, here or in another server of the same store. One message to one address is
under way at a time from here, so a slow one takes no turn of the others.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from sqlalchemy import delete, func, select

from tunesmith.serve.errors import ApiError
from tunesmith.serve.settings import Reach
from tunesmith.serve.store.database import Database
from tunesmith.serve.store.tables import DeliveryRow, WebhookRow
from tunesmith.serve.webhooks.address import Unreachable, parse
from tunesmith.serve.webhooks.book import signing
from tunesmith.serve.webhooks.post import post, signed

MINUTE, HOUR, DAY = 60, 3600, 86400
DELAYS = (5, 30, 2 * MINUTE, 10 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, DAY)
"""Seconds from one attempt to the next."""
_LEASE = 60.0
_SIDE_BY_SIDE = 16
_KEPT = 30 * DAY
"""Seconds for which messages that are done with are kept."""
_LOOK_EVERY = 1.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Message:
    id: str
    url: str
    body: str
    secrets: tuple[str, ...]


class Sender:
    """Sends what `outbox` wrote down. `start` it once; `stop` waits for what is under way."""

    def __init__(
        self, database: Database, reach: Reach, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._reach = reach
        self._clock = clock
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """End; what was not sent stays written down."""
        self._ending.set()
        self._thread.join()

    def send_due(self) -> int:
        """Send what is due, one message to an address; returns how many there were."""
        messages = self._take()
        if messages:
            with ThreadPoolExecutor(len(messages)) as pool:
                list(pool.map(self._send, messages))
        return len(messages)

    def _run(self) -> None:
        while not self._ending.is_set():
            sent = 0
            try:
                sent = self.send_due()
            except Exception as error:  # what fails now, of whatever kind, is due again
                log.exception("webhooks wait", extra={"fault": type(error).__name__})
            if not sent:
                self._ending.wait(_LOOK_EVERY)

    def _take(self) -> list[_Message]:
        now = self._clock()
        due = (
            select(func.min(DeliveryRow.seq))
            .where(DeliveryRow.due_at <= now)
            .group_by(DeliveryRow.webhook_id)
            .order_by(func.min(DeliveryRow.due_at))
            .limit(_SIDE_BY_SIDE)
        )
        with self._database.read() as session:
            if session.scalar(due) is None:
                return []
        with self._database.write() as session:
            wanted = select(DeliveryRow, WebhookRow).join(WebhookRow)
            rows = session.execute(wanted.where(DeliveryRow.seq.in_(due))).all()
            for delivery, _ in rows:
                delivery.attempts += 1
                delivery.due_at = now + _LEASE
            return [
                _Message(delivery.id, hook.url, delivery.body, tuple(signing(hook, now)))
                for delivery, hook in rows
            ]

    def _send(self, message: _Message) -> None:
        now = self._clock()
        headers = signed(message.id, message.body, message.secrets, now)
        fault = None
        try:
            status = post(parse(message.url, self._reach), self._reach, message.body, headers)
            if not 200 <= status < 300:
                fault = f"The answer had the status {status}."
        except (Unreachable, ApiError) as error:
            fault = str(error)
        self._settle(message.id, fault)

    def _settle(self, id: str, fault: str | None) -> None:
        now = self._clock()
        with self._database.write() as session:
            row = session.scalar(select(DeliveryRow).where(DeliveryRow.id == id))
            if row is None:  # its webhook was deleted meanwhile
                return
            row.last_error = fault
            row.delivered_at = None if fault else int(now)
            row.due_at = _next(row.attempts, now) if fault else None
            done = DeliveryRow.due_at.is_(None) & (DeliveryRow.created_at < now - _KEPT)
            session.execute(delete(DeliveryRow).where(done))


def _next(attempts: int, now: float) -> float | None:
    """When to try again: later each time, and not all at once; None for never."""
    if attempts > len(DELAYS):
        return None
    return now + DELAYS[attempts - 1] * random.uniform(0.9, 1.1)
