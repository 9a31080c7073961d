"""Measures chat with many adapters on one base, through the real server.

    python -m benchmarks.serving [--clients 200] [--adapters 20] [--requests 3] ...

Turns, each with a server process of its own and the same prompts, settings and seeds:

    together    all clients at once, all adapters in memory
    alone       one request at a time
    in turn     all clients at once, one adapter in memory: it is loaded when its turn comes
    transformers  all clients at once, on the base, by `transformers serve` (it has no adapters)

Then the memory of the server while one adapter after the other is asked for the first time.
Results are kept in build/bench/serving.json, and SERVING.md is written from them.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import yaml

from benchmarks.machine import describe
from benchmarks.measure import ROOT
from benchmarks.serving_clients import Load, Server, load
from benchmarks.serving_home import make_home, names
from benchmarks.serving_page import PAGE, page
from tunesmith.core.files import write_json, write_text
from tunesmith.models.open import ANVIL, locate

KEPT = ROOT / "build" / "bench" / "serving.json"
_START_SECONDS = 120


def main(arguments: Sequence[str] | None = None) -> int:
    """See the head of this file. 1 where a request failed."""
    asked = _parse(arguments)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        key = make_home(home, asked.adapters, asked.rank)
        measured = _measure(home, key, asked)
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    kept = {"machine": describe(), "asked": vars(asked), **measured}
    write_json(KEPT, kept)
    write_text(PAGE, page(kept))
    print(json.dumps(measured, indent=2))
    return int(bool(measured["together"]["errors"]))


def _measure(home: Path, key: str, asked: argparse.Namespace) -> dict[str, Any]:
    models = names(asked.adapters)
    measured: dict[str, Any] = {}
    with _ours(home) as (url, _):
        server = Server(url, key, models)
        load(server, asked.adapters, 1, 4)
        together = load(server, asked.clients, asked.requests, asked.tokens)
        measured["together"] = _figures(together)
        _tell("together", measured["together"])
        alone = load(server, 1, asked.alone, asked.tokens)
        measured["alone"] = _figures(alone)
        _tell("alone", measured["alone"])
    with _ours(home, resident_adapters=1) as (url, _):
        server = Server(url, key, models)
        load(server, 1, 1, 4)
        in_turn = load(server, asked.clients, 1, asked.tokens)
        measured["in_turn"] = _figures(in_turn)
        _tell("in turn", measured["in_turn"])
    measured["times_alone"] = together.throughput / alone.throughput
    measured["times_in_turn"] = together.throughput / in_turn.throughput
    with _ours(home) as (url, process):
        measured["memory"] = _memory(Server(url, key, models), process)
    measured["adapter_bytes"] = _adapter_bytes(home)
    if not asked.no_peer:
        measured["transformers"] = _peer(asked)
        _tell("transformers", measured["transformers"])
    return measured


def _figures(seen: Load) -> dict[str, Any]:
    middle, late = seen.quantiles()
    least, most, fairness = seen.of_clients()
    return {
        "requests": len(seen.answers),
        "errors": len(seen.errors),
        "first_error": next(iter(seen.errors), ""),
        "seconds": round(seen.seconds, 2),
        "tokens_per_second": round(seen.throughput, 1),
        "p50_seconds": round(middle, 2),
        "p95_seconds": round(late, 2),
        "client_mean_seconds": [round(least, 2), round(most, 2)],
        "fairness": round(fairness, 4),
    }


@contextmanager
def _ours(home: Path, **settings: Any) -> Iterator[tuple[str, int]]:
    """A server over this home: its address, and its process."""
    limits = {"concurrent_requests": 1024, "requests_per_minute": 100_000}
    told = {"workers": 0, "limits": limits, **settings}
    (home / "serve.yaml").write_text(yaml.safe_dump(told), encoding="utf-8")
    port = _free_port()
    command = [sys.executable, "-m", "tunesmith", "serve", "--home", str(home)]
    with _process([*command, "--port", str(port)], port, "/healthz") as process:
        yield f"http://127.0.0.1:{port}", process


@contextmanager
def _process(command: Sequence[str], port: int, path: str) -> Iterator[int]:
    """A server, once it answers at `path`."""
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _wait(server, f"http://127.0.0.1:{port}{path}")
            yield server.pid
        finally:
            server.terminate()
            server.wait(60)


def _wait(server: subprocess.Popen[bytes], url: str) -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        if server.poll() is not None:
            raise RuntimeError(f"The server ended with {server.returncode} before it answered.")
        try:
            if httpx.get(url, timeout=5).status_code < 500:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
    raise RuntimeError(f"{url} did not answer within {_START_SECONDS} s.")


def _memory(server: Server, process: int) -> list[tuple[int, int]]:
    """Bytes of the process by how many adapters were asked."""
    load(Server(server.url, server.key, [ANVIL]), 4, 3, 4)
    found = [(0, _resident_bytes(process))]
    for number, name in enumerate(server.models, 1):
        load(Server(server.url, server.key, [name]), 1, 1, 4)
        if number % 5 == 0:
            found.append((number, _resident_bytes(process)))
    return found


def _resident_bytes(process: int) -> int:
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def _adapter_bytes(home: Path) -> int:
    """Of one adapter's weights."""
    return next(home.glob("jobs/*/adapter/*.safetensors")).stat().st_size


def _peer(asked: argparse.Namespace) -> dict[str, Any]:
    """`transformers serve`, where it is installed: with continuous batching, else without."""
    program = shutil.which("transformers", path=os.path.dirname(sys.executable))
    if program is None:
        return {"reason": "transformers serve is not installed"}
    port, base = _free_port(), locate(ANVIL)
    command = [program, "serve", base, "--port", str(port), "--device", "cpu"]
    command += ["--dtype", "bfloat16"]
    try:
        with _process([*command, *asked.peer_options], port, "/health"):
            server = Server(f"http://127.0.0.1:{port}", "none", [base])
            load(server, 1, 1, 4)
            return _figures(load(server, asked.clients, 1, asked.tokens))
    except (RuntimeError, OSError) as error:
        return {"reason": str(error)}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--adapters", type=int, default=20)
    parser.add_argument("--requests", type=int, default=3, help="of each client, when together")
    parser.add_argument("--alone", type=int, default=40, help="requests, one at a time")
    parser.add_argument("--tokens", type=int, default=48, help="of an answer, at most")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--no-peer", action="store_true", help="leave out transformers serve")
    parser.add_argument("--peer-options", nargs="*", default=["--continuous-batching"])
    return parser.parse_args(arguments)


def _tell(name: str, figures: dict[str, Any]) -> None:
    print(f"{name}: {json.dumps(figures)}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
