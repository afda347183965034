"""Servers for tests and benches: hubs in processes of their own, PostgreSQL from Debian, and an S3 by moto."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import httpx
import pytest

if TYPE_CHECKING:
    from oakmill.storage.database import Database

PATIENCE = 240.0
"""Seconds for what happens by itself: a bound for what never comes, not a promise of speed; machines may be loaded."""
API = "/api/v1"
POSTGRES = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
ELSEWHERE = ("OAKMILL_HUB_URL", "OAKMILL_KEY", "OAKMILL_DATABASE", "OAKMILL_STORE")
_NUMBERS = itertools.count(1)


@dataclass
class ServedHub:
    """`oakmill serve` as a process of its own; ended and started again, it keeps its home, port and key."""

    home: Path
    workers: int = 0
    variables: Mapping[str, str] = field(default_factory=dict)
    port: int = 0
    key: str = ""
    process: subprocess.Popen[bytes] = field(init=False)
    _began: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.home / "log"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    @property
    def environment(self) -> dict[str, str]:
        """Variables of a process that belongs to this hub, without what would lead it to another."""
        own = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}  # noqa: TID251
        return {**own, "OAKMILL_HOME": str(self.home), **self.variables}

    def start(self) -> Self:
        """Start, and wait until it answers and its workers are there. The first start tells the key."""
        serve = [sys.executable, "-m", "oakmill", "serve", "--port", str(self.port), "--workers", str(self.workers)]
        self.run(serve)
        try:
            said = self.wait_for(f"{self.workers} worker")
        except BaseException:  # it is nobody else's to end
            self.end()
            raise
        self.port = int(re.findall(r"listens on http://127\.0\.0\.1:(\d+)", said)[-1])
        if told := re.search(r"oak_\w+", said):
            self.key = told.group()
        return self

    def run(self, command: list[str], **more: Any) -> Self:
        """Start it in another way, and do not wait."""
        self.home.mkdir(parents=True, exist_ok=True)
        self._began = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=self.environment, **more)
        return self

    def wait_for(self, words: str) -> str:
        """What the log says since the start, once those words are in it."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            said = self.log.read_bytes()[self._began :].decode()
            if words in said:
                return said
            assert self.process.poll() is None, said
            time.sleep(0.05)
        raise AssertionError(f"{words!r} never came: {self.log.read_text()}")

    def client(self, timeout: float = PATIENCE, path: str = API) -> httpx.Client:
        """An admin's client."""
        return httpx.Client(base_url=f"{self.url}{path}", headers=self.headers, timeout=timeout, trust_env=False)

    def end(self) -> None:
        """End in order, as an operator does; by force where that takes too long."""
        end_process(self.process, signal.SIGTERM)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.end()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL server of our own, without the database's name; its port is a socket in a folder."""
    if not POSTGRES or shutil.which("psql") is None:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="oakmill-pg-", dir="/tmp"))  # a socket's path must be short
    user = "postgres" if os.geteuid() == 0 else None  # the server refuses to run as root
    if user:
        shutil.chown(folder, user)
    try:
        make_postgres(folder, user)
        with postgres(folder, user):
            yield f"postgresql+psycopg://hub@/{{name}}?host={folder}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server: str) -> str:
    """The URL of a new, empty database."""
    return make_database(postgres_server, "hub")


@pytest.fixture(scope="session")
def kept_postgres(postgres_server: str) -> Iterator[Database]:
    from oakmill.storage.database import Database
    from tests.databases import with_tables

    db = with_tables(Database(make_database(postgres_server, "kept")))
    yield db
    db.close()


@pytest.fixture
def postgres_tables(kept_postgres: Database) -> str:
    """The URL of a database with all tables and no row, the same one for each test."""
    from tests.databases import emptied

    return emptied(kept_postgres).url


def make_database(server: str, name: str) -> str:
    """Make a new, empty database whose name begins so; its URL."""
    from sqlalchemy import create_engine

    name = f"{name}_{next(_NUMBERS)}"
    engine = create_engine(server.format(name="postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"create database {name}")
    engine.dispose()
    return server.format(name=name)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of an S3 server of our own (moto), which checks no signatures."""
    with s3() as url:
        yield url


@contextmanager
def s3() -> Iterator[str]:
    """The address of one, for the time of the block."""
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until_up(lambda: socket.create_connection(("127.0.0.1", port), 1).close(), server)
        yield f"http://127.0.0.1:{port}"
    finally:
        end_process(server, signal.SIGKILL)


@pytest.fixture
def s3_store(s3_server: str) -> dict[str, object]:
    """Settings of a new, empty bucket: {"store": ..., "store_options": ...}."""
    return make_bucket(s3_server)


def make_bucket(server: str) -> dict[str, object]:
    """Make one, and say how it is set."""
    bucket = f"hub-{next(_NUMBERS)}-{os.getpid()}"
    httpx.put(f"{server}/{bucket}").raise_for_status()
    options = {"endpoint": server, "access_key_id": "key", "secret_access_key": "secret", "region": "us-east-1"}
    return {"store": f"s3://{bucket}/oakmill", "store_options": options}


def make_postgres(folder: Path, user: str | None) -> None:
    """The files of a server of our own."""
    data = folder / "data"
    make: list[str | Path] = [
        POSTGRES[0] / "initdb",
        "-D",
        data,
        "-U",
        "hub",
        "--auth=trust",
        "--no-sync",
        "-E",
        "UTF8",
    ]
    subprocess.check_output(make, user=user, cwd=folder, stderr=subprocess.STDOUT)


@contextmanager
def postgres(
    folder: Path, user: str | None, end: signal.Signals = signal.SIGQUIT, *, durable: bool = False
) -> Iterator[None]:
    """The server, for the time of the block; it ends at once, or by SIGINT so that it keeps what it holds.

    Unless it is `durable`, it waits for no disk.
    """
    fsync = f"fsync={'on' if durable else 'off'}"
    options = ["-c", "listen_addresses=", "-k", str(folder), "-c", fsync, "-c", "max_connections=200"]
    with (folder / "log").open("wb") as log:
        start: list[str | Path] = [POSTGRES[0] / "postgres", "-D", folder / "data", *options]
        server = subprocess.Popen(start, user=user, cwd=folder, stdout=log, stderr=log)
    try:
        wait_until_up(lambda: _connect(folder), server)
        yield
    finally:
        end_process(server, end)


def _connect(folder: Path) -> None:
    import psycopg

    try:
        psycopg.connect(f"host={folder} user=hub dbname=postgres").close()
    except psycopg.OperationalError as error:
        raise ConnectionError from error


def wait_until_up(connect: object, server: subprocess.Popen[bytes]) -> None:
    assert callable(connect)
    deadline = time.monotonic() + 60
    while server.poll() is None and time.monotonic() < deadline:
        try:
            connect()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"{server.args!r} does not start")


def end_process(server: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM) -> None:
    server.send_signal(how)
    try:
        server.wait(60)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
