"""Backup and restore: everything there, of one moment, while others write; or nothing at all."""

from __future__ import annotations

import io
import json
import sqlite3
import tarfile
import threading
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.serve import postgres
from tunesmith.core.errors import InputError, StorageError
from tunesmith.serve.backup import act, backup, restore
from tunesmith.serve.caller import Caller
from tunesmith.serve.service import Service, assemble
from tunesmith.serve.settings import Settings
from tunesmith.serve.store.database import Database
from tunesmith.serve.store.files import NewFile
from tunesmith.serve.store.tables import FileRow, ModelRow

pytestmark = pytest.mark.stores


@pytest.fixture(autouse=True)
def _programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the server's own version."""
    if found := postgres.programs():
        monkeypatch.setenv("PATH", f"{found}:/usr/bin:/bin")


@pytest.fixture
def project(caller: Caller) -> str:
    return caller.project


@pytest.fixture
def other(request: pytest.FixtureRequest, store: str | None, tmp_path: Path) -> Settings:
    """Of a service on another machine, as it were."""
    url = request.getfixturevalue("server").fresh() if store else None
    return Settings(home=tmp_path / "other", workers=0, database=url)


def put(service: Service, project: str, content: bytes) -> str:
    with service.blobs.begin(1 << 30) as incoming:
        incoming.write(content)
        blob = incoming.finish()
    return service.files.create(project, NewFile("x.bin", "user_data", blob, None)).id


def model(service: Service, project: str, name: str) -> None:
    """A tuned model: its bytes, then its row."""
    folder = service.settings.home / "jobs" / name
    (folder / "adapter").mkdir(parents=True)
    for part in range(3):
        (folder / "adapter" / f"{part}.safetensors").write_bytes(name.encode() * 100)
    row = ModelRow(
        id=name, project_id=project, job_id="ftjob-1", base="anvil", kind="chat",
        folder=f"jobs/{name}", created_at=1,
    )  # fmt: skip
    with service.database.write() as session:
        session.add(row)


def check(settings: Settings) -> list[str]:
    """Every row of the restored service has its bytes; returns the contents of its files."""
    database = Database(settings.database_url)
    service = assemble(settings, database)
    contents, there = [], FileRow.deleted_at.is_(None)
    with database.read() as session:
        for row in session.scalars(select(FileRow).where(there).order_by(FileRow.seq)):
            contents.append(service.blobs.path(row.blob).read_text())
        for row in session.scalars(select(ModelRow)):
            parts = (settings.home / row.folder / "adapter").iterdir()
            assert [part.read_bytes() for part in parts] == [row.id.encode() * 100] * 3
    database.close()
    return contents


def test_what_is_restored_is_what_was_there(
    service: Service, project: str, other: Settings, tmp_path: Path
) -> None:
    put(service, project, b"one")
    model(service, project, "ft:anvil:a")
    (service.settings.home / "serve.yaml").write_text("port: 1\n")
    out = tmp_path / "saved.tar"
    made = backup(service.database, service.settings, out)
    assert out.stat().st_mode & 0o777 == 0o600
    assert restore(out, other) == made
    assert check(other) == ["one"]
    assert (other.home / "serve.yaml").read_text() == "port: 1\n"
    assert other.home.stat().st_mode & 0o777 == 0o700
    assert {path.name for path in tmp_path.iterdir()} == {"home", "other", "saved.tar"}


