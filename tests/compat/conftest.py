"""A hub as a process of its own, with a worker and the models of hubai-sdk's tests; and that client, unmodified."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from oakmill.calibration.datasets.catalog import COUNT
from oakmill.settings import current
from oakmill.toolchains.rvc2.toolchain import Rvc2Toolchain
from oakmill.toolchains.rvc3.quantizers import Quantizer
from oakmill.toolchains.rvc3.toolchain import Rvc3Toolchain
from oakmill.toolchains.rvc4.toolchain import Rvc4Toolchain
from oakmill.toolchains.torchscript.toolchain import TorchScriptToolchain
from tests.conversion.conftest import command
from tests.tools import CACHE, installed, turn
from tests.unit.calibration.datasets_server import OpenImages, published, serving

HERE = Path(__file__).parent
LOCK = HERE / "hubai-sdk.lock"
WORKERS = 2


@dataclass(frozen=True)
class Running:
    """The hub's address, and an admin's key to it."""

    url: str
    key: str
    home: Path

    def client(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, trust_env=False)


@dataclass(frozen=True)
class Sdk:
    """The client in an environment of its own."""

    python: Path

    def run(self, hub: Running, folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run its interpreter in a folder, with the hub's address and key as a user sets them.

        When it is imported, it asks a package index for newer versions of itself, and ends the process where there is
        one; without a way there it goes on.
        """
        nowhere = "http://127.0.0.1:9"
        variables = {
            "HUBAI_URL": hub.url,
            "HUBAI_API_KEY": hub.key,
            "LUXONIS_TELEMETRY_ENABLED": "false",
            "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
            "http_proxy": nowhere,
            "https_proxy": nowhere,
            "no_proxy": "127.0.0.1",
        }
        return subprocess.run(  # noqa: TID251, PLW1510 - the test is the user
            [self.python, *arguments],
            cwd=folder,
            env={**os.environ, **variables},  # noqa: TID251
            capture_output=True,
            text=True,
            timeout=1800,
        )


@pytest.fixture(scope="session")
def sdk() -> Sdk:
    """hubai-sdk as it is published, made once for each lock."""
    digest = hashlib.sha256(LOCK.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = CACHE / f"hubai-sdk-{digest}"
    python = folder / "bin" / "python"
    with turn("hubai-sdk"):
        if not (folder / "complete").exists():
            _make(folder, python)
    return Sdk(python)


def _make(folder: Path, python: Path) -> None:
    uv = [sys.executable, "-m", "uv"]
    subprocess.check_call([*uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)])
    wanted = ["--require-hashes", "-r", str(LOCK)]
    subprocess.check_call([*uv, "pip", "install", "--quiet", "--python", str(python), *wanted])
    (folder / "complete").touch()


@pytest.fixture(scope="session", autouse=True)
def toolchains() -> None:
    """The real tools; installed into the user's own folder where they are not yet."""
    settings = current()
    for toolchain in (
        Rvc2Toolchain(settings), Rvc3Toolchain(settings), Quantizer(settings), Rvc4Toolchain(settings),
        TorchScriptToolchain(settings),
    ):  # fmt: skip
        installed(toolchain)


@pytest.fixture(scope="session")
def hub(toolchains: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """`oakmill serve`, with the named set GENERAL installed and the models of the client's tests."""
    folder = tmp_path_factory.mktemp("hub")
    home = folder / "home"
    home.mkdir()
    (home / "toolchains").symlink_to(current().toolchains, target_is_directory=True)
    variables = {**os.environ, "OAKMILL_HOME": str(home)}  # noqa: TID251
    _install_general(variables)
    subprocess.check_call(command("seed", "sdk-suite"), env=variables)
    log = folder / "log"
    with log.open("wb") as output:
        serve = command("serve", "--port", "0", "--workers", str(WORKERS))
        process = subprocess.Popen(serve, stdout=output, stderr=output, env=variables)
    try:
        text = _wait_for(process, log, f"{WORKERS} workers")
        yield Running(re.findall(r"listens on (\S+)", text)[-1], re.findall(r"oak_\w+", text)[0], home)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        finally:
            process.kill()
            process.wait()


def _install_general(variables: dict[str, str]) -> None:
    with serving(OpenImages(published(COUNT + 100))) as images:
        places = {"OAKMILL_DATASETS_SOURCE": images.url, "OAKMILL_DATASETS_PICTURES": images.url}
        subprocess.check_call(
            command("datasets", "install", "general"),
            env={**variables, **places, "no_proxy": "127.0.0.1"},
            stdout=subprocess.DEVNULL,
        )


def _wait_for(process: subprocess.Popen[bytes], log: Path, words: str, seconds: float = 120) -> str:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        text = log.read_text()
        if words in text:
            return text
        assert process.poll() is None, text
        time.sleep(0.05)
    raise AssertionError(f"{words!r} never came: {log.read_text()}")
