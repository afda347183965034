"""Wakes whoever waits for something to happen to a job, at once: workers, and the streams that people watch.

A notification is a hint and may be lost; whoever gets one, or has waited POLL_SECONDS, looks into the database, which
alone knows. On SQLite each process has a datagram socket in one folder of the hub; PostgreSQL carries them by NOTIFY.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from sqlalchemy import event, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from oakmill.processes.running import readable
from oakmill.settings import Settings
from oakmill.storage.database import Database

QUEUE = "queue"
"""The topic of all that may change what a worker can claim, or who waits for whom."""
POLL_SECONDS = 1.0
FOLDER = "bells"
"""The hub's folder of sockets; processes of an Oakmill before this one look for each other there, too."""

_LONGEST_TOPIC = 1024
_AT_COMMIT = "oakmill notifications"
_log = logging.getLogger(__name__)


def job_topic(job_id: str) -> str:
    """The topic of one job: its state, progress and log."""
    return f"job:{job_id}"


def control_topic(job_id: str) -> str:
    """The topic of what a job's worker is to be told: that it is cancelled."""
    return f"control:{job_id}"


def notify_at_commit(session: Session, *topics: str) -> None:
    """Notify of these topics once the session's transaction is committed; of nothing if it is not."""
    session.info.setdefault(_AT_COMMIT, {}).update(dict.fromkeys(topics))


class Subscription:
    """Is woken for some topics; a notification while nobody waits is kept for the next wait.

    `fileno` is readable while there is one, so that whoever waits for more can wait for all at once.
    """

    def __init__(self, topics: frozenset[str] = frozenset()) -> None:
        self.topics = topics
        self._count = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def fileno(self) -> int:
        """The descriptor to wait for."""
        return self._count

    def wake(self) -> None:
        """Wake who waits; any thread and any signal handler may call it."""
        os.eventfd_write(self._count, 1)

    def clear(self) -> bool:
        """Take note of the notifications so far; False when there was none."""
        try:
            return bool(os.eventfd_read(self._count))
        except BlockingIOError:
            return False

    def wait(self, seconds: float = POLL_SECONDS) -> bool:
        """Wait for a notification; False when there was none in that time."""
        readable(self._count, seconds)
        return self.clear()

    async def wait_async(self, seconds: float = POLL_SECONDS) -> bool:
        """As `wait`, for streams: only the task that awaits it waits."""
        loop, woken = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self, woken.set)
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(woken.wait(), seconds)
        finally:
            loop.remove_reader(self)
        return self.clear()

    def close(self) -> None:
        """Give back the descriptor."""
        os.close(self._count)


class Carrier(Protocol):
    """What carries topics from process to process."""

    def send(self, topic: str) -> None:
        """Send a topic to all processes that listen, this one too."""

    def receive(self) -> Iterator[str]:
        """The topics that come in, until it is closed; "" means that some may have been missed."""

    def close(self) -> None:
        """Listen no more."""


class Notifier:
    """One process's notifier: sends at commits on its database, and wakes subscriptions for what any process sends."""

    def __init__(self, carrier: Carrier, db: Database) -> None:
        self._carrier = carrier
        self._db = db
        self._subscriptions: set[Subscription] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        event.listen(Session, "after_commit", self._after_commit)

    @classmethod
    def of(cls, settings: Settings, db: Database) -> Notifier:
        """The notifier of a hub; no socket or connection is opened before something is sent or subscribed to."""
        return cls(SocketCarrier(settings.hub / FOLDER) if db.is_sqlite else PostgresCarrier(db), db)

    def notify(self, *topics: str) -> None:
        """Wake all who subscribed to one of these topics. Never fails: who is not woken looks by himself soon."""
        for topic in topics:
            self._carrier.send(topic)

    @contextmanager
    def subscribe(self, *topics: str) -> Iterator[Subscription]:
        """A subscription to these topics, for the time of the block. Subscribe first, then look into the database."""
        subscription = Subscription(frozenset(topics))
        with self._lock:
            self._subscriptions.add(subscription)
            self._start()
        try:
            yield subscription
        finally:
            with self._lock:
                self._subscriptions.discard(subscription)
                subscription.close()

    def close(self) -> None:
        """Send and receive no more."""
        event.remove(Session, "after_commit", self._after_commit)
        self._carrier.close()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._receive, name="notifier", daemon=True)
            self._thread.start()

    def _receive(self) -> None:
        for topic in self._carrier.receive():
            with self._lock:
                for subscription in self._subscriptions:
                    if not topic or topic in subscription.topics:
                        subscription.wake()

    def _after_commit(self, session: Session) -> None:
        if session.get_bind().engine.url == self._db.engine.url:
            self.notify(*session.info.pop(_AT_COMMIT, ()))


class SocketCarrier:
    """Carries topics between the processes of one machine: a datagram socket for each in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sender.setblocking(False)
        self._receiver: socket.socket | None = None

    def send(self, topic: str) -> None:
        """Send to every socket in the folder; one that nobody reads any more is removed."""
        with suppress(OSError), self._short_path() as folder:
            for name in os.listdir(folder):  # noqa: PTH208 - many times a second
                try:
                    self._sender.sendto(topic.encode(), f"{folder}/{name}")
                except ConnectionRefusedError:
                    Path(self._folder, name).unlink(missing_ok=True)
                except OSError:  # its buffer is full, so it will wake anyway; or it has just gone
                    continue

    def receive(self) -> Iterator[str]:
        """What comes in at this process's own socket."""
        self._folder.mkdir(parents=True, exist_ok=True)
        receiver = self._receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with self._short_path() as folder:
            receiver.bind(f"{folder}/{self._name}")
        with receiver, suppress(OSError):
            yield ""
            while data := receiver.recv(_LONGEST_TOPIC):
                yield data.decode(errors="replace")

    def close(self) -> None:
        """Take the socket away; the reader wakes and ends."""
        if self._receiver:
            with suppress(OSError):
                self._receiver.shutdown(socket.SHUT_RDWR)
            (self._folder / self._name).unlink(missing_ok=True)
        self._sender.close()

    @contextmanager
    def _short_path(self) -> Iterator[str]:
        """The folder under a name that fits into a socket's address, which takes 107 bytes only."""
        handle = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield f"/proc/self/fd/{handle}"
        finally:
            os.close(handle)


class PostgresCarrier:
    """Carries topics between machines, by PostgreSQL's NOTIFY and LISTEN."""

    CHANNEL = "oakmill"

    def __init__(self, db: Database) -> None:
        self._db = db
        self._closed = threading.Event()

    def send(self, topic: str) -> None:
        """Send by the database; without a connection nothing is sent."""
        with suppress(SQLAlchemyError), self._db.engine.begin() as connection:
            connection.execute(text("select pg_notify(:channel, :topic)"), {"channel": self.CHANNEL, "topic": topic})

    def receive(self) -> Iterator[str]:
        """What comes in over a connection of its own, which is made again when it is lost."""
        while not self._closed.is_set():
            try:
                yield from self._over_one_connection()
            except Exception as error:  # noqa: BLE001 - the driver is optional, so its errors have no name here
                _log.warning("the database does not notify: %s", str(error).strip().partition("\n")[0])
                self._closed.wait(POLL_SECONDS)

    def _over_one_connection(self) -> Iterator[str]:
        import psycopg

        url = self._db.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"listen {self.CHANNEL}")
            yield ""
            while not self._closed.is_set():
                for notice in connection.notifies(timeout=POLL_SECONDS):
                    yield notice.payload

    def close(self) -> None:
        """The reader ends within a second."""
        self._closed.set()
