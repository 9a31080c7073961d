"""Clients that ask a server at once, and what they saw."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

import httpx2 as httpx
import numpy as np

_WORDS = (
    *("account", "card", "transfer", "water", "weather", "sentence", "letter", "number", "list"),
    *("paris", "green", "seven", "morning", "receipt", "engine", "paper", "answer", "question"),
    *("river", "balance", "please", "why", "when", "where", "how", "many", "open"),
)

_TIMEOUT = 600.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One request: whose it was, how long it took, and what came of it ("" if nothing failed)."""

    client: int
    seconds: float
    tokens: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class Load:
    """All requests of one turn, and the seconds that they took together."""

    answers: Sequence[Answer]
    seconds: float

    @property
    def errors(self) -> list[str]:
        """What failed."""
        return [answer.error for answer in self.answers if answer.error]

    @property
    def throughput(self) -> float:
        """Tokens of answers a second."""
        return sum(answer.tokens for answer in self.answers) / self.seconds

    def quantiles(self) -> tuple[float, float]:
        """The median and the 95th percentile of the latency, in seconds."""
        times = [answer.seconds for answer in self.answers]
        return float(np.quantile(times, 0.5)), float(np.quantile(times, 0.95))

    def of_clients(self) -> tuple[float, float, float]:
        """The mean latency of a client: least, most, and Jain's index of fairness (1 is equal)."""
        clients = sorted({answer.client for answer in self.answers})
        means = np.array(
            [np.mean([a.seconds for a in self.answers if a.client == c]) for c in clients]
        )
        fairness = means.sum() ** 2 / (len(means) * (means**2).sum())
        return float(means.min()), float(means.max()), float(fairness)


@dataclass(frozen=True, slots=True)
class Server:
    """Where to ask, with which key, and by which names."""

    url: str
    key: str
    models: Sequence[str]


def load(server: Server, clients: int, requests: int, tokens: int) -> Load:
    """So many clients, each asking so many times, one after the other."""
    return asyncio.run(_load(server, clients, requests, tokens))


async def _load(server: Server, clients: int, requests: int, tokens: int) -> Load:
    limits = httpx.Limits(max_connections=clients)
    headers = {"authorization": f"Bearer {server.key}"}
    async with httpx.AsyncClient(
        base_url=server.url, headers=headers, timeout=_TIMEOUT, limits=limits
    ) as http:
        began = time.perf_counter()
        work = (_client(http, server, number, requests, tokens) for number in range(clients))
        answers = await asyncio.gather(*work)
        seconds = time.perf_counter() - began
    return Load([one for some in answers for one in some], seconds)


async def _client(
    http: httpx.AsyncClient, server: Server, number: int, requests: int, tokens: int
) -> list[Answer]:
    draw = random.Random(number)
    answers = []
    for turn in range(requests):
        words = " ".join(draw.choices(_WORDS, k=draw.randint(8, 40)))
        body = {
            "model": server.models[(number + turn * (requests == 1)) % len(server.models)],
            "messages": [{"role": "user", "content": words}],
            "max_tokens": tokens,
            "temperature": 1.0,
            "seed": number * 1000 + turn,
        }
        answers.append(await _ask(http, number, body))
    return answers


async def _ask(http: httpx.AsyncClient, client: int, body: dict[str, object]) -> Answer:
    began = time.perf_counter()
    try:
        response = await http.post("/v1/chat/completions", json=body)
        told = response.json()
        error = "" if response.status_code == 200 else str(told)
    except (httpx.HTTPError, ValueError) as failed:
        told, error = {}, repr(failed)
    tokens = 0 if error else int(told["usage"]["completion_tokens"])
    return Answer(client, time.perf_counter() - began, tokens, error)
