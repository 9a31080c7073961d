"""The feedback store: what goes in comes out, whoever else writes, is killed, or has no room."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import event

from tunesmith.core.errors import DataError, StorageError, Unsupported
from tunesmith.core.records import Message
from tunesmith.data.feedback import (
    Answer,
    Choice,
    Edit,
    Feedback,
    FeedbackStore,
    Rated,
    Wanted,
)

TIME = "2026-05-04T12:00:00.000000+00:00"
ONE = Answer("At the door.\n", "runs/a", "61f2", '{"temperature": 0.7, "seed": 3}')
OTHER = Answer("Wo? 🙂 \x00", "anvil")
TURNS = (Message("system", "Be brief."), Message("user", "Where is it?"))
GIVEN = [
    Feedback(TURNS, Choice(ONE, OTHER, "second"), "ann", TIME, "1"),
    Feedback("Where?", Choice(OTHER, ONE, "tie"), "bob", "2026-05-05T00:00:00.000000+00:00", "2"),
    Feedback("Where?", Rated(OTHER, False), "", "2026-05-06T00:00:00.000000+00:00", "3"),
    Feedback("Where?", Edit(OTHER, "Behind it."), "ann", TIME, "4"),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "feedback.sqlite"


def rated(number: int, person: str = "") -> Feedback:
    return Feedback(f"question {number}", Rated(ONE, True), person)


def test_judgements_come_back_as_they_were_in_their_order(path: Path) -> None:
    store = FeedbackStore(path)
    assert store.add_all(GIVEN) == len(GIVEN)
    assert list(FeedbackStore(path)) == GIVEN
    assert len(store) == len(GIVEN)
    # Closed, nothing lies beside the file, so a copy of it is a copy of all.
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        (Wanted(person="ann"), "14"),
        (Wanted(person=""), "3"),
        (Wanted(model="runs/a"), "12"),
        (Wanted(since="2026-05-05T00:00:00.000000+00:00"), "23"),
        (Wanted(person="ann", model="runs/a"), "1"),
    ],
)
def test_some_of_them_can_be_asked_for(path: Path, wanted: Wanted, ids: str) -> None:
    store = FeedbackStore(path)
    store.add_all(GIVEN)
    assert [each.id for each in store.feedback(wanted)] == [*ids]


def test_the_same_is_kept_once_and_at_another_time_again(path: Path) -> None:
    store = FeedbackStore(path)
    said = rated(1, "ann")
    assert [store.add(said), store.add(said)] == [True, False]
    assert store.add_all([said, rated(2), rated(2)]) == 1
    assert store.add(replace(said, time="2026-05-04T14:00:00+02:00"))
    assert [each.time for each in store][-1] == TIME


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (replace(rated(2), person="\ud800"), "surrogate"),
        (replace(rated(2), time="yesterday"), "'yesterday' is no time"),
    ],
)
def test_of_what_cannot_be_kept_nothing_is(path: Path, wrong: Feedback, says: str) -> None:
    store = FeedbackStore(path)
    with pytest.raises(DataError, match=says):
        store.add_all([rated(1), wrong])
    assert len(store) == 0


ADDING = """
import sys
from tunesmith.data.feedback import Answer, Feedback, FeedbackStore, Rated
store = FeedbackStore(sys.argv[1])
for number in range(int(sys.argv[3])):
    store.add(Feedback(f"{number}", Rated(Answer("yes"), True), sys.argv[2]))
    print(number, flush=True)
