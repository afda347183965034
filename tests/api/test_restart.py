"""The hub is renewed, killed and ended while clients use it: none of them sees an error, and nothing is lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from oakmill.jobs import job_log, queue
from oakmill.jobs.tables import Job, JobStatus
from oakmill.storage.database import Database
from tests.api.conftest import API, PATIENCE, make_source
from tests.hub_servers import ServedHub


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHub]:
    with ServedHub(tmp_path_factory.mktemp("hub") / "home") as found:
        yield found


@pytest.fixture
def server(kept: ServedHub) -> ServedHub:
    """The hub of these tests; started again where the one before has ended it."""
    return kept if kept.process.poll() is None else kept.start()


def web_pid(server: ServedHub) -> int:
    """The process that answers now: the youngest, whose number may be the lower one once numbers begin anew."""
    asked = ["pgrep", "--newest", "-P", str(server.process.pid), "-f", "oakmill.server.web"]
    return int(subprocess.check_output(asked, text=True))


class Poller(threading.Thread):
    """A client as Luxonis' own is: asks every 50 ms over a kept connection, and tries nothing twice."""

    def __init__(self, server: ServedHub, *, kept: bool) -> None:
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
        self.join(PATIENCE)
        return self.answers


def polled_through(server: ServedHub, deed: Callable[[], None]) -> list[Poller]:
    pollers = [Poller(server, kept=True), Poller(server, kept=True), Poller(server, kept=False)]
    for poller in pollers:
        poller.start()
    time.sleep(0.5)
    deed()
    time.sleep(1.0)
    for poller in pollers:
        poller.stop()
    return pollers


def test_polling_clients_see_no_error_while_the_hub_is_renewed(server: ServedHub) -> None:
    def renew() -> None:
        for times in (1, 2):
            before = web_pid(server)
            server.process.send_signal(signal.SIGHUP)
            deadline = time.monotonic() + PATIENCE
            while server.log.read_text().count("has taken over") < times and time.monotonic() < deadline:
                time.sleep(0.05)
            assert web_pid(server) != before

    for poller in polled_through(server, renew):
        assert set(poller.answers) == {200}, poller.answers
        assert len(poller.answers) > 5
        print(f"{len(poller.answers)} requests, the slowest {poller.slowest * 1000:.0f} ms")


