"""A hub that is a process of its own, with a worker, on a free port; and a wire to it that can be cut."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from oakmill.client import Hub
from tests.conversion.makers import conv_model, saved
from tests.tools import link_toolchains


@dataclass
class Serving:
    """`oakmill serve`, which may be ended and started again on the same port."""

    home: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    key: str = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.home / "log"

    def start(self, workers: int = 1) -> None:
        command = [sys.executable, "-m", "oakmill", "serve", "--port", str(self.port), "--workers", str(workers)]
        before = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as output:
            environment = variables(OAKMILL_HOME=str(self.home))
            self.process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
        deadline = time.monotonic() + 120
        while " worker" not in (said := self.log.read_text()[before:]):
            assert self.process.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.05)
        if found := re.search(r"oak_\w+", said):
            self.key = found.group()

    def end(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)
            self.process = None


def variables(**more: str) -> dict[str, str]:
    """The environment without what would lead a command to another hub."""
    mine = ("OAKMILL_HUB_URL", "OAKMILL_KEY", "OAKMILL_DATABASE", "OAKMILL_STORE")
    own = os.environ  # noqa: TID251 - for processes of their own
    return {name: value for name, value in own.items() if name not in mine} | more


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A hub with one worker and the toolchains of this machine."""
    home = tmp_path_factory.mktemp("hub")
    link_toolchains(home)
    found = Serving(home, free_port())
    found.start()
    yield found
    found.end()


@pytest.fixture
def hub(serving: Serving) -> Iterator[Hub]:
    with Hub(serving.url, serving.key) as hub:
        yield hub


@dataclass
class Wire:
    """Passes bytes on to a hub; cuts the connection, once, after so many have gone up."""

    target: int
    cut_after: int
    cuts: int = 0
    port: int = 0
    _listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))

    def __post_init__(self) -> None:
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):  # closed at the end
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self.target))
                threading.Thread(target=self._pass, args=(client, server, True), daemon=True).start()
                threading.Thread(target=self._pass, args=(server, client, False), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, up: bool) -> None:
        passed = 0
        with suppress(OSError):
            while data := source.recv(1 << 16):
                passed += len(data)
                if up and passed > self.cut_after and not self.cuts:
                    self.cuts += 1
                    break
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def wire(serving: Serving) -> Iterator[Wire]:
    wire = Wire(serving.port, cut_after=2_500_000)
    yield wire
    wire.close()


@dataclass
class Shell:
    """The command line, in a folder and with a config folder of its own."""

    folder: Path
    home: Path

    def run(
        self, *words: str, code: int = 0, home: Path | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        folders = {"XDG_CONFIG_HOME": str(self.folder / "config"), "OAKMILL_HOME": str(home or self.home)}
        own = variables(**folders, **(env or {}))
        command = [sys.executable, "-m", "oakmill", *words]
        process = subprocess.Popen(
            command, cwd=self.folder, env=own, text=True, stdin=subprocess.DEVNULL, stdout=-1, stderr=-1
        )
        out, said = process.communicate(timeout=200)
        assert process.returncode == code, out + said
        return subprocess.CompletedProcess(command, code, out, said)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path, tmp_path / "laptop")


def heavy_model(path: Path) -> Path:
    """A small model with enough words about it to be cut on its way."""
    model = conv_model()
    model.doc_string = "word " * 1_000_000
    return saved(model, path)
