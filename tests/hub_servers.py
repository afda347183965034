"""Servers that the hub's tests run against, started for the session: PostgreSQL from Debian, and an S3 by moto."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

POSTGRES = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
_NUMBERS = itertools.count(1)


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
    port = _free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(lambda: socket.create_connection(("127.0.0.1", port), 1).close(), server)
        yield f"http://127.0.0.1:{port}"
    finally:
        _end(server, signal.SIGKILL)


@pytest.fixture
def s3_store(s3_server: str) -> dict[str, object]:
    """Settings of a new, empty bucket: {"store": ..., "store_options": ...}."""
    import httpx

    bucket = f"hub-{next(_NUMBERS)}-{os.getpid()}"
    httpx.put(f"{s3_server}/{bucket}").raise_for_status()
    options = {"endpoint": s3_server, "access_key_id": "key", "secret_access_key": "secret", "region": "us-east-1"}
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
def postgres(folder: Path, user: str | None, end: signal.Signals = signal.SIGQUIT) -> Iterator[None]:
    """The server, for the time of the block; it ends at once, or by SIGINT so that it keeps what it holds."""
    options = ["-c", "listen_addresses=", "-k", str(folder), "-c", "fsync=off", "-c", "max_connections=200"]
    with (folder / "log").open("wb") as log:
        start: list[str | Path] = [POSTGRES[0] / "postgres", "-D", folder / "data", *options]
        server = subprocess.Popen(start, user=user, cwd=folder, stdout=log, stderr=log)
    try:
        _wait_for(lambda: _connect(folder), server)
        yield
    finally:
        _end(server, end)


def _connect(folder: Path) -> None:
    import psycopg

    try:
        psycopg.connect(f"host={folder} user=hub dbname=postgres").close()
    except psycopg.OperationalError as error:
        raise ConnectionError from error


def _wait_for(connect: object, server: subprocess.Popen[bytes]) -> None:
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


def _end(server: subprocess.Popen[bytes], how: signal.Signals) -> None:
    server.send_signal(how)
    try:
        server.wait(20)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
