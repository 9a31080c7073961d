"""Input that means harm, byte by byte over a real connection: refused, and nothing left behind."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.serve.live import Live, serving
from tunesmith.serve.guard import bodies
from tunesmith.serve.service import assemble
from tunesmith.serve.settings import Limits, Settings
from tunesmith.serve.store.database import Database
from tunesmith.serve.store.keys import new_key
from tunesmith.serve.store.tables import Table

LIMITS = Limits(
    body_bytes=20_000,
    file_bytes=30_000,
    part_bytes=30_000,
    connections=12,
    header_bytes=8_000,
    header_seconds=0.4,
    idle_seconds=0.4,
)
SECRET = "the-colour-of-the-vault-is-mauve"
ROW = json.dumps({"messages": [{"role": "user", "content": SECRET}]}) + "\n"


@dataclass
class Server:
    """A server with tight limits, and a key of it."""

    live: Live
    key: str

    def send(self, *pieces: bytes, pause: float = 0.0, seconds: float = 5.0) -> bytes:
        """All that comes back for these bytes, until the server closes."""
        got = b""
        with self.connect() as connection:
            try:
                for piece in pieces:
                    connection.sendall(piece)
                    got += heard(connection, pause) if pause else b""
            except ConnectionError:
                pass
            return got + heard(connection, seconds)

    def connect(self) -> socket.socket:
        """A connection on which nothing was said yet."""
        address = urlsplit(self.live.url)
        return socket.create_connection((address.hostname or "", address.port or 0), timeout=5)

    def head(self, method: str, path: str, *lines: str, key: str | None = None) -> bytes:
        """The head of a request that ends its connection."""
        first = [f"{method} {path} HTTP/1.1", "Host: x", "Connection: close"]
        first.append(f"Authorization: Bearer {key or self.key}")
        return "\r\n".join([*first, *lines, "", ""]).encode("latin-1")

    def kept(self) -> list[Path]:
        """What lies in the home, but for the store's own files."""
        home = self.live.service.settings.home
        return sorted(path for path in home.rglob("*") if not path.name.startswith("tunesmith.db"))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    settings = Settings(home=tmp_path_factory.mktemp("hostile"), workers=0, limits=LIMITS)
    database = Database(settings.database_url)
    Table.metadata.create_all(database.engine)
    with pytest.MonkeyPatch.context() as patch, serving(assemble(settings, database)) as live:
        patch.setattr(bodies, "_LINGER_SECONDS", 0.3)
        yield live
    database.close()


@pytest.fixture
def server(running: Live, caplog: pytest.LogCaptureFixture) -> Iterator[Server]:
    """After each test it still answers, its home is as it was, and no log knows a secret."""
    caplog.set_level(logging.DEBUG)
    server = Server(running, running.key())
    (running.service.settings.blobs).mkdir(exist_ok=True)
    before = server.kept()
    yield server
    assert status_of(server.send(server.head("GET", "/healthz"))) == 200
    assert server.kept() == before
    said = caplog.text + "".join(str(vars(record)) for record in caplog.records)
    assert server.key not in said
    assert SECRET not in said


def heard(connection: socket.socket, seconds: float) -> bytes:
    """What comes within this time, or until the server closes."""
    got = b""
    end = time.monotonic() + seconds
    try:
        while (left := end - time.monotonic()) > 0:
            connection.settimeout(left)
            if not (received := connection.recv(65536)):
                break
            got += received
    except (ConnectionError, TimeoutError):
        pass
    connection.settimeout(5)
    return got


def status_of(answer: bytes) -> int:
    """The status of the first answer among these bytes."""
    return int(answer.split(b" ", 2)[1])