"""


def adding(path: Path, person: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", ADDING, str(path), person, str(count)],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_processes_that_add_at_once_lose_nothing(path: Path) -> None:
    writers = [adding(path, person, 20) for person in ("ann", "bob")]
    for writer in writers:
        writer.communicate(timeout=120)
    assert [writer.returncode for writer in writers] == [0, 0]
    said = [(each.person, each.prompt) for each in FeedbackStore(path)]
    assert len(said) == len(set(said)) == 40


def test_a_killed_writer_leaves_a_whole_store_with_all_that_it_said_it_kept(path: Path) -> None:
    writer = adding(path, "ann", 100_000)
    assert writer.stdout is not None
    told = [int(writer.stdout.readline()) for _ in range(10)]
    writer.send_signal(signal.SIGKILL)
    told += [int(line) for line in writer.stdout.read().splitlines() if line.strip()]
    writer.stdout.close()
    writer.wait()
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert raw.execute("PRAGMA journal_mode").fetchall() == [("wal",)]
    store = FeedbackStore(path)
    prompts = [int(str(each.prompt)) for each in store]
    assert prompts[: len(told)] == told
    assert len(prompts) == len(store) <= len(told) + 1  # none without its answers
    assert store.add(rated(1))


def test_who_reads_and_writes_at_once_waits_for_nobody(path: Path) -> None:
    store = FeedbackStore(path)
    store.add_all([rated(1), rated(2)])
    reading: Iterator[Feedback] = iter(store)
    next(reading)
    added = threading.Thread(target=store.add, args=[rated(3)])
    added.start()
    added.join(timeout=20)
    assert not added.is_alive()
    assert len([*reading]) == 1  # as it stood when the first was taken
    assert len(store) == 3


def test_many_that_make_the_store_at_once_make_one(path: Path) -> None:
    makers = [threading.Thread(target=FeedbackStore, args=[path]) for _ in range(8)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_full_disk_is_said_and_what_was_kept_stays(path: Path) -> None:
    store = FeedbackStore(path)
    store.add(rated(1))

    @event.listens_for(store._engine, "connect")
    def _no_room(connection: sqlite3.Connection, record: object) -> None:
        connection.execute("PRAGMA max_page_count = 1")

    with pytest.raises(StorageError, match="The disk is full: this could not be added to"):
        store.add_all(rated(number) for number in range(1000))
    assert [each.prompt for each in FeedbackStore(path)] == ["question 1"]


def test_a_store_that_may_not_be_written_is_said(path: Path) -> None:
    store = FeedbackStore(path)

    @event.listens_for(store._engine, "connect")
    def _read_only(connection: sqlite3.Connection, record: object) -> None:
        connection.execute("PRAGMA query_only = 1")

    with pytest.raises(StorageError, match="is read-only"):
        store.add(rated(1))


def test_what_is_no_store_is_said(tmp_path: Path) -> None:
    text, other, folder = tmp_path / "a.txt", tmp_path / "b.sqlite", tmp_path / "folder"
    text.write_text("no database at all\n" * 100)
    with closing(sqlite3.connect(other)) as raw:
        raw.execute("CREATE TABLE mine (id INTEGER)")
    folder.mkdir()
    for path, kind, says in [
        (text, DataError, "is no feedback store: it is not a database"),
        (other, DataError, "is a database, but no feedback store"),
        (folder, StorageError, "cannot be opened"),
        (text / "feedback.sqlite", StorageError, "cannot be made"),
    ]:
        with pytest.raises(kind, match=says):
            FeedbackStore(path)
    with pytest.raises(DataError, match="There is no feedback store"):
        FeedbackStore(tmp_path / "new.sqlite", new=False)
    with pytest.raises(Unsupported, match="postgresql:// is no place"):
        FeedbackStore("postgresql://ann:secret@host/db")
    assert sorted(os.listdir(tmp_path)) == ["a.txt", "b.sqlite", "folder"]


def test_a_store_of_a_later_version_is_left_alone(path: Path) -> None:
    FeedbackStore(path)
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("UPDATE feedback_store SET version = 2")
    with pytest.raises(DataError, match="of version 2, and this tunesmith reads version 1"):
        FeedbackStore(path)


def test_a_damaged_store_is_said(path: Path) -> None:
    store = FeedbackStore(path)
    store.add_all(rated(number) for number in range(200))
    whole = path.read_bytes()
    path.write_bytes(whole[:8192] + bytes(len(whole) - 8192))
    with pytest.raises(DataError, match="is damaged"):
        list(store)


def test_the_example_in_the_documentation_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[2] / "docs" / "feedback.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(code, {})
    assert "'chosen': 'Certainly, yes.', 'rejected': 'Yes.'" in capsys.readouterr().out
