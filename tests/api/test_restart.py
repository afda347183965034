"""The hub is renewed, killed and ended while clients use it: none of them sees an error, and nothing is lost."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.conftest import API, Server, end_server, make_source, start_server


class Poller(threading.Thread):
    """A client as Luxonis' own is: asks every 50 ms over a kept connection, and tries nothing twice."""

    def __init__(self, server: Server, *, kept: bool) -> None:
        super().__init__(daemon=True)
        self._server, self._kept = server, kept
        self._stopping = threading.Event()
        self.answers: list[Any] = []
        self.slowest = 0.0

    def run(self) -> None:
        with self._server.client() as client:
            while not self._stopping.wait(0.05):
                began = time.monotonic()
                if not self._kept:
                    with self._server.client() as other:
                        self._ask(other)
                else:
                    self._ask(client)
                self.slowest = max(self.slowest, time.monotonic() - began)

    def _ask(self, client: httpx.Client) -> None:
        try:
            self.answers.append(client.get("/teams/me").status_code)
        except httpx.HTTPError as error:
            self.answers.append(repr(error))

    def stop(self) -> list[Any]:
        self._stopping.set()
        self.join(60)
        return self.answers


def polled_through(server: Server, deed: Callable[[], None]) -> list[Poller]:
    pollers = [Poller(server, kept=True), Poller(server, kept=True), Poller(server, kept=False)]
    for poller in pollers:
        poller.start()
    time.sleep(0.5)
    deed()
    time.sleep(1.0)
    for poller in pollers:
        poller.stop()
    return pollers


def test_polling_clients_see_no_error_while_the_hub_is_renewed(server: Server) -> None:
    def renew() -> None:
        for times in (1, 2):
            before = server.web_pid()
            server.process.send_signal(signal.SIGHUP)
            deadline = time.monotonic() + 60
            while server.log.read_text().count("has taken over") < times and time.monotonic() < deadline:
                time.sleep(0.05)
            assert server.web_pid() != before

    for poller in polled_through(server, renew):
        assert set(poller.answers) == {200}, poller.answers
        assert len(poller.answers) > 20
        print(f"{len(poller.answers)} requests, the slowest {poller.slowest * 1000:.0f} ms")


def test_a_killed_web_process_is_replaced_and_new_connections_wait(server: Server) -> None:
    os.kill(server.web_pid(), signal.SIGKILL)
    assert httpx.get(f"{server.url}/health", timeout=60, trust_env=False).status_code == 200
    server.wait_for("ended with -9; starting another")


def test_an_upload_goes_on_after_a_broken_connection_and_a_killed_server(tmp_path: Path, server: Server) -> None:
    data = os.urandom(3 << 20)
    with server.client() as client:
        body = {"name": "w.bin", "size": len(data), "purpose": {"kind": "instance", "instance_id": make_source(client)}}
        upload = client.post("/uploads", json=body).raise_for_status().json()
    host, port = server.url.removeprefix("http://").split("/")[0].split(":")
    with socket.create_connection((host, int(port))) as broken:
        head = f"PATCH {API}/uploads/{upload['id']} HTTP/1.1\r\nHost: x\r\nUpload-Offset: 0\r\n"
        head += f"Authorization: Bearer {server.key}\r\nContent-Length: {len(data)}\r\n\r\n"
        broken.sendall(head.encode() + data[: 2 << 20])
        deadline = time.monotonic() + 20
        with server.client() as client:
            while (offset := upload_offset(client, upload["id"])) < 1 << 20 and time.monotonic() < deadline:
                time.sleep(0.05)
    server.process.kill()
    server.process.wait()
    again = start_server(server.home, tmp_path / "log2")
    again.key = server.key
    try:
        with again.client() as client:
            offset = upload_offset(client, upload["id"])
            assert 1 << 20 <= offset <= 2 << 20
            wrong = client.patch(f"/uploads/{upload['id']}", headers={"Upload-Offset": "7"}, content=b"x")
            assert (wrong.status_code, wrong.json()["subject"]) == (409, str(offset))
            path = f"/uploads/{upload['id']}"
            sent = client.patch(path, headers={"Upload-Offset": str(offset)}, content=data[offset:])
            assert sent.headers["upload-offset"] == str(len(data))
            assert client.get(path).json()["offset"] == len(data)
    finally:
        end_server(again)


def upload_offset(client: httpx.Client, upload_id: str) -> int:
    return int(client.head(f"/uploads/{upload_id}").headers["upload-offset"])


def test_nobody_goes_on_answering_when_the_parent_is_killed(server: Server) -> None:
    web = server.web_pid()
    server.process.kill()
    server.process.wait()
    deadline = time.monotonic() + 30
    while Path(f"/proc/{web}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not Path(f"/proc/{web}").exists()


def test_it_ends_in_order_and_fast(server: Server) -> None:
    began = time.monotonic()
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(30) == 0
    assert time.monotonic() - began < 15
    assert server.log.read_text().rstrip().endswith("ended")
    assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize("place", ["secret"])
def test_the_secret_is_nobody_elses_to_read(server: Server, place: str) -> None:
    assert (server.home / "hub" / place).stat().st_mode & 0o777 == 0o600


def test_a_socket_from_systemd_is_taken(tmp_path: Path) -> None:
    """As systemd does it: the socket is number 3, and the variables name the process."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        run = "import os, sys; os.environ['LISTEN_PID'] = str(os.getpid()); os.environ['LISTEN_FDS'] = '1'; "
        run += "os.execv(sys.executable, [sys.executable, '-m', 'oakmill', 'serve', '--workers', '0'])"
        environment = {**os.environ, "OAKMILL_HOME": str(tmp_path)}  # noqa: TID251 - a server of its own
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(
                ["sh", "-c", f'exec 3<&{listener.fileno()}; exec {sys.executable} -c "{run}"'],
                pass_fds=(listener.fileno(),), stdout=log, stderr=log, env=environment,
            )  # fmt: skip
        found = Server(process, tmp_path / "log", tmp_path)
        try:
            found.wait_for(f"listens on http://127.0.0.1:{port}")
            assert httpx.get(f"http://127.0.0.1:{port}{API}/health", trust_env=False).status_code == 200
        finally:
            end_server(found)
