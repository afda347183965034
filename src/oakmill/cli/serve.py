"""`oakmill serve`: runs the hub on this machine: its API, its pages and its workers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from oakmill.processes.loading import loading
from oakmill.settings import Settings, current

if TYPE_CHECKING:
    import socket


@click.command()
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1, setting host]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one.  [default: 8411]")
@click.option(
    "--workers", type=click.IntRange(0), help="Worker processes; 0 for none.  [default: as memory and cores allow]"
)
@click.option("--ray", is_flag=True, help="Jobs run on a Ray cluster, as with oakmill worker --ray, and not here.")
def command(host: str | None, port: int | None, workers: int | None, ray: bool) -> None:
    """Run the hub: its API, its pages and its workers.

    The first start makes a team and an admin key, and prints the key once. SIGHUP renews the web process without
    refusing a connection; SIGTERM or Ctrl-C ends everything in order.
    """
    from oakmill.jobs.executors.local import LocalWorkers, environment_of
    from oakmill.server.parent import Parent, listen

    settings = current()
    given = {"host": host, "port": port, "hub_workers": workers}
    settings = settings.model_copy(update={name: value for name, value in given.items() if value is not None})
    with listen(settings.host, settings.port) as listener:
        keys = _prepare(settings)
        with LocalWorkers(settings, ray=ray) as pool:
            runs = "jobs run on the Ray cluster" if ray else f"{pool.count} worker{'s' * (pool.count != 1)}"
            Parent(listener, environment_of(settings), _say).run(lambda: _welcome(settings, listener, keys, runs))
    _say("ended")


def _prepare(settings: Settings) -> tuple[str | None, str | None]:
    """Bring the database up to date, and take up what was left.

    Returns the first admin key, where there was none, and the identifier of an admin's.
    """
    with loading():
        from oakmill.jobs import presence
        from oakmill.registry import keys
        from oakmill.storage import migrate
        from oakmill.storage.database import Database

    db = Database.of(settings)
    try:
        migrate.upgrade(db)
        if back := presence.take_up(settings, db):
            _say(f"{len(back)} jobs that the hub was at when it was ended are taken up again")
        with db.session() as session:
            return keys.first(session), getattr(keys.oldest_admin(session), "id", None)
    finally:
        db.close()


def _welcome(settings: Settings, listener: socket.socket, keys: tuple[str | None, str | None], runs: str) -> None:
    from oakmill.hub import sessions
    from oakmill.hub.rates import is_loopback

    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    address = (settings.public_url or f"http://{shown}:{port}").rstrip("/")
    first, admin = keys
    _say(f"The hub listens on {address}")
    if first:
        _say(f"The first admin key, shown this once: {first}")
    if admin and (is_loopback(host) or sys.stdout.isatty()):  # elsewhere what is said is read by others, too
        _say(f"To sign in, once, within ten minutes, open {sessions.link(settings, address, admin)}")
    _say(runs)
    for line in _remarks(settings, host):
        _say(line)


def _remarks(settings: Settings, host: str) -> Iterator[str]:
    from oakmill.hub.rates import is_loopback
    from oakmill.toolchains.machine import examine

    found: dict[str, Any] = examine(settings)
    isolation = found["isolation"]
    yield f"Vendors' tools run isolated by {isolation['level']}"
    for line in (*isolation["gaps"], isolation["remedy"]):
        if line:
            yield f"  {line}"
    for toolchain in found["toolchains"]:
        if toolchain["state"] in ("missing", "broken"):
            yield f"{toolchain['name']} is {toolchain['state']}: oakmill toolchains install {toolchain['name']}"
    if settings.public_url and not settings.trusted_proxies:
        yield "A proxy seems to stand in front: name it in OAKMILL_TRUSTED_PROXIES, or all clients count as one."
    if not is_loopback(host):
        yield "Others can reach this address. Keys and models pass unencrypted unless a TLS proxy stands in front."


def _say(line: str) -> None:
    click.echo(line)
