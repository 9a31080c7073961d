"""Bytes on the disk: whole under their name, or not there at all."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import time
from pathlib import Path

import pytest

from tunesmith.serve.blobs import ABANDONED, Blob, Blobs
from tunesmith.serve.errors import ApiError
from tunesmith.serve.settings import Settings


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(Settings(home=tmp_path, min_free_bytes=1))


def put(blobs: Blobs, content: bytes) -> Blob:
    with blobs.begin(limit=1 << 20) as incoming:
        incoming.write(content)
        return incoming.finish()


def names(blobs: Blobs) -> set[str]:
    return {path.name for path in blobs.path("x").parent.iterdir()}


def test_what_was_finished_is_there_under_a_name_of_its_own(blobs: Blobs) -> None:
    one, two = put(blobs, b"same"), put(blobs, b"same")
    assert one.name != two.name
    assert one.sha256 == hashlib.sha256(b"same").hexdigest()
    assert blobs.path(one.name).read_bytes() == b"same"
    assert names(blobs) == {one.name, two.name}


def test_what_was_not_finished_leaves_nothing(blobs: Blobs) -> None:
    with blobs.begin(limit=10) as incoming:
        incoming.write(b"half")
        assert len(names(blobs)) == 1
    assert names(blobs) == set()


def test_more_than_the_limit_is_refused_as_it_comes(blobs: Blobs) -> None:
    with blobs.begin(limit=3) as incoming:
        incoming.write(b"ab")
        with pytest.raises(ApiError) as refused:
            incoming.write(b"cd")
    assert refused.value.status == 413
    assert names(blobs) == set()


def test_more_than_the_limit_is_refused_where_it_is_announced(blobs: Blobs) -> None:
    with pytest.raises(ApiError) as refused:
        blobs.begin(limit=3, coming=4)
    assert refused.value.status == 413


def test_nothing_begins_on_a_disk_that_would_be_too_full(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(ApiError) as refused:
        Blobs(Settings(home=tmp_path, min_free_bytes=2 * free)).begin(limit=10)
    assert (refused.value.status, refused.value.code) == (503, "insufficient_storage")


def test_a_disk_that_fills_up_meanwhile_is_noticed(
    blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    with blobs.begin(limit=1 << 30) as incoming:
        incoming.write(bytes(15 << 20))
        monkeypatch.setattr(shutil, "disk_usage", lambda path: Full)
        with pytest.raises(ApiError) as refused:
            incoming.write(bytes(1 << 20))
    assert refused.value.status == 503
    assert names(blobs) == set()


class Full:
    free = 0


def test_parts_are_joined_in_their_order(blobs: Blobs) -> None:
    one, two = put(blobs, b"one "), put(blobs, b"two ")
    joined = blobs.join([two.name, one.name], limit=100)
    assert blobs.path(joined.name).read_bytes() == b"two one "


def test_a_killed_upload_is_swept_and_one_under_way_is_not(blobs: Blobs) -> None:
    with blobs.begin(limit=10) as incoming:
        killed = blobs.path("killed.partial")
        killed.write_bytes(b"half")
        assert blobs.sweep(kept=()) == 1
        assert not killed.exists()
        kept = incoming.finish()
    assert names(blobs) == {kept.name}


def test_a_blob_without_a_row_goes_after_an_hour(blobs: Blobs) -> None:
    known, fresh = put(blobs, b"known"), put(blobs, b"fresh")
    assert blobs.sweep(kept={known.name}) == 0, "its row may be about to be written"
    assert blobs.sweep(kept={known.name}, now=time.time() + ABANDONED + 60) == 1
    assert names(blobs) == {known.name}
    assert not blobs.path(fresh.name).exists()


def test_who_writes_a_blob_has_it_locked(blobs: Blobs) -> None:
    with blobs.begin(limit=10):
        (partial,) = (blobs.path(name) for name in names(blobs))
        with partial.open("rb") as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
