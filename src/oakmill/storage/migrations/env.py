"""What Alembic runs: the steps that are missing, on the connection that `oakmill.storage.migrate` holds."""

from __future__ import annotations

from alembic import context

from oakmill.storage.database import Base

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, render_as_batch=True
)
context.run_migrations()
