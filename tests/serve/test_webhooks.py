"""Webhooks: told with what they tell of, signed as the official client verifies it, sent safely."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from openai import InvalidWebhookSignatureError, NotFoundError, OpenAI
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.serve.receiver import Receiver, receiving
from tunesmith.serve.caller import Caller
from tunesmith.serve.service import Service
from tunesmith.serve.settings import Settings
from tunesmith.serve.store.database import Database
from tunesmith.serve.store.tables import DeliveryRow, ProjectRow, WebhookRow
from tunesmith.serve.webhooks import outbox
from tunesmith.serve.webhooks.address import Unreachable, parse
from tunesmith.serve.webhooks.post import post
from tunesmith.serve.webhooks.sender import DELAYS, Sender

pytestmark = pytest.mark.stores
DONE = "fine_tuning.job.succeeded"


def hook(session: Session, project: str, *events: str) -> None:
    """A project with a webhook for these."""
    session.add(ProjectRow(id=project, name=project, created_at=1))
    session.flush()
    common = {"name": "w", "secret": "whsec_c2VjcmV0", "created_at": 1, "updated_at": 1}
    url = "https://example.com/hook"
    session.add(
        WebhookRow(id=f"we_{project}", project_id=project, url=url, events=list(events), **common)
    )


def tell(session: Session) -> None:
    outbox(session, "a", DONE, {"id": "ftjob-1"})


def test_a_message_is_written_with_what_it_tells_of_or_not_at_all(database: Database) -> None:
    with database.write() as session:
        hook(session, "a", DONE)
        hook(session, "b", DONE)

    def undone() -> None:
        with database.write() as session:
            tell(session)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        undone()
    with database.write() as session:
        tell(session)
        outbox(session, "a", "fine_tuning.job.failed", {"id": "ftjob-2"})
    with database.read() as session:
        (row,) = session.scalars(select(DeliveryRow))
    body = json.loads(row.body)
    assert row.webhook_id == "we_a"
    assert body.pop("id").startswith("evt_")
    assert body.pop("created_at") == row.created_at
    assert body == {"object": "event", "type": DONE, "data": {"id": "ftjob-1"}}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """The receivers of these tests are on this machine."""
    return settings.model_copy(update={"webhook_reach": "loopback"})


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def sdk(client: TestClient) -> OpenAI:
    """The official client, whose requests the application answers in this process."""
    key = client.headers["authorization"].removeprefix("Bearer ")
    return OpenAI(api_key=key, base_url="http://testserver/v1", http_client=client, max_retries=0)  # type: ignore[arg-type]


def queue(database: Database, caller: Caller, count: int = 1) -> None:
    with database.write() as session:
        for n in range(count):
            outbox(session, caller.project, DONE, {"id": f"ftjob-{n}"})


def rows(database: Database) -> list[DeliveryRow]:
    with database.read() as session:
        return list(session.scalars(select(DeliveryRow).order_by(DeliveryRow.seq)))


def test_the_official_client_makes_a_webhook_and_verifies_what_comes(
    service: Service, sdk: OpenAI, caller: Caller, receiver: Receiver
) -> None:
    made = sdk.webhooks.create(event_types=[DONE], name="mine", url=receiver.url)
    queue(service.database, caller)
    assert Sender(service.database, "loopback").send_due() == 1
    ((path, headers, body),) = receiver.came
    event = sdk.webhooks.unwrap(body, headers, secret=made.signing_secret)
    assert (path, event.type, event.data.id) == ("/hook?a=1", DONE, "ftjob-0")
    with pytest.raises(InvalidWebhookSignatureError):
        sdk.webhooks.unwrap(body, headers, secret="whsec_b3RoZXI=")
    (row,) = rows(service.database)
    assert row.due_at is None
    assert row.delivered_at is not None
    assert Sender(service.database, "loopback").send_due() == 0


def test_the_official_client_sees_changes_and_deletes_it(
    service: Service, sdk: OpenAI, caller: Caller, receiver: Receiver
) -> None:
    made = [
        sdk.webhooks.create(event_types=[DONE], name=f"w{n}", url=receiver.url) for n in range(3)
    ]
    listed = list(sdk.webhooks.list(limit=2))
    assert [one.id for one in listed] == [one.id for one in reversed(made)]
    assert made[0].signing_secret not in json.dumps([one.to_dict() for one in listed])
    id = made[0].id
    assert sdk.webhooks.update(id, name="new").name == "new"
    assert sdk.webhooks.retrieve(id).url == receiver.url
    assert sdk.webhooks.test(id, event_type=DONE).status_code == 200
    rotated = sdk.webhooks.rotate_secret(id, keep_old_secret_active_for_24_hours=True)
    queue(service.database, caller)
    assert sdk.webhooks.delete(made[1].id).deleted
    Sender(service.database, "loopback").send_due()
    to_first = [came for came in receiver.came[1:] if " " in came[1]["webhook-signature"]]
    for secret in (made[0].signing_secret, rotated.signing_secret):
        sdk.webhooks.verify_signature(to_first[0][2], to_first[0][1], secret=secret)
    assert len(receiver.came) == 3  # the sample, and one to each that is left
    with pytest.raises(NotFoundError):
        sdk.webhooks.retrieve(made[1].id)
    assert DONE in sdk.webhooks.event_types.list().data


def test_what_is_not_taken_is_sent_again_later_each_time_and_then_given_up(
    service: Service, sdk: OpenAI, caller: Caller, receiver: Receiver
) -> None:
    sdk.webhooks.create(event_types=[DONE], name="mine", url=receiver.url)
    queue(service.database, caller)
    receiver.status, receiver.headers = 307, {"location": f"{receiver.url}&again"}
    now = [time.time()]
    sender = Sender(service.database, "loopback", clock=lambda: now[0])
    for delay in DELAYS:
        assert sender.send_due() == 1
        assert sender.send_due() == 0
        now[0] += delay * 1.2
    assert sender.send_due() == 1
    now[0] += 10 * 86400
    assert sender.send_due() == 0
    (row,) = rows(service.database)
    assert (row.due_at, row.delivered_at, row.attempts) == (None, None, len(DELAYS) + 1)
    assert row.last_error == "The answer had the status 307."
    assert {path for path, *_ in receiver.came} == {"/hook?a=1"}, "a redirection was followed"
    assert len({headers["webhook-id"] for _, headers, _ in receiver.came}) == 1


def test_what_a_process_took_and_never_sent_is_due_again(
    service: Service, sdk: OpenAI, caller: Caller, receiver: Receiver
) -> None:
    sdk.webhooks.create(event_types=[DONE], name="mine", url=receiver.url)
    queue(service.database, caller, 2)
    now = time.time()
    killed = Sender(service.database, "loopback", clock=lambda: now)
    assert len(killed._take()) == 1  # one to an address at a time
    assert Sender(service.database, "loopback", clock=lambda: now + 1).send_due() == 1
    assert Sender(service.database, "loopback", clock=lambda: now + 61).send_due() == 1
    assert sorted(json.loads(body)["data"]["id"] for *_, body in receiver.came) == [
        "ftjob-0", "ftjob-1",
    ]  # fmt: skip


def test_who_never_ends_an_answer_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as slow:
        stop = threading.Event()

        def drip() -> None:
            with slow.accept()[0] as connection, contextlib.suppress(OSError):
                while not stop.wait(0.05):
                    connection.sendall(b"H")

        thread = threading.Thread(target=drip)
        thread.start()
        begun = time.monotonic()
        target = parse(f"http://127.0.0.1:{slow.getsockname()[1]}", "loopback")
        with pytest.raises(Unreachable):
            post(target, "loopback", "{}", {}, seconds=0.3)
        assert time.monotonic() - begun < 2
        stop.set()
        thread.join()
