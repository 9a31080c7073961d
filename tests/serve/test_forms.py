"""Forms with a file: their bytes go to the disk as they come, or nothing of them stays."""

from __future__ import annotations

import http.client
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import openai
import pytest

from tests.serve.live import Live
from tests.serve.test_files import LINE, blobs

_HEAD = b'--x\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n'


def part(name: bytes, content: bytes, filename: bytes | None = None) -> bytes:
    named = b'; filename="%s"' % filename if filename is not None else b""
    return _HEAD % (name, named) + content + b"\r\n"


FILE = part(b"file", LINE, b"a.jsonl")
PURPOSE = part(b"purpose", b"fine-tune")
END = b"--x--\r\n"


def post(live: Live, body: bytes, kind: str = "multipart/form-data; boundary=x") -> tuple[int, str]:
    connection = http.client.HTTPConnection(live.url.removeprefix("http://"), timeout=10)
    try:
        headers = {"authorization": f"Bearer {live.key()}", "content-type": kind}
        connection.request("POST", "/v1/files", body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize("order", [(FILE, PURPOSE), (PURPOSE, FILE)])
def test_the_file_may_stand_before_its_purpose_and_behind_it(
    live: Live, order: tuple[bytes, bytes]
) -> None:
    assert post(live, b"".join(order) + END)[0] == 200


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (PURPOSE + END, "no file named 'file'"),
        (FILE + PURPOSE, "ends in the middle"),
        (FILE + FILE + PURPOSE + END, "two files"),
        (FILE + PURPOSE + PURPOSE + END, "twice"),
        (part(b"file", LINE, b"\xff.jsonl") + PURPOSE + END, "not UTF-8"),
        (part(b"file", LINE, "a\u202egnp.jsonl".encode()) + PURPOSE + END, "cannot be shown"),
        (part(b"file", LINE, b"n" * 300) + PURPOSE + END, "255"),
        (part(b"file", b"", b"") + PURPOSE + END, "an empty name"),
        (part(b"file", LINE, b"") + PURPOSE + END, "an empty name"),
        (FILE + part(b"purpose", b"x" * 5000) + END, "longer than 4096"),
        (b"nothing like a form", "cannot be read"),
        (b"", "ends in the middle"),
    ],
)
def test_a_form_that_is_none_is_refused_and_leaves_nothing(
    live: Live, body: bytes, said: str
) -> None:
    before = blobs(live)
    status, answer = post(live, body)
    assert status == 400
    assert said in answer
    assert blobs(live) == before


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data", "text/x; boundary=x"])
def test_what_is_no_form_is_refused(live: Live, kind: str) -> None:
    assert post(live, FILE + PURPOSE + END, kind)[0] == 400


def test_a_connection_that_ends_early_leaves_nothing(live: Live) -> None:
    before = blobs(live)
    connection = http.client.HTTPConnection(live.url.removeprefix("http://"), timeout=10)
    connection.putrequest("POST", "/v1/files")
    connection.putheader("authorization", f"Bearer {live.key()}")
    connection.putheader("content-type", "multipart/form-data; boundary=x")
    connection.putheader("content-length", "100000")
    connection.endheaders()
    connection.send(FILE)
    deadline = time.monotonic() + 10
    while blobs(live) == before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(blobs(live) - before) == 1
    connection.close()
    while blobs(live) != before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert blobs(live) == before


def test_a_large_file_is_never_in_memory(live: Live, tmp_path: Path) -> None:
    """What this process, client and server, holds at any time is a small part of the file."""
    size = 64 << 20
    source = tmp_path / "large.bin"
    with source.open("wb") as file:
        file.truncate(size)
    client = live.client()
    with traced() as peak, source.open("rb") as file:
        sent = client.files.create(file=file, purpose="user_data")
        assert sent.bytes == sum(len(piece) for piece in read(client, sent.id)) == size
        assert peak() < size // 4
    client.files.delete(sent.id)


@contextmanager
def traced() -> Iterator[Callable[[], int]]:
    """The most bytes that were held at once since the block began."""
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def read(client: openai.OpenAI, id: str) -> Iterator[bytes]:
    with client.files.with_streaming_response.content(id) as answer:
        yield from answer.iter_bytes(1 << 20)


def test_more_than_the_limit_is_refused_before_it_comes(live: Live) -> None:
    limit = live.service.settings.limits.file_bytes
    connection = http.client.HTTPConnection(live.url.removeprefix("http://"), timeout=10)
    connection.putrequest("POST", "/v1/files")
    connection.putheader("authorization", f"Bearer {live.key()}")
    connection.putheader("content-type", "multipart/form-data; boundary=x")
    connection.putheader("content-length", str(2 * limit))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()
