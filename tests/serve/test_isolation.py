"""Two projects on one service: neither learns of the other's things, by any route there is.

The routes are read off the application. Each needs an entry in `ASKS`: its scope, and the requests
by which a stranger could come at something through it. `<file>` and the like stand for ids, once
for those of the other project and once for such as never were, and the answers must be the same.
The owner then asks the same, so that a request which never works proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy import select

from tests.serve.fake_engine import FakeEngine
from tests.serve.jobbing import new_job
from tunesmith.runs.registry import Named, Registry, Version
from tunesmith.serve.app import build
from tunesmith.serve.caller import SCOPES, Caller
from tunesmith.serve.guard.keys import OPEN
from tunesmith.serve.ids import Prefix, new_id
from tunesmith.serve.own.projects import folder_of
from tunesmith.serve.routes import ROUTERS
from tunesmith.serve.service import assemble
from tunesmith.serve.settings import Settings
from tunesmith.serve.store.database import Database
from tunesmith.serve.store.tables import (
    CheckpointRow,
    JobEventRow,
    ModelRow,
    Table,
)

PARAMETERS = {
    "file_id": "<file>",
    "upload_id": "<upload>",
    "job_id": "<job>",
    "model": "<model>",
    "permission_id": "<permission>",
    "webhook_id": "<webhook>",
    "alias": "<alias>",
    "part": "plan",
}
FORM = {"file": ("rows.jsonl", b'{"messages": []}\n')}


@dataclass(frozen=True)
class Ask:
    """One request through a route, and how it ends for the owner of what it names."""

    body: Any = None
    query: Mapping[str, str] = field(default_factory=dict)
    path: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, Any] | None = None
    owner: int | None = 200
    """None where it fails for the owner, too."""


HERE = (Ask(),)
NOTHING: tuple[Ask, ...] = ()
"""Names nothing of anyone's."""


def after(kind: str) -> Ask:
    """A page that begins behind an object."""
    return Ask(query={"after": kind})


def train(**more: Any) -> Ask:
    """A job."""
    return Ask({"model": "anvil", "training_file": "<file>", **more})


WEBHOOK = {"event_type": "fine_tuning.job.succeeded"}
CHAT = {"messages": [{"role": "user", "content": "Hello"}]}
FOUND = 503
"""The model is there, but not its weights, which no test here makes."""
WRITES = 400
"""The model is there, and is none of the kind that the route takes."""
_JOB = "/v1/fine_tuning/jobs"
_PERMISSIONS = "/v1/fine_tuning/checkpoints/{model:path}/permissions"
_WEBHOOK = "/v1/webhook_endpoints"
_OWN = "/v1/tunesmith"
UNREADY = 409
"""The job has no run yet, the model no files, or the alias no version before."""

