"""How Alembic takes the steps: over the connection that it is given, in its transaction."""

from __future__ import annotations

from alembic import context

from tunesmith.serve.store.tables import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    render_as_batch=True,  # SQLite changes a table by writing it anew
)
with context.begin_transaction():
    context.run_migrations()
