"""Real conversions through the real command line, in a process of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from oakmill.calibration import generated
from oakmill.cli.convert import SAYS_PRECISION
from oakmill.settings import current
from oakmill.spec import Encoding
from oakmill.toolchains.rvc2.toolchain import Rvc2Toolchain
from oakmill.toolchains.rvc3.quantizers import Quantizer
from oakmill.toolchains.rvc3.toolchain import Rvc3Toolchain
from oakmill.toolchains.rvc4.toolchain import Rvc4Toolchain
from tests import in_process
from tests.tools import installed


@dataclass
class Answer:
    """What a run of `oakmill ... --json` said and left."""

    exit_code: int
    events: list[dict[str, Any]] = field(default_factory=list)
    result: dict[str, Any] = field(default_factory=dict)
    error: dict[str, Any] = field(default_factory=dict)
    stderr: str = ""


Convert = Callable[..., Answer]
FEW_IMAGES = ("--max-images", "4")


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "oakmill", *map(str, arguments)]


@pytest.fixture(scope="session", autouse=True)
def rvc2_toolchain() -> Rvc2Toolchain:
    """The real RVC2 toolchain; installed into the user's own folder where it is not yet."""
    return installed(Rvc2Toolchain(current()))


@pytest.fixture
def temporary(tmp_path: Path) -> Iterator[Path]:
    """The folder for temporary files of the conversions; empty again at the end, whatever happened."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    yield folder
    assert not list(folder.iterdir()), "a conversion left temporary files behind"


@pytest.fixture(scope="session")
def rvc4_toolchain() -> Rvc4Toolchain:
    """The real RVC4 toolchain; installed into the user's own folder where it is not yet."""
    return installed(Rvc4Toolchain(current()))


@pytest.fixture
def convert(temporary: Path, tmp_path: Path, rvc2_toolchain: Rvc2Toolchain) -> Convert:
    """Run `oakmill convert --to rvc2` with `--json` to its end, with toolchains and nothing else at home: no cache.

    As everywhere here, few images are measured, unless the test says otherwise.
    """
    return converter("rvc2", *FEW_IMAGES, temporary=temporary, OAKMILL_HOME=str(own_home(tmp_path)))


@pytest.fixture
def convert4(temporary: Path, tmp_path: Path, rvc4_toolchain: Rvc4Toolchain) -> Convert:
    """Run `oakmill convert --to rvc4` with `--json` to its end, with toolchains and nothing else at home.

    The finished file is run on one image only, for the emulated processor is slow.
    """
    few = (*FEW_IMAGES, "--proof-images", "1")
    return converter("rvc4", *few, temporary=temporary, OAKMILL_HOME=str(own_home(tmp_path)))


@pytest.fixture(scope="session")
def rvc3_toolchains() -> None:
    """The real tools for RVC3; installed into the user's own folder where they are not yet."""
    for toolchain in (Rvc3Toolchain(current()), Quantizer(current()), Quantizer(current(), "pot")):
        installed(toolchain)


@pytest.fixture
def convert3(temporary: Path, tmp_path: Path, rvc3_toolchains: None) -> Convert:
    """Run `oakmill convert --to rvc3` with `--json` to its end, with toolchains and nothing else at home."""
    return converter("rvc3", *FEW_IMAGES, temporary=temporary, OAKMILL_HOME=str(own_home(tmp_path)))


def own_home(folder: Path) -> Path:
    """A home without calibration sets and caches, with the toolchains of the user's own."""
    home = folder / "home"
    if not home.is_dir():
        home.mkdir()
        (home / "toolchains").symlink_to(current().toolchains, target_is_directory=True)
    return home


def one_format(arguments: Sequence[str | Path]) -> tuple[str | Path, ...]:
    """The arguments, in plain INT8 where images would have AUTO try several formats: one conversion is tested."""
    says = {"--target-precision", *(f"--{name.replace('_', '-')}" for name in SAYS_PRECISION), "--tensor"}
    alone = "--quantization-data" not in arguments or says.intersection(map(str, arguments))
    return tuple(arguments) if alone else ("--target-precision", "INT8", *arguments)


def converter(platform: str, *first: str, temporary: Path, **always: str) -> Convert:
    """What runs `oakmill convert` to a platform, with `--json` and these arguments first, within this process."""

    def run(*arguments: str | Path, **variables: str) -> Answer:
        finished = in_process.run(
            "convert",
            *first,
            *(one_format(arguments) if platform == "rvc4" else arguments),
            "--to",
            platform,
            "--json",
            **{"TMPDIR": str(temporary), **always, **variables},
        )
        return read_answer(finished.returncode, finished.stdout, finished.stderr)

    return run


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of ten small pictures, PNG and JPEG."""
    return made_photos(tmp_path_factory.mktemp("photos"), 10)


def made_photos(folder: Path, count: int, size: int = 24) -> Path:
    pictures = generated((size, size + 8, 3), "HWC", Encoding.RGB, count, 5)
    for index, pixels in enumerate(pictures):
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{index:03}.{'jpg' if index % 2 else 'png'}")
    return folder


def read_answer(exit_code: int, stdout: str, stderr: str) -> Answer:
    answer = Answer(exit_code, stderr=stderr)
    for line in stdout.splitlines():
        ((kind, content),) = json.loads(line).items()
        if kind == "event":
            answer.events.append(content)
        else:
            setattr(answer, kind, content)
    return answer
