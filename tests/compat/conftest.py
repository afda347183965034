"""A hub as a process of its own, with a worker and the models of hubai-sdk's tests; and that client, unmodified."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from oakmill.calibration.datasets.catalog import COUNT
from oakmill.settings import current
from oakmill.toolchains.rvc2.toolchain import Rvc2Toolchain
from oakmill.toolchains.rvc3.quantizers import Quantizer
from oakmill.toolchains.rvc3.toolchain import Rvc3Toolchain
from oakmill.toolchains.rvc4.toolchain import Rvc4Toolchain
from oakmill.toolchains.torchscript.toolchain import TorchScriptToolchain
from tests.conftest import PROJECT
from tests.conversion.conftest import command
from tests.hub_servers import ServedHub
from tests.tools import CACHE, installed, turn
from tests.unit.calibration.datasets_server import OpenImages, published, serving

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Sdk:
    """The client in an environment of its own."""

    python: Path

    def run(
        self, hub: ServedHub, folder: Path, *arguments: str | Path, key: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run its interpreter in a folder, with the hub's address and a key as a user sets them.

        When it is imported, it asks a package index for newer versions of itself, and ends the process where there is
        one; without a way there it goes on.
        """
        nowhere = "http://127.0.0.1:9"
        variables = {
            "HUBAI_URL": hub.url,
            "HUBAI_API_KEY": key or hub.key,
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
    """hubai-sdk as it is published."""
    return Sdk(_environment(HERE / "hubai-sdk.lock"))


@pytest.fixture(scope="session")
def blobconverter() -> Path:
    """The Python of blobconverter's client as it is published."""
    return _environment(HERE / "blobconverter.lock")


def _environment(lock: Path) -> Path:
    """The Python of an environment, made once for each lock."""
    digest = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = CACHE / f"{lock.stem}-{digest}"
    python = folder / "bin" / "python"
    with turn(lock.stem):
        if not (folder / "complete").exists():
            _make(folder, python, lock)
    return python


def _make(folder: Path, python: Path, lock: Path) -> None:
    uv = [sys.executable, "-m", "uv"]
    subprocess.check_call([*uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)])
    wanted = ["--require-hashes", "-r", str(lock)]
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
def hub(toolchains: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHub]:
    """`oakmill serve`, with the named set GENERAL installed and the models of the client's tests."""
    home = tmp_path_factory.mktemp("hub")
    (home / "toolchains").symlink_to(current().toolchains, target_is_directory=True)
    found = ServedHub(home, workers=2)
    _install_general(found.environment)
    subprocess.check_call([sys.executable, "-m", "tests.compat.seed"], cwd=PROJECT, env=found.environment)
    with found:
        yield found


def _install_general(variables: dict[str, str]) -> None:
    with serving(OpenImages(published(COUNT + 100))) as images:
        places = {"OAKMILL_DATASETS_SOURCE": images.url, "OAKMILL_DATASETS_PICTURES": images.url}
        subprocess.check_call(
            command("datasets", "install", "general"),
            env={**variables, **places, "no_proxy": "127.0.0.1"},
            stdout=subprocess.DEVNULL,
        )