def test_an_upload_goes_on_after_a_broken_connection_and_a_killed_server(server: ServedHub) -> None:
    """Each broken line was a page of traceback in the log, which anybody could fill."""
    data = os.urandom(3 << 20)
    with server.client() as client:
        body = {"name": "w.bin", "size": len(data), "purpose": {"kind": "instance", "instance_id": make_source(client)}}
        upload = client.post("/uploads", json=body).raise_for_status().json()
    with socket.create_connection(("127.0.0.1", server.port)) as broken:
        head = f"PATCH {API}/uploads/{upload['id']} HTTP/1.1\r\nHost: x\r\nUpload-Offset: 0\r\n"
        head += f"Authorization: Bearer {server.key}\r\nContent-Length: {len(data)}\r\n\r\n"
        broken.sendall(head.encode() + data[: 2 << 20])
        deadline = time.monotonic() + PATIENCE
        with server.client() as client:
            while (offset := upload_offset(client, upload["id"])) < 1 << 20 and time.monotonic() < deadline:
                time.sleep(0.05)
    assert "Traceback" not in server.log.read_text(), server.log.read_text()[-3000:]
    web = web_pid(server)
    server.process.kill()
    server.process.wait()
    deadline = time.monotonic() + PATIENCE
    while Path(f"/proc/{web}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not Path(f"/proc/{web}").exists(), "it goes on answering without its parent"
    server.start()
    with server.client() as client:
        offset = upload_offset(client, upload["id"])
        assert 1 << 20 <= offset <= 2 << 20
        wrong = client.patch(f"/uploads/{upload['id']}", headers={"Upload-Offset": "7"}, content=b"x")
        assert (wrong.status_code, wrong.json()["subject"]) == (409, str(offset))
        path = f"/uploads/{upload['id']}"
        sent = client.patch(path, headers={"Upload-Offset": str(offset)}, content=data[offset:])
        assert sent.headers["upload-offset"] == str(len(data))
        assert client.get(path).json()["offset"] == len(data)


def upload_offset(client: httpx.Client, upload_id: str) -> int:
    return int(client.head(f"/uploads/{upload_id}").headers["upload-offset"])


def test_it_ends_in_order(server: ServedHub) -> None:
    began = time.monotonic()
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(PATIENCE) == 0
    print(f"it ended after {time.monotonic() - began:.1f} s")
    assert server.log.read_text().rstrip().endswith("ended")
    assert "Traceback" not in server.log.read_text(), server.log.read_text()[-3000:]


def test_the_secret_is_nobody_elses_to_read(server: ServedHub) -> None:
    assert (server.home / "hub" / "secret").stat().st_mode & 0o777 == 0o600


def test_a_socket_from_systemd_is_taken_at_the_first_connection(tmp_path: Path) -> None:
    """By systemd itself; where it is not installed, as it does it: number 3, and the variables name the process."""
    found = ServedHub(tmp_path)
    serve = [sys.executable, "-m", "oakmill", "serve", "--workers", "0"]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        if activate := shutil.which("systemd-socket-activate"):
            listener.close()
            passed = [part for name in ("OAKMILL_HOME", "PATH") for part in ("-E", f"{name}={found.environment[name]}")]
            found.run([activate, "-l", f"127.0.0.1:{port}", *passed, *serve])
        else:
            run = f"import os, sys; os.dup2({listener.fileno()}, 3); os.environ['LISTEN_PID'] = str(os.getpid()); "
            run += f"os.environ['LISTEN_FDS'] = '1'; os.execv(sys.executable, {serve})"
            found.run([sys.executable, "-c", run], pass_fds=(listener.fileno(),))
        try:
            if activate:
                found.wait_for("Listening on")
            answer = httpx.get(f"http://127.0.0.1:{port}{API}/health", timeout=PATIENCE, trust_env=False)
            assert answer.status_code == 200
            found.wait_for(f"listens on http://127.0.0.1:{port}")
        finally:
            found.end()


class Listener(threading.Thread):
    """Follows a job as a browser does: where the stream breaks, it asks again from the last event that it has."""

    def __init__(self, server: ServedHub, job_id: str) -> None:
        super().__init__(daemon=True)
        self._server, self._path = server, f"/jobs/{job_id}/events"
        self.lines: list[str] = []
        self.first = threading.Event()
        self.breaks, self.end, self._last = 0, "", ""

    def run(self) -> None:
        with self._server.client() as client:
            while not self.end:
                try:
                    self._follow(client)
                except httpx.HTTPError:
                    self.breaks += 1

    def _follow(self, client: httpx.Client) -> None:
        headers = {"Last-Event-ID": self._last} if self._last else {}
        event: dict[str, str] = {}
        with client.stream("GET", self._path, headers=headers) as stream:
            for line in stream.raise_for_status().iter_lines():
                name, _, value = line.partition(":")
                if line:
                    event[name] = value.strip()
                elif event:
                    self._take(event)
                    event = {}

    def _take(self, event: dict[str, str]) -> None:
        if event.get("event") == "line":
            self.lines.append(json.loads(event["data"])["text"])
            self._last = event["id"]
            self.first.set()
        elif event.get("event") == "end":
            self.end = event["data"]


def test_a_stream_goes_on_after_its_server_is_killed(server: ServedHub) -> None:
    """Nothing is told twice, and nothing is left out, when the web process is killed under a stream; others wait."""
    db = Database.at(server.home / "hub" / "hub.sqlite")
    with server.client() as client:
        source = make_source(client, "streamed")
        team = client.get("/teams/me").json()["team"]["id"]
    with db.session() as session:
        queue.add(session, Job(id="aij_1", name="j", team_id=team, source_id=source, platform="rvc2"))
        held = queue.claim(session, "here", timedelta(hours=1))
        job_log.append(session, "aij_1", 1, [job_log.Line(f"line {number}") for number in range(3)])
    listener = Listener(server, "aij_1")
    listener.start()
    assert listener.first.wait(PATIENCE)
    os.kill(web_pid(server), signal.SIGKILL)
    with db.session() as session:
        job_log.append(session, "aij_1", 1, [job_log.Line(f"line {number}") for number in range(3, 6)])
    assert httpx.get(f"{server.url}{API}/health", timeout=PATIENCE, trust_env=False).status_code == 200
    server.wait_for("ended with -9; starting another")
    with db.session() as session:
        assert held is not None
        assert queue.finish(session, "aij_1", str(held.lease_token), JobStatus.SUCCEEDED)
    db.close()
    listener.join(PATIENCE)
    assert (listener.lines, listener.end) == ([f"line {number}" for number in range(6)], '"succeeded"')
    assert listener.breaks >= 1
