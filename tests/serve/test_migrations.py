"""The tables of a version become those of the next: exactly, with all rows, once, or not at all."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from tunesmith.core.errors import InputError, StorageError
from tunesmith.serve.settings import Settings
from tunesmith.serve.store.migrate import STEPS, open_store, write_step
from tunesmith.serve.store.tables import KeyRow, ProjectRow, Table

pytestmark = pytest.mark.stores

_NEXT = """
import sqlalchemy as sa
from alembic import op
revision, down_revision = "next", "{last}"

def upgrade():
    with op.batch_alter_table("projects", recreate="auto") as table:
        table.add_column(sa.Column("note", sa.String(8), nullable=False, server_default="new"))
        table.alter_column("name", new_column_name="title")
    {then}
"""


@pytest.fixture
def empty(request: pytest.FixtureRequest, store: str | None, tmp_path: Path) -> Settings:
    """Of a service that was never started."""
    url = request.getfixturevalue("server").fresh() if store else None
    return Settings(home=tmp_path / "home", database=url)


def later(folder: Path, then: str = "pass") -> Path:
    """The steps of a version after this one."""
    steps = folder / "steps"
    shutil.copytree(STEPS, steps)
    last = max(path.name[:4] for path in (steps / "versions").glob("0*.py"))
    (steps / "versions" / "next.py").write_text(_NEXT.format(last=last, then=then))
    return steps


def fill(settings: Settings) -> None:
    database = open_store(settings)
    with database.write() as session:
        session.add(ProjectRow(id="proj_1", name="one", created_at=1))
        session.flush()
        session.add(
            KeyRow(
                id="key_1", project_id="proj_1", name="", sha256="0", shown="ts", scopes=[],
                created_at=1,
            )
        )  # fmt: skip
    database.close()


def test_the_steps_make_exactly_the_tables_of_this_version(empty: Settings) -> None:
    """After a change of `tables.py`: python -m tunesmith.serve.store.migrate "what changed"."""
    database = open_store(empty)
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, Table.metadata) == []
    database.close()
    assert empty.home.stat().st_mode & 0o777 == 0o700


def test_what_was_stored_is_there_in_the_next_version_and_refused_by_the_one_before(
    empty: Settings, tmp_path: Path
) -> None:
    fill(empty)
    database = open_store(empty, later(tmp_path))
    with database.read() as session:
        assert session.execute(text("SELECT title, note FROM projects")).all() == [("one", "new")]
        assert session.scalar(select(KeyRow.project_id)) == "proj_1"
    orphan = text("UPDATE keys SET project_id = 'none'")
    with pytest.raises(IntegrityError), database.write() as session:
        session.execute(orphan)
    database.close()
    with pytest.raises(InputError, match="written by a newer version"):
        open_store(empty)


@pytest.mark.parametrize(
    "then", ["raise ZeroDivisionError", "op.execute(\"UPDATE keys SET project_id = 'none'\")"]
)
def test_a_step_that_fails_leaves_the_store_as_it_was(
    empty: Settings, tmp_path: Path, then: str
) -> None:
    fill(empty)
    with pytest.raises((ZeroDivisionError, StorageError)):
        open_store(empty, later(tmp_path, then))
    database = open_store(empty)
    with database.read() as session:
        assert session.scalar(select(ProjectRow.name)) == "one"
        assert session.scalar(select(KeyRow.project_id)) == "proj_1"
    database.close()


def test_of_several_that_start_at_once_one_makes_the_tables(empty: Settings) -> None:
    with ThreadPoolExecutor(4) as pool:
        for database in pool.map(open_store, [empty] * 4):
            with database.read() as session:
                assert session.scalars(select(ProjectRow)).all() == []
            database.close()


def test_a_store_that_cannot_be_reached_is_a_sentence(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, database=f"postgresql://nobody@/none?host={tmp_path}")
    with pytest.raises(StorageError, match=r"^The store cannot be opened: .*No such file"):
        open_store(settings)


def test_a_step_is_written_by_comparing(tmp_path: Path) -> None:
    steps = tmp_path / "steps"
    shutil.copytree(STEPS, steps, ignore=shutil.ignore_patterns("0*.py", "__pycache__"))
    write_step("All tables", steps)
    (step,) = (steps / "versions").glob("*.py")
    assert step.name == "0001_all_tables.py"
    assert all(f'"{name}"' in step.read_text().replace("'", '"') for name in Table.metadata.tables)
