"""Files in parts, by the official client over a real connection."""

from __future__ import annotations

import hashlib
import time
from types import SimpleNamespace

import openai
import pytest

from tests.serve.live import Live
from tests.serve.test_files import LINE, blobs
from tunesmith.serve.store import uploads

pytestmark = pytest.mark.stores

WHOLE = LINE * 5


def begin(client: openai.OpenAI, *, bytes: int = len(WHOLE), name: str = "rows.jsonl") -> str:
    upload = client.uploads.create(
        bytes=bytes, filename=name, mime_type="application/jsonl", purpose="fine-tune"
    )
    assert upload.status == "pending"
    assert upload.expires_at == upload.created_at + 3600
    return upload.id


def send(client: openai.OpenAI, upload: str, *pieces: bytes) -> list[str]:
    return [client.uploads.parts.create(upload, data=piece).id for piece in pieces]


def test_parts_become_a_file_in_the_order_that_is_asked_for(live: Live) -> None:
    client = live.client()
    before = blobs(live)
    upload = begin(client)
    late, early = send(client, upload, WHOLE[40:], WHOLE[:40])
    md5 = hashlib.md5(WHOLE).hexdigest()
    done = client.uploads.complete(upload, part_ids=[early, late], md5=md5)
    assert done.status == "completed"
    assert done.file is not None
    assert client.files.content(done.file.id).content == WHOLE
    assert len(blobs(live) - before) == 1, "the parts are gone"
    for again in (client.uploads.complete, client.uploads.cancel):
        with pytest.raises(openai.ConflictError):
            again(upload, **({"part_ids": [early]} if again == client.uploads.complete else {}))


def test_the_client_s_own_way_of_sending_a_large_file(live: Live) -> None:
    client = live.client()
    done = client.uploads.upload_file_chunked(
        file=WHOLE,
        filename="rows.jsonl",
        bytes=len(WHOLE),
        mime_type="application/jsonl",
        purpose="fine-tune",
        part_size=100,
    )
    assert done.file is not None
    assert client.files.content(done.file.id).content == WHOLE


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ([0], "announced"),
        ([1, 0, 1], "twice"),
        ([0, 7], "has no part"),
        ([1, 0], "md5"),
    ],
)
def test_what_is_not_the_whole_file_is_refused_and_can_be_mended(
    live: Live, named: list[int], said: str
) -> None:
    client = live.client()
    upload = begin(client)
    parts = [*send(client, upload, WHOLE[:40], WHOLE[40:]), *["part_none"] * 6]
    md5 = hashlib.md5(WHOLE).hexdigest()
    with pytest.raises(openai.BadRequestError, match=said):
        client.uploads.complete(upload, part_ids=[parts[n] for n in named], md5=md5)
    assert client.uploads.complete(upload, part_ids=parts[:2], md5=md5).status == "completed"


def test_no_more_comes_than_was_announced(live: Live) -> None:
    client = live.client()
    before = blobs(live)
    upload = begin(client, bytes=10)
    with pytest.raises(openai.BadRequestError, match="announced"):
        send(client, upload, b"x" * 11)
    assert blobs(live) == before
    with pytest.raises(openai.APIStatusError) as refused:
        begin(client, bytes=live.service.settings.limits.upload_bytes + 1)
    assert refused.value.status_code == 413


def test_a_cancelled_upload_leaves_nothing_and_takes_nothing(live: Live) -> None:
    client = live.client()
    before = blobs(live)
    upload = begin(client)
    send(client, upload, WHOLE)
    assert client.uploads.cancel(upload).status == "cancelled"
    assert blobs(live) == before
    with pytest.raises(openai.ConflictError, match="cancelled"):
        send(client, upload, WHOLE)


def test_an_upload_that_is_never_completed_goes_after_an_hour(live: Live) -> None:
    client = live.client()
    before = blobs(live)
    upload = begin(client)
    send(client, upload, WHOLE)
    live.service.uploads.expire(time.time() + 3590)
    assert len(blobs(live) - before) == 1
    live.service.uploads.expire(time.time() + 3601)
    assert not blobs(live) - before
    with pytest.raises(openai.ConflictError, match="expired"):
        send(client, upload, WHOLE)


def test_an_upload_takes_nothing_after_its_hour(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = live.client()
    upload = begin(client)
    now = time.time()
    monkeypatch.setattr(uploads, "time", SimpleNamespace(time=lambda: now + 3601))
    with pytest.raises(openai.ConflictError, match="expired"):
        send(client, upload, WHOLE)


def test_an_upload_belongs_to_its_project(live: Live) -> None:
    upload = begin(live.client())
    stranger = live.client()
    with pytest.raises(openai.NotFoundError):
        send(stranger, upload, WHOLE)
    with pytest.raises(openai.NotFoundError):
        stranger.uploads.complete(upload, part_ids=["part_x"])
    with pytest.raises(openai.NotFoundError):
        stranger.uploads.cancel(upload)
