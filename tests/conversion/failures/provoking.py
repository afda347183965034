"""Runs `oakmill convert` so that it fails: with a bad model, a bad machine, or somebody who meddles with its tool."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oakmill.conversion.failures import apply
from oakmill.settings import current
from oakmill.spec import ConversionSpec, Rvc2Spec, Rvc3Spec, Rvc4Spec
from oakmill.spec.flags import options_of
from tests import in_process
from tests.conversion.conftest import one_format
from tests.conversion.failures import models

Meddle = Callable[["Run"], None]
SPECS: dict[str, type[ConversionSpec]] = {"rvc2": Rvc2Spec, "rvc3": Rvc3Spec, "rvc4": Rvc4Spec}


@dataclass(frozen=True)
class Provocation:
    """A conversion that fails; in options, {folder} is where the model lies, ~ a blank.

    `rule` explains it, the one of its own name if none is given. `fixed` says that the first edit of the explanation
    makes it succeed. What is `quick` runs with the tests.
    """

    make: Callable[[Path], Path] = models.good
    options: str = ""
    platform: str = "rvc2"
    rule: str = ""
    teach: Callable[[Path], object] | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    meddle: Meddle | None = None
    prepare: Callable[[Path], None] | None = None
    disk_kb: int = 0
    file_kb: int = 0
    fixed: bool = False
    quick: bool = False


@dataclass
class Run:
    """A conversion in its own process, with its own folders."""

    process: subprocess.Popen[str]
    temporary: Path

    def compilers(self) -> list[int]:
        """The processes of the vendor's tool, without the sandbox around it."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                words = (path / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if str(self.temporary) in " ".join(words) and "python" in words[0] and "runner" in words:
                found.append(int(path.name))
        return [pid for pid in found if pid != self.process.pid]


def signalled(number: signal.Signals) -> Meddle:
    """Sends a signal to the compiler as soon as it runs."""

    def meddle(run: Run) -> None:
        end = time.monotonic() + 240
        while time.monotonic() < end and run.process.poll() is None:
            if found := run.compilers():
                time.sleep(0.3)
                for pid in found:
                    os.kill(pid, number)
                return
            time.sleep(0.02)

    return meddle


@dataclass
class Outcome:
    """What `oakmill convert --json` said at its end."""

    exit_code: int
    error: dict[str, Any]
    failure: dict[str, Any]
    stderr: str
    result: dict[str, Any]


def provoke(provocation: Provocation, folder: Path) -> Outcome:
    """Make the model, and convert it."""
    source = folder / "source"
    source.mkdir()
    model = provocation.make(source)
    options = [word.format(folder=source).replace("~", " ") for word in provocation.options.split()]
    if provocation.teach:
        provocation.teach(models.teaches(source))
        options += ["--quantization-data", str(source / "teaches")]
    home = _home(folder)
    if provocation.prepare:
        provocation.prepare(home)
    return convert(provocation, folder, model, options)


def convert(provocation: Provocation, folder: Path, model: Path, options: Sequence[str]) -> Outcome:
    """Convert with these options, in the provocation's surroundings: in this process, where they leave it alone."""
    temporary = folder / "temporary"
    temporary.mkdir(exist_ok=True)
    variables = {
        "OAKMILL_HOME": str(_home(folder)), "OAKMILL_CACHE_MAX_MB": "0", "TMPDIR": str(temporary),
        **provocation.variables,
    }  # fmt: skip
    output = [] if "-o" in options else ["-o", str(folder / "out")]
    asked = one_format(options) if provocation.platform == "rvc4" else options
    words = ["convert", str(model), "--to", provocation.platform, "--json", *map(str, asked), *output]
    if not (provocation.meddle or provocation.file_kb or provocation.disk_kb):
        here = in_process.run(*words, **variables)
        return _read(here.returncode, here.stdout, here.stderr)
    with _small_disk(temporary, provocation.disk_kb):
        process = subprocess.Popen(
            [*_limited(provocation.file_kb), sys.executable, "-m", "oakmill", *words],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, **variables},  # noqa: TID251
        )  # fmt: skip
        if provocation.meddle:
            provocation.meddle(Run(process, temporary))
        said, errors = process.communicate(timeout=300)
    return _read(process.returncode, said, errors)


def _read(code: int, output: str, errors: str) -> Outcome:
    outcome = Outcome(code, {}, {}, errors, {})
    for line in output.splitlines():
        ((kind, content),) = json.loads(line).items()
        if kind == "error":
            outcome.failure = content.pop("failure", {})
            outcome.error = content
        elif kind == "result":
            outcome.result = content
    return outcome


def _home(folder: Path) -> Path:
    """A home with the installed toolchains and nothing else."""
    home = folder / "home"
    if not home.is_dir():
        home.mkdir()
        (home / "toolchains").symlink_to(current().toolchains, target_is_directory=True)
    return home


def without_toolchains(home: Path) -> None:
    (home / "toolchains").unlink()


def with_broken_toolchain(home: Path) -> None:
    """The compiler's environment, without its interpreter."""
    whole = (home / "toolchains").resolve()
    (home / "toolchains").unlink()
    broken = home / "toolchains" / "rvc2" / "openvino-2022.2.0"
    subprocess.check_call(["mkdir", "-p", str(broken.parent)])
    subprocess.check_call(["cp", "-as", str(whole / "rvc2" / "openvino-2022.2.0"), str(broken)])
    for python in (broken / "bin").glob("python*"):
        python.unlink()


@contextmanager
def _small_disk(folder: Path, size_kb: int) -> Iterator[None]:
    """A file system of that size in the folder's place; only root can have it."""
    if not size_kb:
        yield
        return
    subprocess.check_call(["mount", "-t", "tmpfs", "-o", f"size={size_kb}k", "none", str(folder)])
    try:
        yield
    finally:
        subprocess.check_call(["umount", str(folder)])


def _limited(file_kb: int) -> list[str]:
    return ["prlimit", f"--fsize={file_kb << 10}"] if file_kb else []


def occupied(home: Path) -> None:
    """The output folder, with a file of the result's name."""
    out = home.parent / "out"
    out.mkdir()
    (out / "model.rvc2.tar.xz").write_text("mine")


def model_of(folder: Path) -> Path:
    """The model that was provoked with."""
    return next(path for path in (folder / "source").iterdir() if path.name.startswith("model."))


def fix(provocation: Provocation, folder: Path, outcome: Outcome) -> Outcome:
    """Convert again with the first edit that the explanation offers, applied as a web form or a worker would."""
    edit = next(item["edit"] for item in outcome.failure["remedies"] if item["edit"])
    asked = SPECS[provocation.platform].model_validate(outcome.failure["spec"])
    return convert(
        provocation, folder, model_of(folder), [word for option in options_of(apply(edit, asked)) for word in option]
    )
