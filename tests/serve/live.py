"""A real server on a loopback port, in a thread of the test's own process."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import openai

from tunesmith.serve.app import build
from tunesmith.serve.run import listening, server
from tunesmith.serve.service import Service


@dataclass
class Live:
    """The server at `url`. Tests share it, so each takes clients of projects of its own."""

    url: str
    service: Service
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _open: list[openai.OpenAI] = field(default_factory=list)

    def key(self, project: str | None = None) -> str:
        """A new key; of a new project unless one is named."""
        return self.service.keys.create(project or f"live-{next(self._numbers)}")[0]

    def client(self, key: str | None = None, *, retries: int = 0) -> openai.OpenAI:
        """The official client, with a key of a new project unless one is given."""
        client = openai.OpenAI(
            base_url=f"{self.url}/v1",
            api_key=key or self.key(),
            max_retries=retries,
            http_client=openai.DefaultHttpxClient(verify=False),  # certificates take long to read
        )
        self._open.append(client)
        return client

    def async_client(self, key: str | None = None) -> openai.AsyncOpenAI:
        """The official client, asynchronous; whoever takes it closes it."""
        return openai.AsyncOpenAI(
            base_url=f"{self.url}/v1", api_key=key or self.key(), max_retries=0
        )

    def close_clients(self) -> None:
        """Those that a test has taken."""
        while self._open:
            self._open.pop().close()


@contextmanager
def serving(service: Service) -> Iterator[Live]:
    """The service, over a port that was free, until the end of the block."""
    running = server(build(service), service.settings)
    with listening("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=running.run, args=([listener],), daemon=True)
        thread.start()
        try:
            yield Live(f"http://127.0.0.1:{listener.getsockname()[1]}", service)
        finally:
            running.should_exit = True
            thread.join(10)
