"""Writes, a second later and all in one go, what no request is to wait for: when a key was used, what was downloaded.

So a request that only reads waits for no writer of the database. What a kill takes away is a second's worth at most.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Iterable

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session

from oakmill.jobs.rounds import Rounds
from oakmill.storage.database import Database

SECONDS = 1.0
MOST = 10_000
"""Writes that wait; while the database is away and there are more, the newest are left out."""
_log = logging.getLogger(__name__)

Write = Callable[[Session], None]


class Later(Rounds):
    """The writes that wait, and the thread that does them."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._waiting: dict[str, Write] = {}
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        super().__init__("later", SECONDS)

    def note(self, write: Write, *, once: str = "") -> None:
        """Have it written soon; what is called the same by `once` is written once."""
        with self._lock:
            if len(self._waiting) < MOST:
                self._waiting.setdefault(once or f"#{next(self._numbers)}", write)

    def write(self) -> None:
        """Write what waits, in one transaction; what the database does not take now waits on."""
        with self._lock:
            taken, self._waiting = self._waiting, {}
        if not taken:
            return
        try:
            self._do(*taken.values())
        except (OperationalError, InterfaceError) as error:
            _log.warning("%d notes wait for the database: %s", len(taken), error)
            with self._lock:
                self._waiting = taken | self._waiting
        except Exception:  # noqa: BLE001 - one that no database takes is not to keep the others out
            self._one_by_one(taken.values())

    def _do(self, *writes: Write) -> None:
        with self._db.session() as session:
            for write in writes:
                write(session)

    def _one_by_one(self, writes: Iterable[Write]) -> None:
        for write in writes:
            try:
                self._do(write)
            except Exception:  # noqa: BLE001 - as above
                _log.warning("a note cannot be written", exc_info=True)

    def close(self) -> None:
        """Write the rest, and end."""
        super().close()
        self.write()

    def round(self) -> None:
        """Write."""
        self.write()
