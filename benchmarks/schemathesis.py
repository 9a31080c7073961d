"""The service under requests that its own schema makes up: valid, nearly valid, and in sequences.

    pip install -e ".[serve,fuzz]"
    python -m benchmarks.schemathesis --requests 20000

A real server is started over an empty home. Every second round is told the ids of objects that are
there, so that requests come past "no such file". Fails on any answer of 500 and above, and on any
status, content type or body that the schema does not tell of.
"""

from __future__ import annotations

import argparse
import copy
import json
import re
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_headers_conformance,response_schema_conformance"
)
ROUND = 40
"""Requests for each operation and phase of a round."""

LIMITS = "limits: {jobs_waiting: 1000000, answer_tokens: 16}\n"
"""Jobs never end where nothing trains, and long answers show nothing more than short ones."""

_REFERENCE = re.compile(r'"\$ref": "#/components/schemas/(\w+)"')
_ROW = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}


def main(argv: Sequence[str] | None = None) -> int:
    """Rounds until so many requests were made, or one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(argv)
    made = 0
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as (url, key):
        seed = given.seed
        while made < given.requests:
            done, said = fuzz(Path(folder), url, key, seed, seeded=seed % 2 == 0)
            made += done
            print(f"seed {seed}: {done} requests, {made} in all", flush=True)
            if said:
                print(said)
                return 1
            seed += 1
    print(f"{made} requests: no answer of 500 or above, and none that the schema does not tell of.")
    return 0


def fuzz(folder: Path, url: str, key: str, seed: int, *, seeded: bool) -> tuple[int, str]:
    """One round: how many requests were made, and what was wrong, if anything."""
    schema = json.loads(ask(f"{url}/openapi.json", key))
    known = there(url, key) if seeded else {}
    location = folder / "openapi.json"
    location.write_text(json.dumps(narrowed(schema, known)), encoding="utf-8")
    command = [sys.executable, "-m", "schemathesis.cli", "run", str(location), "--url", url]
    command += ["--header", f"Authorization: Bearer {key}", "--checks", CHECKS]
    command += ["--max-examples", str(ROUND), "--seed", str(seed), "--continue-on-failure"]
    command += ["--no-shrink", "--warnings", "off", "--request-timeout", "120"]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    made = re.search(r"([\d,]+) generated", ended.stdout)
    count = int(made[1].replace(",", "")) if made else 0
    return count, "" if ended.returncode == 0 and count else ended.stdout + ended.stderr


def there(url: str, key: str) -> dict[str, list[str]]:
    """Ids of new objects, by the names of the fields and parameters that they stand in."""
    file = json.loads(ask(f"{url}/v1/files", key, form()))["id"]
    asked = {"model": "anvil", "training_file": file}
    job = json.loads(ask(f"{url}/v1/fine_tuning/jobs", key, asked))["id"]
    upload = {"bytes": 3, "filename": "a.txt", "mime_type": "text/plain", "purpose": "user_data"}
    return {
        "file_id": [file],
        "training_file": [file],
        "job_id": [job],
        "upload_id": [json.loads(ask(f"{url}/v1/uploads", key, upload))["id"]],
        "model": ["anvil"],
    }


def narrowed(schema: dict[str, Any], known: Mapping[str, list[str]]) -> dict[str, Any]:
    """The interface in which requests fill these fields and parameters with these values alone.

    Answers stay as they are: they may hold any value.
    """
    changed = copy.deepcopy(schema)
    for operation in (each for path in changed["paths"].values() for each in path.values()):
        for parameter in operation.get("parameters", ()):
            if parameter["name"] in known:
                parameter["schema"] = {"type": "string", "enum": known[parameter["name"]]}
        for name in _REFERENCE.findall(json.dumps(operation.get("requestBody", {}))):
            fields = changed["components"]["schemas"][name].get("properties", {})
            fields.update({f: {"type": "string", "enum": known[f]} for f in fields if f in known})
    return changed


def form() -> bytes:
    """A file to train on, as browsers send it."""
    row = json.dumps(_ROW) + "\n"
    return (
        '--x\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nfine-tune\r\n'
        '--x\r\ncontent-disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n'
        f"{row * 10}\r\n--x--\r\n"
    ).encode()


def ask(url: str, key: str, body: dict[str, Any] | bytes | None = None) -> bytes:
    """One request: a form, JSON, or nothing."""
    kind = "multipart/form-data; boundary=x" if isinstance(body, bytes) else "application/json"
    data = json.dumps(body).encode() if isinstance(body, dict) else body
    headers = {"authorization": f"Bearer {key}", "content-type": kind}
    with urllib.request.urlopen(urllib.request.Request(url, data, headers)) as answer:
        content: bytes = answer.read()
    return content


@contextmanager
def serving(folder: Path, workers: int = 0) -> Iterator[tuple[str, str]]:
    """A server as an operator starts it, and a key that may do everything."""
    (folder / "home").mkdir()
    (folder / "home" / "serve.yaml").write_text(
        "limits: {jobs_waiting: 1000000, answer_tokens: 16}\n"
    )
    home = ["--home", str(folder / "home")]
    scopes = ["--scopes", "read,write,chat,train,admin"]
    tunesmith = [sys.executable, "-m", "tunesmith"]
    said = subprocess.run(
        [*tunesmith, "keys", "create", *home, *scopes], check=True, capture_output=True, text=True
    ).stdout
    (key,) = re.findall(r"^ts-\S+", said, re.MULTILINE)
    log = (folder / "serve.log").open("wb")
    command = [*tunesmith, "serve", *home, "--port", "0", "--workers", str(workers)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert server.stdout is not None
        lines = iter(server.stdout)
        yield next(line.split()[1] for line in lines if "base_url" in line)[: -len("/v1")], key
    finally:
        server.terminate()
        server.wait()
        log.close()


if __name__ == "__main__":
    sys.exit(main())
