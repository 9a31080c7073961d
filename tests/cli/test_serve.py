"""`tunesmith serve` and `tunesmith keys`, as an operator types them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tunesmith.cli import options
from tunesmith.cli.app import run

KEY = re.compile(r"ts-[A-Za-z0-9_-]{43}")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def made(home: Path, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    """A new key."""
    assert run(["keys", "create", "--home", str(home), *more]) == 0
    return capsys.readouterr().out.strip()


def listed(home: Path, capsys: pytest.CaptureFixture[str], *more: str) -> list[dict[str, object]]:
    assert run(["keys", "list", "--home", str(home), "--json", *more]) == 0
    records: list[dict[str, object]] = json.loads(capsys.readouterr().out)
    return records


def test_a_key_is_printed_once_alone_on_stdout(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = made(home, capsys, "--project", "support", "--scopes", "chat,read", "--expires", "30d")
    assert KEY.fullmatch(key)
    (record,) = listed(home, capsys)
    assert (record["project"], record["scopes"]) == ("support", ["read", "chat"])
    assert float(str(record["expires_at"])) == pytest.approx(time.time() + 30 * 86400, abs=60)
    assert run(["keys", "list", "--home", str(home)]) == 0
    shown = capsys.readouterr().out
    assert key not in shown
    assert key[:9] in shown
    assert key.encode() not in b"".join(file.read_bytes() for file in home.iterdir())


def test_the_home_is_its_owner_s_alone(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(home, capsys)
    assert home.stat().st_mode & 0o077 == 0


def test_a_key_is_listed_with_its_priority_and_revoked_by_its_id(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made(home, capsys)
    made(home, capsys, "--project", "other", "--priority", "5")
    assert run(["keys", "list", "--home", str(home)]) == 0
    assert capsys.readouterr().out.count("  priority 5  ") == 1
    assert run(["keys", "revoke", "key_none", "--home", str(home)]) == 2
    assert "There is no key key_none" in capsys.readouterr().err
    (record,) = listed(home, capsys, "--project", "other")
    assert run(["keys", "revoke", str(record["id"]), "--home", str(home)]) == 0
    assert "is revoked" in capsys.readouterr().out
    assert [one["priority"] for one in listed(home, capsys)] == [0, 5]
    states = [one["state"] for one in listed(home, capsys)]
    assert states[0] == "holds"
    assert str(states[1]).startswith("revoked 2")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["keys", "create", "--scopes", "read,wriet"], "There is no scope 'wriet'"),
        (["keys", "create", "--expires", "soon"], "--expires soon is no time"),
        (["keys", "create", "--expires", "2001-01-01"], "is over already"),
        (["keys", "create", "--project", " "], "--project must be"),
        (["keys", "create", "--project", "a\u202eb"], "--project must be"),
        (["keys", "list", "--database", "nonsense"], "is none that can be used"),
        (["serve", "--base", "anvil"], "anvil is not NAME=PATH"),
        (["serve", "--base", "small=./no/such"], "folder ./no/such, which is not there"),
        (["serve", "--host", "no.such.host.invalid"], "is no address of this machine"),
        (["serve", "--host", "192.0.2.1"], "is no address of this machine"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    home: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert run([*arguments, "--home", str(home)]) == 2
    assert said in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("prot: 1", "there is no key prot. Did you mean port?"),
        ("limits:\n  file_byte: 1", "there is no key limits.file_byte. Did you mean limits.file_b"),
        ("file_bytes: 1", "Did you mean limits.file_bytes?"),
        ("zzz: 1", "There are host, port,"),
        ("port: many", "port: Input should be a valid integer"),
        ("limits: {body_bytes: 0}", "limits.body_bytes: Input should be greater"),
        ("home: /", "Leave the key home out"),
        ("- port", "must have a key and a value"),
        ("port: [", "is not valid YAML"),
        (b"\xff\xfe\xff", "is not valid YAML"),
    ],
)
def test_a_mistake_in_the_settings_is_named_with_the_nearest(
    home: Path, capsys: pytest.CaptureFixture[str], file: str | bytes, said: str
) -> None:
    home.mkdir()
    (home / "serve.yaml").write_bytes(file.encode() if isinstance(file, str) else file)
    assert run(["serve", "--home", str(home)]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert str(home / "serve.yaml") in error


def test_a_port_that_is_taken_is_said(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert run(["serve", "--home", str(home), "--port", port]) == 2
    assert f"Port {port} of 127.0.0.1 cannot be had" in capsys.readouterr().err


def test_a_home_that_cannot_be_made_is_said(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home.write_text("a file")
    assert run(["serve", "--home", str(home)]) == 2
    assert f"The home {home} cannot be made (File exists)." in capsys.readouterr().err


def test_what_is_not_installed_is_said(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options, "find_spec", lambda name: None)
    for command in (["serve"], ["keys", "list"]):
        assert run([*command, "--home", str(home)]) == 2
        assert "pip install 'tunesmith[serve]'" in capsys.readouterr().err
    assert not home.exists()


@pytest.fixture
def running(home: Path) -> Iterator[subprocess.Popen[str]]:
    """`tunesmith serve` as a process of its own, which nobody has a key for."""
    command = [sys.executable, "-m", "tunesmith", "serve", "--home", str(home)]
    with (home.parent / "log").open("w") as log:
        process = subprocess.Popen(
            [*command, "--port", "0", "--workers", "1"],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    timer = threading.Timer(60, process.kill)
    timer.start()
    yield process
    timer.cancel()
    process.kill()
    process.communicate()


def test_a_server_says_what_to_do_next_and_ends_when_it_is_asked_to(
    home: Path, running: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert running.stdout is not None
    first, second, third = (running.stdout.readline() for _ in range(3))
    assert first == f"Serves anvil from {home}. Ctrl-C stops it.\n"
    address = re.fullmatch(r"base_url  (http://127\.0\.0\.1:\d+)/v1\n", second)
    assert address is not None
    assert third == f"There is no key yet. To make one: tunesmith keys create --home {home}\n"
    with urllib.request.urlopen(f"{address[1]}/healthz", timeout=10) as answer:
        assert json.load(answer) == {"status": "ok"}
    key = made(home, capsys)
    asked = urllib.request.Request(
        f"{address[1]}/v1/files", headers={"authorization": f"Bearer {key}"}
    )
    with urllib.request.urlopen(asked, timeout=10) as answer:
        assert answer.status == 200
    assert run(["serve", "--home", str(home), "--port", "0"]) == 2
    assert "Another server works on the home" in capsys.readouterr().err
    running.send_signal(signal.SIGTERM)
    rest = running.stdout.read()
    assert running.wait(20) == 0
    assert rest == "Stopping.\n"
    lines = [json.loads(line) for line in (home.parent / "log").read_text().splitlines()]
    asked_for = [line["route"] for line in lines if line["message"] == "request"]
    assert asked_for == ["/healthz", "/v1/files"]


def test_an_address_that_others_reach_is_warned_of(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tunesmith.serve import run as module

    monkeypatch.setattr(module, "server", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    for host, warned in (("0.0.0.0", True), ("127.0.0.1", False), ("::1", False)):
        assert run(["serve", "--home", str(home), "--host", host, "--port", "0"]) == 0
        assert ("without TLS" in capsys.readouterr().out) is warned
