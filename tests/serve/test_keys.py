"""Keys: what holds, what does not, and that nobody learns which of the two it was."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import select, text

from tunesmith.serve.app import build
from tunesmith.serve.caller import SCOPES
from tunesmith.serve.guard import keys as module
from tunesmith.serve.guard.keys import Admin, Chatter, Reader, Trainer, Writer
from tunesmith.serve.service import Service
from tunesmith.serve.store.database import Database
from tunesmith.serve.store.keys import Keys, digest_of, new_key
from tunesmith.serve.store.tables import KeyRow


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def app(service: Service) -> FastAPI:
    """The application with one more path for each scope."""
    app = build(service)

    for scope, kind in zip(SCOPES, (Reader, Writer, Chatter, Trainer, Admin), strict=True):

        def only(caller: Any) -> dict[str, str]:
            return {"project": caller.project}

        only.__annotations__["caller"] = kind
        app.add_api_route(f"/only/{scope}", only)
    return app


@pytest.fixture
def client(app: FastAPI) -> TestClient:
    return TestClient(app)


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def test_a_key_is_shown_once_and_only_its_hash_is_kept(service: Service) -> None:
    key, row = service.keys.create("one", name="laptop")
    assert len(key) == 46
    assert row.sha256 == digest_of(key)
    with service.database.read() as session:
        kept = str(session.execute(select(KeyRow.__table__)).all())
    assert key not in kept
    assert key[:9] in kept


def test_keys_of_one_project_share_it(service: Service) -> None:
    first, second, other = (service.keys.create(name)[1] for name in ("one", "one", "two"))
    assert first.project_id == second.project_id != other.project_id
    assert [listed.key.id for listed in service.keys.all("one")] == [first.id, second.id]


def test_each_scope_opens_its_own_routes_alone(service: Service, client: TestClient) -> None:
    for scope in SCOPES:
        key, row = service.keys.create("one", scopes=[scope])
        for other in SCOPES:
            answer = client.get(f"/only/{other}", headers=bearer(key))
            assert answer.status_code == (200 if other == scope else 403)
            if other == scope:
                assert answer.json() == {"project": row.project_id}
            else:
                assert answer.json()["error"]["type"] == "permission_error"
                assert answer.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Basic dHM6dHM=",
        "Bearer ts-" + "a" * 42,
        "Bearer ts-" + "a" * 4000,
        "Bearer ts-" + "a" * 42 + "\xe9",
    ],
)
def test_what_is_no_key_is_refused(client: TestClient, header: str) -> None:
    answer = client.get("/only/read", headers={"authorization": header.encode("latin-1")})
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"
    assert answer.json()["error"]["type"] == "authentication_error"


def test_unknown_revoked_and_expired_are_told_alike(
    service: Service, database: Database, client: TestClient
) -> None:
    clock = Clock()
    keys = Keys(database, clock)
    revoked, row = keys.create("one")
    keys.revoke(row.id)
    expired, _ = keys.create("one", expires_at=int(clock.now))
    answers = [client.get("/only/read", headers=bearer(k)) for k in (new_key(), revoked, expired)]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1


def test_a_revoked_key_is_believed_for_a_second_at_most(service: Service) -> None:
    clock = Clock()
    keyring = module.Keyring(service.keys, clock)
    key, row = service.keys.create("one")
    asyncio.run(keyring.caller(f"Bearer {key}"))
    service.keys.revoke(row.id)
    clock.now += 1.1
    with pytest.raises(module.ApiError):
        asyncio.run(keyring.caller(f"Bearer {key}"))


def test_without_a_key_no_path_is_known(client: TestClient) -> None:
    known, unknown = (client.get(path) for path in ("/only/read", "/v1/no/such/path"))
    assert known.status_code == unknown.status_code == 401
    assert known.content == unknown.content
    assert client.get("/healthz").status_code == 200


def test_headers_of_the_hosted_service_change_nothing(service: Service, client: TestClient) -> None:
    key, row = service.keys.create("one")
    other = service.keys.create("two")[1].project_id
    headers = {**bearer(key), "openai-project": other, "openai-organization": "org-x"}
    assert client.get("/only/read", headers=headers).json() == {"project": row.project_id}


def test_a_store_that_cannot_be_read_is_no_refusal_of_the_key(
    service: Service, client: TestClient
) -> None:
    key, _ = service.keys.create("one")
    with service.database.engine.begin() as connection:
        connection.execute(text("ALTER TABLE keys RENAME TO moved"))
    answer = client.get("/only/read", headers=bearer(key))
    assert answer.status_code == 503
    assert "tables of the store are not those of this service" in answer.text
