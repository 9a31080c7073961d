"""What time makes superfluous goes, and what a row refers to stays."""

from __future__ import annotations

import os
import time

import pytest

from tunesmith.serve.blobs import ABANDONED
from tunesmith.serve.caller import Caller
from tunesmith.serve.service import Service
from tunesmith.serve.store.files import NewFile
from tunesmith.serve.store.uploads import NewUpload
from tunesmith.serve.tidy import tidy, tidying

pytestmark = pytest.mark.stores


def put(service: Service, content: bytes) -> NewFile:
    with service.blobs.begin(limit=100) as incoming:
        incoming.write(content)
        return NewFile("a.bin", "user_data", incoming.finish())


def old(service: Service) -> None:
    """Everything on the disk was last written long ago."""
    long_ago = time.time() - ABANDONED - 60
    for path in service.settings.blobs.iterdir():
        os.utime(path, (long_ago, long_ago))


def test_what_rows_refer_to_is_kept_and_the_rest_goes(service: Service, caller: Caller) -> None:
    file = service.files.create(caller.project, put(service, b"file"))
    upload = service.uploads.create(caller.project, NewUpload(9, "b.bin", "", "user_data"))
    part = service.uploads.add_part(caller.project, upload.id, put(service, b"part").blob)
    put(service, b"a crash left it without a row")
    old(service)
    tidy(service)
    assert {path.name for path in service.settings.blobs.iterdir()} == {file.blob, part.blob}


def test_it_is_done_at_the_start(service: Service) -> None:
    service.settings.blobs.mkdir(parents=True)
    left = service.settings.blobs / "killed.partial"
    left.touch()
    with tidying(service):
        deadline = time.monotonic() + 10
        while left.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
    assert not left.exists()
