"""Two deeds at once, each in a transaction of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable

from sqlalchemy.orm import Session

from oakmill.errors import OakmillError
from oakmill.storage.database import Database

Deed = Callable[[Session], object]


def race(db: Database, *deeds: Deed) -> list[OakmillError | None]:
    """Begin all at the same time; for each, what refused it."""
    together = threading.Barrier(len(deeds))
    ends: list[OakmillError | None] = [None] * len(deeds)

    def run(place: int, deed: Deed) -> None:
        together.wait(timeout=120)
        try:
            with db.session() as session:
                deed(session)
        except OakmillError as error:
            ends[place] = error

    threads = [threading.Thread(target=run, args=item) for item in enumerate(deeds)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
        assert not thread.is_alive(), "one waits for ever"
    return ends


def behind(db: Database, first: Deed, second: Deed) -> OakmillError | None:
    """Begin the second while the first has done its deed and not committed; what refused the second.

    On SQLite the second waits for the whole of the first; on PostgreSQL for what the first holds.
    """
    end: list[OakmillError | None] = [None]

    def run() -> None:
        try:
            with db.session() as session:
                second(session)
        except OakmillError as error:
            end[0] = error

    with db.session() as session:
        first(session)
        session.flush()
        thread = threading.Thread(target=run)
        thread.start()
        thread.join(timeout=0.5)
    thread.join(timeout=120)
    assert not thread.is_alive(), "it waits for ever"
    return end[0]
