"""Models and who may ask them, by the official client over a real connection."""

from __future__ import annotations

import openai
import pytest

from tests.serve.live import Live
from tunesmith.serve.store.tables import ModelRow

pytestmark = pytest.mark.stores


def project_of(live: Live, client: openai.OpenAI) -> str:
    """The id of the project that the client's key belongs to."""
    keys = (each.key for each in live.service.keys.all())
    return next(key.project_id for key in keys if client.api_key.startswith(key.shown))


def made(live: Live, client: openai.OpenAI) -> str:
    """A model of the client's project."""
    project = project_of(live, client)
    name = f"ft:anvil:tunesmith:x:{project}"
    folder = live.service.settings.jobs / project / "run"
    (folder / "adapter").mkdir(parents=True)
    row = ModelRow(
        id=name,
        project_id=project,
        job_id="ftjob-x",
        base="anvil",
        kind="chat",
        folder=str(folder.relative_to(live.service.settings.home)),
        created_at=5,
    )
    with live.service.database.write() as session:
        session.add(row)
    return name


def test_a_model_is_listed_found_and_deleted_with_its_weights(live: Live) -> None:
    client = live.client()
    name = made(live, client)
    weights = live.service.settings.jobs / project_of(live, client) / "run" / "adapter"
    assert [model.id for model in client.models.list()] == ["anvil", name]
    assert weights.exists()
    found = client.models.retrieve(name)
    assert (found.object, found.created) == ("model", 5)
    assert client.models.delete(name).deleted
    assert not weights.exists()
    for act in (client.models.retrieve, client.models.delete):
        with pytest.raises(openai.NotFoundError):
            act(name)


def test_a_base_is_there_and_stays(live: Live) -> None:
    client = live.client()
    assert client.models.retrieve("anvil").owned_by == "tunesmith"
    with pytest.raises(openai.PermissionDeniedError, match="operator"):
        client.models.delete("anvil")


def test_a_model_is_another_project_s_only_by_permission(live: Live) -> None:
    owner, guest = live.client(), live.client()
    name = made(live, owner)
    permissions = owner.fine_tuning.checkpoints.permissions
    with pytest.raises(openai.NotFoundError):
        guest.models.retrieve(name)
    with pytest.raises(openai.NotFoundError):
        guest.fine_tuning.checkpoints.permissions.create(name, project_ids=["proj_x"])

    (given,) = permissions.create(name, project_ids=[project_of(live, guest)]).data
    assert permissions.create(name, project_ids=[given.project_id]).data == [given]
    assert guest.models.retrieve(name).owned_by == "another-project"
    assert name in [model.id for model in guest.models.list()]
    with pytest.raises(openai.PermissionDeniedError):
        guest.models.delete(name)

    assert permissions.delete(given.id, fine_tuned_model_checkpoint=name).deleted
    with pytest.raises(openai.NotFoundError):
        permissions.delete(given.id, fine_tuned_model_checkpoint=name)
    with pytest.raises(openai.NotFoundError):
        guest.models.retrieve(name)


def test_permissions_are_walked_in_pages(live: Live) -> None:
    client = live.client()
    name = made(live, client)
    permissions = client.fine_tuning.checkpoints.permissions
    given = permissions.create(name, project_ids=["proj_a", "proj_b", "proj_c"]).data
    ids = [permission.id for permission in given]
    assert [each.id for each in permissions.list(name, limit=1, order="ascending")] == ids
    assert [each.id for each in permissions.list(name, limit=2)] == ids[::-1]
    assert [each.id for each in permissions.list(name, project_id="proj_b")] == [ids[1]]


def test_a_deleted_model_takes_its_permissions_with_it(live: Live) -> None:
    owner, guest = live.client(), live.client()
    name = made(live, owner)
    owner.fine_tuning.checkpoints.permissions.create(name, project_ids=[project_of(live, guest)])
    owner.models.delete(name)
    assert name not in [model.id for model in guest.models.list()]
