"""Files, by the official client over a real connection."""

from __future__ import annotations

import time
from pathlib import Path

import openai
import pytest

from tests.serve.live import Live

pytestmark = pytest.mark.stores

LINE = b'{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n'


def blobs(live: Live) -> set[Path]:
    folder = live.service.settings.blobs
    return set(folder.iterdir()) if folder.is_dir() else set()


def test_a_file_is_sent_waited_for_read_and_deleted(live: Live, tmp_path: Path) -> None:
    client = live.client()
    path = tmp_path / "rows.jsonl"
    path.write_bytes(LINE * 3)
    with path.open("rb") as source:
        sent = client.files.create(file=source, purpose="fine-tune")
    assert (sent.filename, sent.bytes, sent.purpose) == ("rows.jsonl", len(LINE) * 3, "fine-tune")
    assert client.files.wait_for_processing(sent.id).status == "processed"
    assert client.files.retrieve(sent.id) == sent
    assert client.files.content(sent.id).content == LINE * 3
    assert client.files.delete(sent.id).deleted
    for again in (client.files.delete, client.files.retrieve, client.files.content):
        with pytest.raises(openai.NotFoundError):
            again(sent.id)


def test_nothing_stays_on_the_disk_of_a_deleted_file(live: Live) -> None:
    client = live.client()
    before = blobs(live)
    sent = client.files.create(file=("a.jsonl", LINE), purpose="fine-tune")
    assert len(blobs(live) - before) == 1
    client.files.delete(sent.id)
    assert blobs(live) == before


def test_a_list_is_walked_in_pages_each_file_once_in_both_orders(live: Live) -> None:
    client = live.client()
    sent = [client.files.create(file=(f"{n}.jsonl", LINE), purpose="fine-tune").id for n in "abc"]
    other = client.files.create(file=("d.txt", b"d"), purpose="user_data").id
    assert [file.id for file in client.files.list(limit=1)] == [other, *reversed(sent)]
    assert [file.id for file in client.files.list(limit=2, order="asc")] == [*sent, other]
    assert [file.id for file in client.files.list(purpose="user_data")] == [other]
    assert live.client().files.list().data == []


def test_a_list_can_be_emptied_while_it_is_walked(live: Live) -> None:
    client = live.client()
    for name in "abc":
        client.files.create(file=(f"{name}.jsonl", LINE), purpose="fine-tune")
    for file in client.files.list(limit=1):
        client.files.delete(file.id)
    assert client.files.list().data == []


def test_a_file_can_be_given_a_time(live: Live) -> None:
    client = live.client()
    sent = client.files.create(
        file=("a.jsonl", LINE),
        purpose="fine-tune",
        expires_after={"anchor": "created_at", "seconds": 3600},
    )
    assert sent.expires_at == sent.created_at + 3600
    assert live.service.files.expire(time.time() + 3599) == 0
    assert live.service.files.expire(time.time() + 3601) == 1
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(sent.id)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty"),
        (b"PK\x03\x04\xff\xff", "not UTF-8"),
        (b"prompt,completion\n", "begins with 'p'"),
        (b'[{"messages": []}]', r"begins with '\['"),
    ],
)
def test_what_is_no_jsonl_is_refused_and_leaves_nothing(
    live: Live, content: bytes, said: str
) -> None:
    before = blobs(live)
    with pytest.raises(openai.BadRequestError, match=said) as refused:
        live.client().files.create(file=("a.jsonl", content), purpose="fine-tune")
    assert (refused.value.param, refused.value.code) == ("file", "invalid_file_format")
    assert blobs(live) == before


def test_a_beginning_that_cuts_a_letter_in_two_is_read(live: Live) -> None:
    content = b'{"a": "' + "é".encode() * (1 << 15) + b'"}\n'  # the look ends inside an é
    assert live.client().files.create(file=("a.jsonl", content), purpose="fine-tune").id


@pytest.mark.parametrize(
    ("name", "kept"),
    [("../../etc/passwd", "passwd"), ("C:\\x\\y.jsonl", "y.jsonl"), ("é.jsonl",) * 2],
)
def test_a_name_is_a_text_of_one_part(live: Live, name: str, kept: str) -> None:
    assert live.client().files.create(file=(name, LINE), purpose="fine-tune").filename == kept


@pytest.mark.parametrize(
    "fields",
    [
        {"purpose": "nonsense"},
        {"purpose": "fine-tune", "colour": "red"},
        {"purpose": "fine-tune", "expires_after[seconds]": "3600"},
        {
            "purpose": "fine-tune",
            "expires_after[seconds]": "1",
            "expires_after[anchor]": "created_at",
        },
        {},
    ],
)
def test_a_form_that_says_something_else_is_refused(live: Live, fields: dict[str, str]) -> None:
    client = live.client()
    before = blobs(live)
    with pytest.raises(openai.BadRequestError):
        client.post("/files", cast_to=object, body=fields, files={"file": LINE},
                    options={"headers": {"Content-Type": "multipart/form-data"}})  # fmt: skip
    assert blobs(live) == before
