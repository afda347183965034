"""What the registry's functions share: adding a row whose name may be taken, and the text that a search reads."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from oakmill.errors import Conflict, NotFound
from oakmill.registry.tables import Model, Words
from oakmill.storage.database import Base


def add(session: Session, row: Base, *, taken: str, remedy: str) -> None:
    """Write the row now, so that a name that is taken is told where it was asked for.

    Raises:
        Conflict: `taken`, when the database holds one of that name.
    """
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError as error:
        if "foreign key" in str(error.orig).lower():
            raise NotFound("What it was to stand below is gone.", remedy="Look it up again.") from None
        raise Conflict(taken, remedy=remedy) from None


def words(*texts: str | None, tags: Iterable[str] = ()) -> str:
    """The lower-case text that a search reads."""
    return " ".join(text for text in (*texts, *tags) if text).lower()[: Words.length]


def held_model(session: Session, model_id: str, *, alone: bool = False, trashed: bool = False) -> Model:
    """The model, held until the transaction ends, so that what is added below it is seen by whom sees the model.

    With `alone`, nobody else adds or changes anything below it meanwhile; with `trashed` it may lie in the trash.

    Raises:
        NotFound: It is gone.
    """
    model = session.scalars(
        select(Model)
        .where(Model.id == model_id)
        .with_for_update(read=not alone)
        .execution_options(populate_existing=True)
    ).first()
    if model is None or (model.trash_id is not None and not trashed):
        raise NotFound(f"The model {model_id!r} is gone.", subject=model_id, remedy="Create it again.")
    return model
