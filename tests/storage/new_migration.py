"""Writes the next migration, from what the tables say and the migrations do not yet.

python -m tests.storage.new_migration "Jobs know their cost"

What adds is written into the folder `before`. Where nothing is left but what removes, that is written into `after`,
with the release since which nothing uses it: keep that file back for the release after.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from alembic.autogenerate import produce_migrations, render_python_code
from alembic.autogenerate.api import AutogenContext
from alembic.migration import MigrationContext
from alembic.operations.ops import (
    AlterColumnOp,
    CreateTableOp,
    DropColumnOp,
    DropConstraintOp,
    DropTableOp,
    MigrateOperation,
    ModifyTableOps,
    UpgradeOps,
)

import oakmill.jobs.tables
import oakmill.registry.tables
import oakmill.storage.tables  # noqa: F401 - all tables are to be known
from oakmill import __version__
from oakmill.storage.database import Base, Database, UtcDateTime
from oakmill.storage.migrate import FOLDER, revisions, upgrade

CHANGES = 3  # of a table in one function: each may take ten lines
MOST = 16  # steps of one migration; when there are more, run it again for the rest

HEAD = '''"""{what}."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from oakmill.storage.database import UtcDateTime

revision = "{revision}"
down_revision = {down}


def upgrade() -> None:
    """{what}."""
'''


def render_type(kind: str, item: Any, context: AutogenContext) -> str | Literal[False]:
    return "UtcDateTime()" if kind == "type" and isinstance(item, UtcDateTime) else False


def missing_steps(db: Database) -> tuple[MigrationContext, list[MigrateOperation]]:
    context = MigrationContext.configure(
        db.engine.connect(),
        opts={
            "render_as_batch": True,
            "target_metadata": Base.metadata,
            "render_item": render_type,
            "sqlalchemy_module_prefix": "sa.",
            "alembic_module_prefix": "op.",
            "user_module_prefix": None,
        },
    )
    operations = produce_migrations(context, Base.metadata).upgrade_ops
    return context, [part for step in operations.ops for part in parts(step)] if operations else []


def parts(step: MigrateOperation) -> Iterator[MigrateOperation]:
    """A step in pieces that make functions of a screen each."""
    if not isinstance(step, ModifyTableOps):
        yield step
        return
    for begin in range(0, len(step.ops), CHANGES):
        yield ModifyTableOps(step.table_name, step.ops[begin : begin + CHANGES], schema=step.schema)


def removes(step: MigrateOperation) -> bool:
    """Whether code of before could not go on after it."""
    if isinstance(step, ModifyTableOps):
        return any(map(removes, step.ops))
    return isinstance(step, DropTableOp | DropColumnOp | DropConstraintOp | AlterColumnOp)


def names_of(steps: list[MigrateOperation]) -> list[str]:
    def name_of(number: int, step: MigrateOperation) -> str:
        if isinstance(step, CreateTableOp):
            return f"_make_{step.table_name}"
        return f"_change_{step.table_name}_{number}" if isinstance(step, ModifyTableOps) else f"_step_{number}"

    return [name_of(number, step) for number, step in enumerate(steps, 1)]


def render(step: MigrateOperation, context: MigrationContext) -> str:
    code = render_python_code(
        UpgradeOps([step]), render_as_batch=True, render_item=render_type, migration_context=context
    )
    lines = [line for line in code.splitlines() if not line.lstrip().startswith("#")]
    return "\n".join("    " + line.removeprefix("    ") for line in lines).rstrip()


def write(what: str) -> Path:
    known = revisions()
    db = Database("sqlite://")
    upgrade(db)
    context, steps = missing_steps(db)
    adding = [step for step in steps if not removes(step)]
    steps = (adding or steps)[:MOST]
    revision = f"{len(known) + 1:04}"
    text = HEAD.format(what=what, revision=revision, down=f'"{known[-1]}"' if known else "None")
    if not adding:
        text = text.replace("\n\n\ndef", f'\nunused_since = "{__version__}"\n\n\ndef')
    names = names_of(steps)
    text += "".join(f"    {name}()\n" for name in names)
    for name, step in zip(names, steps, strict=True):
        text += f"\n\ndef {name}() -> None:\n{render(step, context)}\n"
    slug = re.sub(r"\W+", "_", what.lower())[:40]
    path = FOLDER / ("before" if adding else "after") / f"{revision}_{slug}.py"
    path.write_text(text)
    return path


if __name__ == "__main__":
    print(f"{write(' '.join(sys.argv[1:]))}: read it, then run `ruff format` and the tests on both databases")