ASKS: dict[str, dict[str, tuple[Ask, ...]]] = {
    "anyone": {"GET /healthz": NOTHING, "GET /readyz": NOTHING},
    "read": {
        "GET /v1/files": (after("<file>"),),
        "GET /v1/files/{file_id}": HERE,
        "GET /v1/files/{file_id}/content": HERE,
        f"GET {_JOB}": (after("<job>"),),
        f"GET {_JOB}/{{job_id}}": HERE,
        f"GET {_JOB}/{{job_id}}/events": (Ask(), after("<event>")),
        f"GET {_JOB}/{{job_id}}/checkpoints": (Ask(), after("<checkpoint>")),
        "GET /v1/models": NOTHING,
        "GET /v1/models/{model:path}": (
            Ask(),
            Ask(path={"model": "<step>"}),
            Ask(path={"model": "<alias>"}),
        ),
        f"POST {_OWN}/files/{{file_id}}/check": HERE,
        f"GET {_OWN}/jobs/{{job_id}}/{{part}}": (Ask(owner=UNREADY),),
        f"GET {_OWN}/jobs/{{job_id}}/report": (Ask(owner=UNREADY),),
        f"GET {_OWN}/feedback/rows": NOTHING,
        f"GET {_OWN}/aliases": NOTHING,
        f"GET {_OWN}/aliases/{{alias}}": HERE,
    },
    "write": {
        "POST /v1/files": NOTHING,
        "DELETE /v1/files/{file_id}": (Ask(path={"file_id": "<spare>"}),),
        "POST /v1/uploads": NOTHING,
        "POST /v1/uploads/{upload_id}/parts": (Ask(form={"data": ("blob", b"x")}, owner=400),),
        "POST /v1/uploads/{upload_id}/complete": (
            Ask({"part_ids": ["<part>"]}),
            Ask({"part_ids": ["<part>"]}, path={"upload_id": "<own upload>"}, owner=None),
        ),
        "POST /v1/uploads/{upload_id}/cancel": HERE,
        "DELETE /v1/models/{model:path}": (Ask(), Ask(path={"model": "<step>"})),
        f"POST {_OWN}/feedback": NOTHING,
    },
    "chat": {
        "POST /v1/chat/completions": (
            Ask({"model": "<model>", **CHAT}, owner=FOUND),
            Ask({"model": "<step>", "stream": True, **CHAT}, owner=FOUND),
        ),
        "POST /v1/completions": (Ask({"model": "<model>", "prompt": "Hello"}, owner=FOUND),),
        "POST /v1/embeddings": (Ask({"model": "<model>", "input": "Hello"}, owner=WRITES),),
        "POST /v1/moderations": (Ask({"model": "<model>", "input": "Hello"}, owner=WRITES),),
    },
    "train": {
        f"POST {_JOB}": (train(), train(training_file="<own file>", validation_file="<file>")),
        f"POST {_JOB}/{{job_id}}/cancel": HERE,
        f"POST {_JOB}/{{job_id}}/pause": HERE,
        f"POST {_JOB}/{{job_id}}/resume": (Ask(owner=409),),
        "POST /v1/fine_tuning/alpha/graders/run": NOTHING,
        "POST /v1/fine_tuning/alpha/graders/validate": NOTHING,
    },
    "admin": {
        "GET /metrics": NOTHING,
        f"POST {_PERMISSIONS}": (Ask({"project_ids": ["proj_x"]}),),
        f"GET {_PERMISSIONS}": (Ask(), after("<permission>")),
        f"DELETE {_PERMISSIONS}/{{permission_id}}": HERE,
        f"GET {_WEBHOOK}": (after("<webhook>"),),
        "GET /v1/webhook_event_types": NOTHING,
        f"POST {_WEBHOOK}": NOTHING,
        f"GET {_WEBHOOK}/{{webhook_id}}": HERE,
        f"POST {_WEBHOOK}/{{webhook_id}}": (Ask({"name": "mine now"}),),
        f"DELETE {_WEBHOOK}/{{webhook_id}}": HERE,
        f"POST {_WEBHOOK}/{{webhook_id}}/rotate_secret": HERE,
        f"POST {_WEBHOOK}/{{webhook_id}}/test": (Ask(WEBHOOK, owner=400),),
        f"POST {_OWN}/aliases/{{alias}}/promote": (Ask({"model": "<model>"}, owner=UNREADY),),
        f"POST {_OWN}/aliases/{{alias}}/rollback": (Ask(owner=UNREADY),),
    },
}
"""What each route is asked, by the scope that it needs."""

ENTRIES = {name: asks for routes in ASKS.values() for name, asks in routes.items()}
SCOPE_OF = {name: scope for scope, routes in ASKS.items() for name in routes}
ROUTES = {
    f"{method} {route.path}": route
    for router in ROUTERS
    for route in router.routes
    if isinstance(route, APIRoute)
    for method in sorted(route.methods)
}
GUARDED = sorted(name for name in ENTRIES if SCOPE_OF[name] != "anyone")
NAMING = sorted((name, n) for name in GUARDED for n in range(len(ENTRIES[name])))
LISTS = sorted(name for name in ROUTES if name.startswith("GET") and "{" not in name)


UPLOAD = {"bytes": 4, "filename": "a.jsonl", "mime_type": "text/plain", "purpose": "fine-tune"}


def models_of(project: str, job: str, *ids: str) -> list[ModelRow]:
    """The models that a job has made."""
    return [
        ModelRow(
            id=id, project_id=project, job_id=job, base="anvil", kind="chat", folder="jobs/x",
            created_at=1,
        )
        for id in ids
    ]  # fmt: skip


def happened(job: str, id: str) -> JobEventRow:
    """Something."""
    return JobEventRow(
        id=id, job_id=job, created_at=1, level="info", type="message", message="A secret."
    )