def refusal(answer: bytes) -> tuple[int, dict[str, Any]]:
    """Status and error of a refusal, which must have the interface's shape."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"x-request-id: req_" in head.lower(), answer
    assert b"\nserver:" not in head.lower()
    assert b"traceback" not in body.lower()
    error: dict[str, Any] = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    return status_of(answer), error


def form(content: bytes, name: str = "rows.jsonl", purpose: str = "fine-tune") -> bytes:
    """The body of an upload."""
    return (
        b'--X\r\nContent-Disposition: form-data; name="purpose"\r\n\r\n'
        + purpose.encode()
        + b"\r\n"
        b'--X\r\nContent-Disposition: form-data; name="file"; filename="'
        + name.encode("utf-8", "surrogateescape")
        + b'"\r\n\r\n'
        + content
        + b"\r\n--X--\r\n"
    )


FORM = "Content-Type: multipart/form-data; boundary=X"
CHUNKED = "Transfer-Encoding: chunked"


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 50,
        b"\0\1\2\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /health\xffz HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nx-a : b\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nx: a\0b\r\n\r\n",
        b"POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\nab",
        b"POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Length: +2\r\n\r\nab",
        b"POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Length: 0x2\r\n\r\nab",
        b"POST /v1/files HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/files HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_what_is_no_clean_http_is_refused_and_the_connection_closed(
    server: Server, sent: bytes
) -> None:
    status, _ = refusal(server.send(sent))
    assert status == 400


@pytest.mark.parametrize("body", [b"zz\r\n{}\r\n", b"-1\r\n{}\r\n", b"2\r\n{}xx\r\n0\r\n\r\n"])
def test_chunks_that_are_none_end_the_request(server: Server, body: bytes) -> None:
    head = server.head("POST", "/v1/fine_tuning/jobs", CHUNKED)
    assert refusal(server.send(head, body))[0] == 400


def test_two_lengths_in_one_head_are_refused_and_no_second_request_is_read(server: Server) -> None:
    hidden = server.head("GET", "/healthz")
    head = server.head("POST", "/v1/fine_tuning/jobs", "Content-Length: 5", CHUNKED)
    answer = server.send(head + b"0\r\n\r\n" + hidden)
    assert refusal(answer)[0] == 400
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "lines",
    [
        [f"x-{n}: 1" for n in range(200)],
        ["x: " + "a" * 9_000],
        ["x: " + "a" * 900_000],
        [f"{n}:" for n in range(60_000)],
    ],
)
def test_a_flood_of_headers_is_refused(server: Server, lines: list[str]) -> None:
    assert refusal(server.send(server.head("GET", "/v1/files", *lines)))[0] == 431


def test_an_address_that_is_too_long_is_refused(server: Server) -> None:
    assert refusal(server.send(server.head("GET", "/v1/files?after=" + "a" * 8_000)))[0] == 431


@pytest.mark.parametrize("rest", [b"", b"x: 1\r\n", b"Authorization: Bearer ts"])
def test_a_head_that_does_not_end_is_waited_for_no_longer_than_that(
    server: Server, rest: bytes
) -> None:
    began = time.monotonic()
    drip = [b"GET /healthz HTTP/1.1\r\nHost: x\r\n", *(bytes([byte]) for byte in rest[:6])]
    assert refusal(server.send(*drip, pause=0.1))[0] == 408
    assert 0.3 < time.monotonic() - began < 3


def test_a_second_head_on_a_connection_has_no_more_time(server: Server) -> None:
    first = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = server.send(first, b"GET /healthz HTT", pause=0.1)
    assert answer.startswith(b"HTTP/1.1 200")
    assert refusal(answer[answer.index(b"HTTP/1.1 408") :])[0] == 408


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/v1/fine_tuning/jobs", "Content-Type: application/json"), ("/v1/files", FORM)],
)
def test_a_body_that_does_not_come_is_waited_for_no_longer_than_that(
    server: Server, path: str, kind: str
) -> None:
    head = server.head("POST", path, kind, "Content-Length: 900")
    status, error = refusal(server.send(head, form(b"{")[:100]))
    assert status == 408
    assert "0.4 seconds" in error["message"]


@pytest.mark.parametrize("gone_after", [0, 60, 150, 400])
def test_an_upload_whose_client_leaves_stays_nowhere(server: Server, gone_after: int) -> None:
    body = form(ROW.encode() * 20)
    with server.connect() as connection:
        connection.sendall(server.head("POST", "/v1/files", FORM, f"Content-Length: {len(body)}"))
        connection.sendall(body[:gone_after])
    time.sleep(0.1)


def endless(server: Server, head: bytes, most: int = 40_000_000) -> tuple[bytes, int]:
    """What is answered while a client sends on and on, and how much it came to send."""
    piece = b"10000\r\n" + b"a" * 65_536 + b"\r\n"
    sent = 0
    got: list[bytes] = []
    with server.connect() as connection:
        connection.sendall(head)

        def listen() -> None:
            try:
                while received := connection.recv(65536):
                    got.append(received)
            except OSError:
                pass

        listener = threading.Thread(target=listen)
        listener.start()
        try:
            while sent < most:
                connection.sendall(piece)
                sent += len(piece)
                time.sleep(0.01)
        except OSError:
            pass
        listener.join(5)
    return b"".join(got), sent


@pytest.mark.parametrize(
    ("method", "path", "kind", "status"),
    [
        ("POST", "/v1/files", FORM, 413),
        ("POST", "/v1/fine_tuning/jobs", "x: 1", 413),
        ("GET", "/v1/files/file-x", "x: 1", 413),
        ("POST", "/v1/no/such/path", FORM, 404),
    ],
)
def test_an_endless_body_is_cut_off(
    server: Server, method: str, path: str, kind: str, status: int
) -> None:
    begun = chunk(form(b"{")[:-10]) if kind == FORM else b""
    answer, sent = endless(server, staying(server.head(method, path, kind, CHUNKED)) + begun)
    assert refusal(answer)[0] == status
    assert sent < 40_000_000


def test_without_a_key_an_endless_body_is_cut_off_too(server: Server) -> None:
    head = server.head("POST", "/v1/files", FORM, CHUNKED, key=new_key())
    answer, sent = endless(server, staying(head))
    assert refusal(answer)[0] == 401
    assert sent < 40_000_000


def test_a_body_announced_too_large_is_refused_before_it_comes(server: Server) -> None:
    for path, kind in (("/v1/files", FORM), ("/v1/fine_tuning/jobs", "x: 1")):
        head = server.head("POST", path, kind, "Content-Length: 1000000000")
        assert refusal(server.send(head))[0] == 413


def test_who_sends_first_and_reads_then_still_reads_why_it_was_refused(server: Server) -> None:
    head = server.head("POST", "/v1/files", FORM, "Content-Length: 8000000")
    with server.connect() as connection:
        connection.sendall(head + b"a" * 8_000_000)
        assert refusal(heard(connection, 2))[0] == 413


def staying(head: bytes) -> bytes:
    """Of a request that does not say that its connection is to end."""
    return head.replace(b"Connection: close\r\n", b"")


def chunk(content: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(content), content)


@pytest.mark.parametrize(
    "body",
    [
        form(ROW.encode())[:-12],
        form(ROW.encode()).replace(b"--X", b"--Y"),
        form(ROW.encode()).replace(b'name="file"', b'name="purpose"'),
        form(ROW.encode(), purpose="../../x"),
        form(ROW.encode(), purpose="\0"),
        form(ROW.encode(), purpose="fine-tune" * 5_000),
        form(b"PK\x03\x04" + b"\0" * 500),
        form(b"\x1f\x8b\x08" + b"\0" * 500),
        form(ROW.encode(), name="a\0b.jsonl"),
        form(ROW.encode(), name="a" * 5_000),
        form(ROW.encode(), name="a\udcff\udcc0\udcafb.jsonl"),
        b"--X\r\n" + b"x-y: z\r\n" * 2_000 + b"\r\n\r\n--X--\r\n",
        b'--X\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n' * 300 + b"--X--\r\n",
        b"",
        b"{}",
    ],
)
def test_a_form_that_is_broken_packed_or_strange_is_refused(server: Server, body: bytes) -> None:
    head = server.head("POST", "/v1/files", FORM, f"Content-Length: {len(body)}")
    assert refusal(server.send(head, body))[0] in (400, 413)


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd.jsonl",
        "..\\..\\boot.jsonl",
        "/etc/cron.d/x.jsonl",
        "C:\\x.jsonl",
        "a/b/../c.jsonl",
        "%2e%2e%2fx.jsonl",
        "\u202elnosj.exe.jsonl",
        "a\u0301\u200b.jsonl",
        "CON.jsonl",
        "-rf.jsonl",
    ],
)
def test_a_name_of_a_file_never_becomes_a_path(server: Server, name: str) -> None:
    before = server.kept()
    body = form(ROW.encode(), name=name)
    head = server.head("POST", "/v1/files", FORM, f"Content-Length: {len(body)}")
    answer = server.send(head, body)
    if status_of(answer) != 200:
        assert refusal(answer)[0] == 400
        return
    sent = json.loads(answer.partition(b"\r\n\r\n")[2])
    (blob,) = set(server.kept()) - set(before)
    assert blob.parent == server.live.service.settings.blobs
    assert len(blob.name) == 32
    deleted = server.send(server.head("DELETE", f"/v1/files/{sent['id']}"))
    assert status_of(deleted) == 200


@pytest.mark.parametrize(
    "path",
    [
        "/v1/files/..%2f..%2fetc%2fpasswd",
        "/v1/files/%2e%2e",
        "/v1/files/../../tunesmith.db/content",
        "/v1/files/%2fetc%2fpasswd/content",
        "/v1/files/%c0%ae%c0%ae%c0%af",
        "/v1/files/%ed%a0%80",
        "/v1/files/%00",
        "/v1/files/" + "a" * 4_000,
        "/v1/files/%E2%80%AEa",
        "/v1/models/..%2f..%2fhome",
        "/v1/models/anvil%2f..%2f..",
        "/v1/models/%2fetc",
        "/v1/models/ft:anvil:..%2f..:x",
        "/v1/models/anvil%00",
        "/v1/fine_tuning/jobs/*",
        "/v1/fine_tuning/jobs/%25%32%65",
        "/v1/fine_tuning/jobs/' OR 1=1 --".replace(" ", "%20"),
        "/v1//files",
        "//healthz/../v1/files",
        "/V1/FILES",
        "/static/../../etc/passwd",
        "/docs",
        "/redoc",
    ],
)
def test_an_id_is_a_name_and_never_a_path(server: Server, path: str) -> None:
    for method in ("GET", "DELETE"):
        assert refusal(server.send(server.head(method, path)))[0] in (400, 404, 405)


@pytest.mark.parametrize(
    "method", ["TRACE", "CONNECT", "OPTIONS", "PUT", "PATCH", "get", "QUERY", "X" * 300]
)
def test_methods_that_nothing_knows_are_refused(server: Server, method: str) -> None:
    assert refusal(server.send(server.head(method, "/v1/files")))[0] == 405


def test_a_method_is_the_one_in_the_first_line(server: Server) -> None:
    tricks = ["X-HTTP-Method-Override: DELETE", "X-Method-Override: DELETE", "X-Original-URL: /x"]
    answer = server.send(server.head("GET", "/v1/files?_method=DELETE", *tricks))
    assert status_of(answer) == 200
    upgrade = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
    head = staying(server.head("GET", "/v1/files", *upgrade))
    assert status_of(server.send(head, seconds=0.3)) in (200, 400)


def test_one_connection_too_many_is_told_so_and_the_next_is_welcome(server: Server) -> None:
    with ExitStack() as held:
        for _ in range(LIMITS.connections):
            held.enter_context(server.connect())
        time.sleep(0.1)
        status, error = refusal(server.send(server.head("GET", "/healthz")))
        assert status == 503
        assert "as many connections" in error["message"]
    time.sleep(0.1)


def test_a_client_that_does_not_read_is_let_go(server: Server) -> None:
    head = staying(server.head("GET", "/openapi.json"))
    with server.connect() as connection, pytest.raises(ConnectionError):
        connection.sendall(head * 200_000)


def test_a_key_that_was_revoked_or_changed_by_a_letter_opens_nothing(server: Server) -> None:
    other = server.key[:-1] + ("A" if server.key[-1] != "A" else "B")
    twice = server.head("GET", "/v1/files", f"Authorization: Bearer {server.key}", key=other)
    for head in (server.head("GET", "/v1/files", key=other), twice):
        status, error = refusal(server.send(head))
        assert status == 401
        assert other not in str(error)
    assert status_of(server.send(server.head("GET", "/v1/files"))) == 200
    for listed in server.live.service.keys.all():
        server.live.service.keys.revoke(listed.key.id)
    time.sleep(1.1)
    assert refusal(server.send(server.head("GET", "/v1/files")))[0] == 401
