"""A hub that is a process of its own, with a worker, on a free port; and a wire to it that can be cut."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from oakmill.client import Hub
from tests.conversion.makers import conv_model, saved
from tests.hub_servers import ServedHub
from tests.tools import link_toolchains


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHub]:
    """A hub with one worker and the toolchains of this machine."""
    home = tmp_path_factory.mktemp("hub")
    link_toolchains(home)
    with ServedHub(home, workers=1) as found:
        yield found


@pytest.fixture
def hub(serving: ServedHub) -> Iterator[Hub]:
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
def wire(serving: ServedHub) -> Iterator[Wire]:
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
        own = {**ServedHub(home or self.home).environment, **folders, **(env or {})}
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
