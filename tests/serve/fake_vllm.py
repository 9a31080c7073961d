"""A server that speaks vLLM's protocol over no model."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class FakeVllm:
    """What it was sent, and how it behaves: with `status` it refuses completions, and after
    `breaks_at` tokens it says no more."""

    url: str = ""
    models: dict[str, str] = field(default_factory=lambda: {"base": "anvil"})
    asked: list[dict[str, Any]] = field(default_factory=list)
    says: tuple[str, ...] = ("Good", " day")
    status: int = 200
    breaks_at: int | None = None

    def load(self, asked: dict[str, Any]) -> tuple[int, Any]:
        name, folder = asked["lora_name"], Path(asked["lora_path"])
        if not (folder / "adapter_config.json").is_file():
            return 404, {"error": {"message": f"No adapter found for {folder}", "code": 404}}
        if name in self.models:
            return 400, {"error": {"message": f"{name} has already been loaded.", "code": 400}}
        self.models[name] = str(folder)
        return 200, "Success"

    def refusal(self, asked: dict[str, Any]) -> tuple[int, Any] | None:
        if asked["model"] not in self.models:
            return 404, {"error": {"message": f"The model {asked['model']} does not exist."}}
        if self.status != 200:
            return self.status, {"error": {"message": "max_tokens is too large", "code": 400}}
        return None

    def events(self, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
        prompt = len(asked["prompt"])
        for number, text in enumerate(self.says, start=1):
            if self.breaks_at is not None and number > self.breaks_at:
                return
            told = None
            if asked["logprobs"] is not None:
                top = {f"token_id:{n}": -1.0 - n for n in range(asked["logprobs"])}
                told = {"tokens": ["token_id:5"], "token_logprobs": [-0.5], "top_logprobs": [top]}
            finish = "stop" if number == len(self.says) else None
            choice = {"index": 0, "text": text, "logprobs": told, "finish_reason": finish}
            usage = {"prompt_tokens": prompt, "completion_tokens": number}
            yield {"choices": [choice], "usage": usage}
        details = {"prompt_tokens_details": {"cached_tokens": 1}}
        yield {
            "choices": [],
            "usage": {"prompt_tokens": prompt, "completion_tokens": len(self.says), **details},
        }


@contextmanager
def fake_vllm(**settings: Any) -> Iterator[FakeVllm]:
    """On a free port of the loopback."""
    told = FakeVllm(**settings)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = [{"id": name, "root": root} for name, root in told.models.items()]
            self._answer(200, {"data": data})

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path == "/v1/load_lora_adapter":
                self._answer(*told.load(asked))
                return
            told.asked.append(asked)
            if (refusal := told.refusal(asked)) is not None:
                self._answer(*refusal)
                return
            self.send_response(200)
            self.end_headers()
            for event in told.events(asked):
                self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
            self.wfile.write(b"data: [DONE]\n\n")

        def _answer(self, status: int, body: Any) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *args: Any) -> None:
            """Not into the output of the tests."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        told.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield told
        server.shutdown()
