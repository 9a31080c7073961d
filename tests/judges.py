"""Judge models for the tests: an HTTP server on this machine that answers as each of them would."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Says = Callable[[str, str, str], str]
"""From the reference ("" for none) and the answers A and B: the text of the reply."""


def better(choice: str) -> str:
    return json.dumps({"better": choice})


def perfect(reference: str, first: str, second: str) -> str:
    """Prefers what is the reference; without one, what says `good`."""
    wanted = [a == reference if reference else "good" in a for a in (first, second)]
    return better("tie" if wanted[0] == wanted[1] else "A" if wanted[0] else "B")


def always_first(reference: str, first: str, second: str) -> str:
    return "A"


def longest(reference: str, first: str, second: str) -> str:
    return better("tie" if len(first) == len(second) else "A" if len(first) > len(second) else "B")


def nonsense(reference: str, first: str, second: str) -> str:
    return "Well, A is not worse, but it depends."


def empty(reference: str, first: str, second: str) -> str:
    return ""


@dataclass
class Server:
    """What the server at `url` was sent, and how it answers: `says`, or `status` where not 200.

    `replies`, where it is given, makes the text of the reply from the whole request instead.
    """

    url: str = ""
    says: Says = perfect
    replies: Callable[[Mapping[str, Any]], str] | None = None
    status: Callable[[int], int] = lambda number: 200
    error: str = "no"
    raw: str | None = None
    delay: float = 0.0
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0


@contextmanager
def judge_server(**settings: Any) -> Iterator[Server]:
    """A server on a free port of the loopback, for as long as the block lasts."""
    told = Server(**settings)
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            payload = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                told.asked.append(payload)
                told.headers.append({name.lower(): value for name, value in self.headers.items()})
                told.paths.append(self.path)
                number = len(told.asked)
                told.at_once += 1
                told.most_at_once = max(told.most_at_once, told.at_once)
            time.sleep(told.delay)
            with lock:
                told.at_once -= 1
            status = told.status(number)
            body = _completion(told, payload) if status == 200 else _error(told)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("retry-after-ms", "1")
            if 300 <= status < 400:
                self.send_header("Location", f"{told.url}/elsewhere")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that gave up
    told.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _completion(told: Server, payload: Mapping[str, Any]) -> bytes:
    if told.raw is not None:
        return told.raw.encode()
    asked = payload["messages"][-1]["content"]
    parts = [_part(asked, name) for name in ("reference", "answer_A", "answer_B")]
    reply = told.says(*parts) if told.replies is None else told.replies(payload)
    message = {"role": "assistant", "content": reply}
    choices = [{"index": 0, "finish_reason": "stop", "message": message}]
    kind = {"id": "1", "object": "chat.completion", "created": 0, "model": payload["model"]}
    return json.dumps({**kind, "choices": choices}).encode()


def _error(told: Server) -> bytes:
    return json.dumps({"error": {"message": told.error, "type": "x", "code": None}}).encode()


def _part(text: str, tag: str) -> str:
    found = re.search(rf"<{tag}>\n(.*?)\n</{tag}>", text, re.DOTALL)
    return found[1] if found else ""