def state_of(job: str, model: str, id: str) -> CheckpointRow:
    """A checkpoint."""
    return CheckpointRow(
        id=id, job_id=job, model_id=model, step_number=1, metrics={"step": 1}, created_at=1
    )


def led_to(settings: Settings, project: str, job: str) -> str:
    """A name that leads to the model of a job."""
    registry = Registry(folder_of(settings, project))
    run = str(settings.jobs / job / "run")
    version = Version(1, run, run, "anvil", {}, "ship", "A secret.", "2026-01-01T00:00:00+00:00")
    with registry.locked():
        registry.put(Named(f"alias-{job}", 1, (version,), ()))
    return f"alias-{job}"


class World:
    """A service, its projects' keys, and a client of it."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.service = assemble(settings, database, FakeEngine("Hello"))
        self.client = TestClient(build(self.service), raise_server_exceptions=False)
        self.keys: dict[str, str] = {}

    def ask(self, key: str | None, name: str, ask: Ask, ids: Mapping[str, str]) -> Response:
        """One request, with ids put where their names stand."""
        method, _, path = name.partition(" ")
        for parameter, kind in {**PARAMETERS, **ask.path}.items():
            path = path.replace(f"{{{parameter}}}", kind).replace(f"{{{parameter}:path}}", kind)
        return self.client.request(
            method,
            filled(path, ids),
            params=filled(dict(ask.query), ids),
            json=filled(ask.body, ids),
            files=ask.form,
            headers={} if key is None else {"authorization": f"Bearer {key}"},
        )

    def caller(self, project: str) -> Caller:
        """Of a project."""
        row = self.service.keys.all(project)[0].key
        return Caller(row.project_id, row.id, frozenset(SCOPES))

    def rows(self) -> dict[str, list[Any]]:
        """All that the store holds, but for keys and what is written of every request."""
        with self.service.database.read() as session:
            return {
                table.name: list(session.execute(select(table)))
                for table in Table.metadata.sorted_tables
                if table.name not in ("audit", "keys")
            }

    def things(self, project: str) -> dict[str, str]:
        """New objects of every kind in a project, by the names that stand for their ids."""
        service = self.service
        self.keys[project] = service.keys.create(project)[0]
        caller = self.caller(project)
        file, spare = (self._post(project, "files", data={"purpose": "fine-tune"}, files=FORM)
                       for _ in range(2))  # fmt: skip
        upload = self._post(project, "uploads", json=UPLOAD)
        part = self._post(project, f"uploads/{upload}/parts", files={"data": ("blob", b"{}\n\n")})
        job = service.jobs.create(caller, new_job(training_file=file)).id
        model, step = f"ft:anvil:tunesmith::{job}", f"ft:anvil:tunesmith::{job}:ckpt-step-1"
        event, checkpoint = new_id("ftevent-"), new_id("ftckpt_")
        with service.database.write() as session:
            session.add_all([*models_of(caller.project, job, model, step), happened(job, event)])
            session.add(state_of(job, step, checkpoint))
        permission = service.permissions.create(caller.project, model, ["proj_y"])[0].id
        url = "http://127.0.0.1:9/never"
        webhook = service.webhooks.create(caller.project, "hook", url, [WEBHOOK["event_type"]]).id  # type: ignore[list-item]
        names = ("file", "spare", "upload", "part", "job", "model", "step", "event", "checkpoint")
        ids = (file, spare, upload, part, job, model, step, event, checkpoint)
        found = dict(zip(names, ids, strict=True))
        found |= {"permission": permission, "webhook": webhook}
        found |= {"alias": led_to(service.settings, caller.project, job)}
        return {f"<{name}>": id for name, id in found.items()}

    def _post(self, project: str, path: str, **given: Any) -> str:
        headers = {"authorization": f"Bearer {self.keys[project]}"}
        answer = self.client.post(f"/v1/{path}", headers=headers, **given)
        assert answer.status_code == 200, answer.text
        id: str = answer.json()["id"]
        return id


def filled(value: Any, ids: Mapping[str, str]) -> Any:
    """With ids put where their names stand."""
    if isinstance(value, dict):
        return {key: filled(each, ids) for key, each in value.items()}
    if isinstance(value, list):
        return [filled(each, ids) for each in value]
    if isinstance(value, str):
        for name, id in ids.items():
            value = value.replace(name, id)
    return value


def never_were(ids: Mapping[str, str]) -> dict[str, str]:
    """Ids of the same form that nothing has."""
    prefixes: dict[str, Prefix] = {
        "<file>": "file-", "<spare>": "file-", "<upload>": "upload_", "<part>": "part_",
        "<job>": "ftjob-", "<event>": "ftevent-", "<checkpoint>": "ftckpt_",
        "<permission>": "cp_", "<webhook>": "we_",
    }  # fmt: skip
    names = {name: new_id(prefixes[name]) for name in ids if name in prefixes}
    model = f"ft:anvil:tunesmith::{new_id('ftjob-')}"
    models = {"<model>": model, "<step>": f"{model}:ckpt-step-1"}
    return {**names, **models, "<alias>": f"alias-{new_id('ftjob-')}"}


def told(answer: Response, ids: Mapping[str, str]) -> tuple[int, str]:
    """What an answer says, but for the ids that were in the question."""
    text = answer.text
    for name, id in sorted(ids.items(), key=lambda pair: -len(pair[1])):
        text = text.replace(id, name)
    return answer.status_code, text


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = tmp_path_factory.mktemp("isolation")
    settings = Settings(home=home, workers=0, webhook_reach="loopback")
    database = Database(settings.database_url)
    Table.metadata.create_all(database.engine)
    yield World(settings, database)
    database.close()


@pytest.fixture(scope="module")
def theirs(world: World) -> dict[str, str]:
    """What project one has."""
    return world.things("one")


@pytest.fixture(scope="module")
def own(world: World) -> dict[str, str]:
    """What project two has, by names of its own."""
    return {name.replace("<", "<own "): id for name, id in world.things("two").items()}


def test_every_route_has_an_entry_and_no_entry_is_left_over() -> None:
    assert sorted(ENTRIES) == sorted(ROUTES)
    assert {f"GET {path}" for path in OPEN} - {"GET /openapi.json"} <= ASKS["anyone"].keys()


def test_every_route_that_names_something_is_asked_for_it() -> None:
    for name in GUARDED:
        assert ENTRIES[name] or "{" not in name, name


@pytest.mark.parametrize("name", GUARDED)
def test_without_a_key_or_its_scope_nothing_is_answered(
    world: World, own: dict[str, str], theirs: dict[str, str], name: str
) -> None:
    others = [scope for scope in SCOPES if scope != SCOPE_OF[name]]
    weak, _ = world.service.keys.create("one", scopes=others)
    before = world.rows()
    for ask in ENTRIES[name] or HERE:
        assert world.ask(None, name, ask, theirs | own).status_code == 401
        answer = world.ask(weak, name, ask, theirs | own)
        assert answer.status_code == 403
        assert answer.json()["error"]["type"] == "permission_error"
    assert world.rows() == before


@pytest.mark.parametrize(("name", "number"), NAMING)
def test_what_is_another_s_is_as_if_it_never_was(
    world: World, own: dict[str, str], theirs: dict[str, str], name: str, number: int
) -> None:
    ask = ENTRIES[name][number]
    before = world.rows()
    files = sorted(world.service.settings.home.rglob("*"))
    answer = world.ask(world.keys["two"], name, ask, theirs | own)
    nothing = never_were(theirs)
    assert told(answer, theirs) == told(
        world.ask(world.keys["two"], name, ask, nothing | own), nothing
    )
    assert 400 <= answer.status_code < 500
    assert world.rows() == before
    assert sorted(world.service.settings.home.rglob("*")) == files
    if ask.owner is not None:
        owner = new_id("proj_")
        mine = world.things(owner)
        yours = {"<own file>": mine["<spare>"], "<own upload>": mine["<upload>"]}
        answered = world.ask(world.keys[owner], name, ask, mine | yours)
        assert answered.status_code == ask.owner, answered.text


@pytest.mark.parametrize("name", LISTS)
def test_no_list_has_another_s_things(
    world: World, own: dict[str, str], theirs: dict[str, str], name: str
) -> None:
    answer = world.ask(world.keys["two"], name, Ask(), {})
    assert answer.status_code == 200
    assert not [id for id in theirs.values() if id in answer.text]
