"""How much one key may take: requests and tokens a minute, and requests at once.

What is counted lives in the memory of this process, which alone answers: after a restart everyone
begins anew.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tunesmith.serve.caller import Caller
from tunesmith.serve.errors import ApiError, too_many
from tunesmith.serve.guard.refuse import refuse
from tunesmith.serve.settings import Limits

Clock = Callable[[], float]
_MINUTE = 60.0


class Bucket:
    """Holds what may be taken in a minute, and fills up evenly. Shared by threads."""

    def __init__(self, size: int, clock: Clock) -> None:
        self.size = size
        self._clock = clock
        self._level = float(size)
        self._seen = clock()
        self._lock = threading.Lock()

    @property
    def level(self) -> float:
        """What is in it now; below zero where more was taken than was there."""
        with self._lock:
            now = self._clock()
            self._level = min(
                float(self.size), self._level + (now - self._seen) * self.size / _MINUTE
            )
            self._seen = now
            return self._level

    def take(self, amount: float) -> None:
        """Out of the bucket, and into debt where it has less."""
        with self._lock:
            self._level -= amount

    def seconds_until(self, level: float) -> float:
        """How long until so much is in it."""
        return max(0.0, (level - self.level) * _MINUTE / self.size)


class Usage:
    """What one key takes."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self.requests = Bucket(limits.requests_per_minute, clock)
        self.tokens = Bucket(limits.tokens_per_minute, clock)
        self.under_way = 0

    @property
    def is_idle(self) -> bool:
        """Whether it may be forgotten."""
        buckets = (self.requests, self.tokens)
        return not self.under_way and all(bucket.level >= bucket.size for bucket in buckets)

    def headers(self) -> dict[str, str]:
        """What clients may know of it, by the names that the published interface gives."""
        said: dict[str, str] = {}
        for name, bucket in (("requests", self.requests), ("tokens", self.tokens)):
            said[f"x-ratelimit-limit-{name}"] = str(bucket.size)
            said[f"x-ratelimit-remaining-{name}"] = str(max(0, int(bucket.level)))
            said[f"x-ratelimit-reset-{name}"] = f"{bucket.seconds_until(bucket.size):.2f}s"
        return said

    def spend(self, tokens: int) -> None:
        """Note what a prompt and its answers took, once that is known."""
        self.tokens.take(tokens)


class KeyLimits:
    """Refuses, with 429, the request that is one too many for its key."""

    def __init__(self, app: ASGIApp, limits: Limits, clock: Clock = time.monotonic) -> None:
        self._app = app
        self._limits = limits
        self._clock = clock
        self._usages: dict[str, Usage] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = scope["state"].get("caller") if scope["type"] == "http" else None
        if not isinstance(caller, Caller):
            await self._app(scope, receive, send)
            return
        usage = scope["state"]["usage"] = self._usage(caller.key)
        send = _with_headers(usage, send)
        error = self._too_many(usage)
        if error is not None:
            await refuse(error, scope, receive, send)
            return
        usage.requests.take(1)
        usage.under_way += 1
        try:
            await self._app(scope, receive, send)
        finally:
            usage.under_way -= 1

    def _usage(self, key: str) -> Usage:
        if key not in self._usages:
            self._usages = {k: usage for k, usage in self._usages.items() if not usage.is_idle}
            self._usages[key] = Usage(self._limits, self._clock)
        return self._usages[key]

    def _too_many(self, usage: Usage) -> ApiError | None:
        most = self._limits.concurrent_requests
        if usage.under_way >= most:
            return too_many(f"This key has {most} requests under way, the most at once.", 1)
        if usage.requests.level < 1:
            said = f"This key has made {usage.requests.size} requests within a minute, the most."
            return too_many(said, usage.requests.seconds_until(1))
        return None


def _with_headers(usage: Usage, send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(usage.headers())
        await send(message)

    return send_with_headers


async def usage_of(request: Request) -> Usage:
    """What the caller's key takes, of which tokens are left. Raises ApiError 429."""
    usage: Usage = request.state.usage
    if usage.tokens.level <= 0:
        raise too_many(
            f"This key has used {usage.tokens.size} tokens within a minute, the most.",
            usage.tokens.seconds_until(1),
        )
    return usage


TokenBudget = Annotated[Usage, Depends(usage_of)]
"""The type of a route's parameter where tokens are counted: `budget.spend(n)` once n is known."""
