"""Which model answers to a name, for whom."""

from __future__ import annotations

import pytest

from tunesmith.serve.caller import Caller
from tunesmith.serve.chat.generation import Model
from tunesmith.serve.errors import ApiError
from tunesmith.serve.service import Service
from tunesmith.serve.store.tables import ModelRow, PermissionRow

pytestmark = pytest.mark.stores

TUNED = "ft:anvil:tunesmith::abc"


@pytest.fixture
def names(service: Service, caller: Caller) -> Service:
    with service.database.write() as session:
        for id, kind in ((TUNED, "chat"), (f"{TUNED}:ckpt-step-4", "chat"), ("ft:c", "classifier")):
            session.add(
                ModelRow(
                    id=id,
                    project_id=caller.project,
                    job_id="ftjob-abc",
                    base="anvil",
                    kind=kind,
                    folder="jobs/ftjob-abc/run",
                    created_at=1,
                )
            )
    return service


def test_bases_models_and_checkpoints_answer(names: Service, caller: Caller) -> None:
    find = names.chat.names.find
    folder = names.settings.home / "jobs/ftjob-abc/run"
    assert find(caller, "anvil") == Model("anvil", "anvil")
    assert find(caller, TUNED) == Model(TUNED, "anvil", "chat", folder)
    assert find(caller, f"{TUNED}:ckpt-step-4").folder == folder


def test_of_another_project_it_is_as_if_it_never_was(names: Service, caller: Caller) -> None:
    other = Caller(names.keys.create("two")[1].project_id, "key_2", frozenset({"chat"}))
    said = []
    for name in (TUNED, "ft:never"):
        with pytest.raises(ApiError) as refused:
            names.chat.names.find(other, name)
        said.append((refused.value.status, refused.value.message.replace(name, "X")))
    assert said[0] == said[1]
    assert said[0][0] == 404
    with names.database.write() as session:
        session.add(
            PermissionRow(
                id="cp_1",
                model_id=TUNED,
                owner_id=caller.project,
                project_id=other.project,
                created_at=1,
            )
        )
    assert names.chat.names.find(other, TUNED).id == TUNED


def test_what_does_not_write_is_not_chatted_with(names: Service, caller: Caller) -> None:
    with pytest.raises(ApiError, match="labels texts: ask it with /v1/moderations"):
        names.chat.names.of_kind(caller, "ft:c", "chat")
