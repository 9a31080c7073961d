"""The operator's commands: backup, restore, audit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tunesmith.cli.app import run

pytest.importorskip("fastapi")


def test_a_service_is_saved_and_put_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home, other, file = tmp_path / "home", tmp_path / "other", tmp_path / "saved.tar"
    assert run(["keys", "create", "--home", str(home)]) == 0
    assert run(["backup", "--home", str(home), "--out", str(file)]) == 0
    assert run(["restore", str(file), "--home", str(other)]) == 0
    assert "as they were saved" in capsys.readouterr().out
    listed = []
    for one in (home, other):
        assert run(["keys", "list", "--json", "--home", str(one)]) == 0
        listed.append(json.loads(capsys.readouterr().out))
    assert listed[0] == listed[1]
    assert run(["restore", str(file), "--home", str(other)]) == 2
    assert "is not empty" in capsys.readouterr().err


def test_the_trail_is_printed_the_latest_last(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tunesmith.serve.caller import Caller
    from tunesmith.serve.home import opened
    from tunesmith.serve.observe.audit import Audit
    from tunesmith.serve.settings import Settings

    caller = Caller("proj_1", "key_1", frozenset())
    with opened(Settings(home=tmp_path)) as store:
        for act in ("POST /v1/files", "DELETE /v1/files/{file_id}"):
            Audit(store).end(Audit(store).begin(act, "req_1", caller, "file-1"), 200, None)
    assert run(["audit", "--home", str(tmp_path)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("proj_1  key_1  200  POST /v1/files  file-1")
    assert second.endswith("DELETE /v1/files/{file_id}  file-1")
    assert run(["audit", "--json", "--limit", "1", "--home", str(tmp_path)]) == 0
    (act,) = json.loads(capsys.readouterr().out)
    assert (act["object"], act["status"], act["request"]) == ("file-1", 200, "req_1")


@pytest.mark.parametrize("command", [["keys", "list"], ["keys", "revoke", "key_1"], ["audit"]])
def test_where_no_service_is_none_is_made(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command, "--home", str(tmp_path / "typo")]) == 2
    assert "There is no service in" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_backup_of_nothing_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home, file = str(tmp_path / "typo"), tmp_path / "saved.tar"
    assert run(["backup", "--home", home, "--out", str(file)]) == 2
    assert "There is no service in" in capsys.readouterr().err
    assert run(["restore", str(file), "--home", home]) == 2
    assert f"{file} is not there." in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