def test_while_others_write_and_delete_nothing_that_is_referred_to_is_missing(
    service: Service, project: str, other: Settings, tmp_path: Path
) -> None:
    """Each file holds its number; a few live at a time, and a model is made and withdrawn."""
    begun, ending = threading.Event(), threading.Event()

    def work() -> None:
        alive: list[str] = []
        for number in range(100_000):
            alive.append(put(service, project, str(number).encode()))
            if len(alive) > 4:
                service.files.delete(project, alive.pop(0))
                begun.set()
            if ending.is_set():
                return

    for number in range(30):
        model(service, project, f"ft:anvil:{number}")
    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert begun.wait(30)
        made = backup(service.database, service.settings, tmp_path / "saved.tar")
    finally:
        ending.set()
        thread.join()
    assert made.missing == ()
    restore(tmp_path / "saved.tar", other)
    numbers = [int(text) for text in check(other)]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_what_is_deleted_while_it_is_read_leads_to_another_round(
    service: Service, project: str, other: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, kept = put(service, project, b"gone"), put(service, project, b"kept")
    read = act._take_in
    rounds = []

    def deleted_meanwhile(*given: object) -> None:
        if not rounds:
            service.files.delete(project, gone)
        rounds.append(given)
        read(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(act, "_take_in", deleted_meanwhile)
    made = backup(service.database, service.settings, tmp_path / "saved.tar")
    assert (len(rounds), made.missing) == (2, ())
    restore(tmp_path / "saved.tar", other)
    assert check(other) == ["kept"]
    assert kept


@pytest.mark.parametrize("damage", ["cut", "flipped", "climbing", "link", "text"])
def test_a_damaged_backup_leaves_no_home(
    service: Service, project: str, other: Settings, tmp_path: Path, damage: str
) -> None:
    put(service, project, b"content that is looked for")
    out = tmp_path / "saved.tar"
    backup(service.database, service.settings, out)
    whole = out.read_bytes()
    if damage == "cut":
        out.write_bytes(whole[: len(whole) // 2])
    elif damage == "flipped":
        out.write_bytes(whole.replace(b"content that", b"content thut"))
    elif damage == "text":
        out.write_text("no tar")
    else:
        with tarfile.open(out, "w") as tar:
            member = tarfile.TarInfo("../evil" if damage == "climbing" else "evil")
            member.type = tarfile.REGTYPE if damage == "climbing" else tarfile.SYMTYPE
            member.linkname = "/etc/passwd"
            tar.addfile(member, io.BytesIO())
    with pytest.raises(InputError, match=r"saved\.tar (is|was) .*\.$"):
        restore(out, other)
    assert {path.name for path in tmp_path.iterdir()} == {"home", "saved.tar"}


def test_nothing_is_written_over(service: Service, other: Settings, tmp_path: Path) -> None:
    out = tmp_path / "saved.tar"
    backup(service.database, service.settings, out)
    with pytest.raises(InputError, match="exists, and no backup is written over"):
        backup(service.database, service.settings, out)
    with pytest.raises(InputError, match="cannot lie in the home"):
        backup(service.database, service.settings, service.settings.home / "inside.tar")
    with pytest.raises(InputError, match="is not empty"):
        restore(out, service.settings)
    wrong = other.model_copy(update={"database": None if other.database else "postgresql://u@/x"})
    with pytest.raises(InputError, match="The backup is of a service with"):
        restore(out, wrong)
    if other.database is not None:
        full = other.model_copy(update={"database": service.settings.database})
        with pytest.raises(InputError, match="database is not empty"):
            restore(out, full)


def test_a_disk_that_is_full_is_a_sentence(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*asked: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(act, "snapshot", full)
    with pytest.raises(StorageError, match=r"written: database or disk is full\. None was made\."):
        backup(service.database, service.settings, tmp_path / "saved.tar")
    assert not (tmp_path / "saved.tar").exists()


def test_without_the_programs_of_postgresql_it_is_a_sentence(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if service.database.is_sqlite:
        pytest.skip("of PostgreSQL alone")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StorageError, match="The program pg_dump was not found"):
        backup(service.database, service.settings, tmp_path / "saved.tar")


def test_the_list_of_a_backup_names_every_file(
    service: Service, project: str, tmp_path: Path
) -> None:
    put(service, project, b"one")
    backup(service.database, service.settings, tmp_path / "saved.tar")
    with tarfile.open(tmp_path / "saved.tar") as tar:
        last = tar.getmembers()[-1]
        listed = json.load(tar.extractfile(last))  # type: ignore[arg-type]
        names = {member.name for member in tar.getmembers()} - {last.name}
    assert (last.name, set(listed["files"])) == ("backup.json", names)
