"""The vendor's own compile_tool, where a setting names it or a container that holds it; none comes with Oakmill.

A tool on this machine runs in the sandbox. A container is its own wall: it gets no network, no rights, a read-only
file tree and one folder, and is not downloaded.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from oakmill.errors import CompileFailed, ToolchainBroken, ToolchainMissing
from oakmill.files import expanded, file_sha256
from oakmill.processes import plain, sandbox
from oakmill.processes.events import Watcher, ignore
from oakmill.processes.run import Finished, Limits, run
from oakmill.processes.tree import ask
from oakmill.settings import Settings
from oakmill.toolchains import environments
from oakmill.toolchains.base import State, Status
from oakmill.toolchains.rvc3 import blob, tiny
from oakmill.toolchains.rvc3.compile_tool import DEVICE

BLOB = "model.blob"
CONFIG = "compile_tool.conf"
NAME = "rvc3/compile_tool"
_JOB = "/job"
_ENGINE_SECONDS = 15
# The plugin looks for a device unless it is told that there is none.
_NO_DEVICE = {"IE_VPUX_CREATE_EXECUTOR": "0"}


def configured(settings: Settings) -> VendorCompiler | None:
    """The compiler that the settings name, a tool before a container; None where there is none."""
    if settings.rvc3_compile_tool:
        return LocalTool(settings, expanded(settings.rvc3_compile_tool).absolute())
    if settings.rvc3_container:
        return Container(settings, settings.rvc3_container)
    return None


class VendorCompiler(ABC):
    """What compiles an IR for RVC3."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @property
    def name(self) -> str:
        """Its full name."""
        return NAME

    @property
    @abstractmethod
    def summary(self) -> str:
        """What it is."""

    @property
    def reads(self) -> list[Path]:
        """Folders that it needs to read besides its job's."""
        return []

    @abstractmethod
    def require(self) -> str:
        """Its digest, once it is certain that it can be started.

        Raises:
            ToolchainMissing: it is not where the settings say.
        """

    @abstractmethod
    def _start(self, words: Sequence[str], files: Mapping[str, Path], job: Path, watch: Watcher) -> Finished:
        """Run the tool in the folder `job`, with `files` given by their options; it writes BLOB there."""

    def status(self) -> Status:
        """How it stands here."""
        try:
            digest = self.require()
        except ToolchainMissing as error:
            return Status(self.name, State.MISSING, self.summary, detail=f"{error.message}; {error.remedy}")
        return Status(self.name, State.INSTALLED, self.summary, digest=digest)

    def install(self, watch: Watcher = ignore) -> Status:
        """Verify it: it is the user's own, and nothing is installed.

        Raises:
            ToolchainMissing: it is not there.
            ToolchainBroken: it does not compile.
        """
        self.verify()
        return self.status()

    def verify(self) -> Mapping[str, Any]:
        """Compile an IR of one convolution.

        Raises:
            ToolchainMissing: it is not there.
            ToolchainBroken: it does not compile.
        """
        with tempfile.TemporaryDirectory(prefix="oakmill-") as folder:
            ir = tiny.write_ir(Path(folder) / "tiny.xml")
            with environments.verification(self.name, "see docs/howto/rvc3-compile-tool.md"):
                made = self.compile(ir, Path(folder) / "job", ["-ip", "U8"])
            return {"blob_bytes": made.stat().st_size}

    def compile(
        self,
        ir: Path,
        job: Path,
        words: Sequence[str],
        config: Mapping[str, str] | None = None,
        *,
        watch: Watcher = ignore,
    ) -> Path:
        """Compile an IR with words that `compile_tool.read` has checked; the blob, known by its first bytes.

        Raises:
            ToolchainMissing: the tool is not there.
            CompileFailed: it could not compile the IR.
            LimitExceeded: it did not come to an end.
            VerificationFailed: what it wrote is no blob for RVC3.
        """
        self.require()
        job.mkdir(parents=True, exist_ok=True)
        files = {"-m": job / "model.xml"}
        for ending in (".xml", ".bin"):
            shutil.copyfile(ir.with_suffix(ending), files["-m"].with_suffix(ending))
        if config:
            files["-c"] = job / CONFIG
            files["-c"].write_text("".join(f"{key} {value}\n" for key, value in config.items()))
        finished = self._start(["-d", DEVICE, *words], files, job, watch)
        made = job / BLOB
        if finished.returncode or not made.is_file():
            raise CompileFailed(
                f"compile_tool ended with exit code {finished.returncode}"
                + ("" if finished.returncode else f" and wrote no {BLOB}")
                + f": {_last_words(finished.log_tail)}",
                log=finished.log_tail,
            )
        plain.require(job, "compile_tool", log=finished.log_tail)
        blob.require_vpux(made)
        return made


class LocalTool(VendorCompiler):
    """A compile_tool on this machine: the program, or a script that sets its variables and calls it."""

    def __init__(self, settings: Settings, program: Path) -> None:
        super().__init__(settings)
        self._program = program

    @property
    def summary(self) -> str:
        """What it is."""
        return f"the vendor's compile_tool for RVC3, {self._program}"

    @property
    def reads(self) -> list[Path]:
        """The installation that the program belongs to."""
        return [_installation(self._program)]

    def require(self) -> str:
        """sha256 of the program.

        Raises:
            ToolchainMissing: it is not there, or may not be run.
        """
        if not self._program.is_file() or not os.access(self._program, os.X_OK):
            raise ToolchainMissing(
                f"there is no program {self._program}",
                subject=self.name,
                remedy="correct OAKMILL_RVC3_COMPILE_TOOL, or unset it to get an IR that is not compiled",
            )
        return _file_digest(self._program, self._program.stat().st_mtime_ns)

    def _start(self, words: Sequence[str], files: Mapping[str, Path], job: Path, watch: Watcher) -> Finished:
        job, limits = job.absolute(), Limits.of(self._settings)
        (job / "tmp").mkdir(exist_ok=True)
        root = _installation(self._program)
        given = [word for name, path in files.items() for word in (name, str(path.absolute()))]
        command = sandbox.command(
            [str(self._program), *words, *given, "-o", str(job / BLOB)],
            read=[root],
            write=[job],
            env={
                "PATH": "/usr/bin:/bin",
                "HOME": str(job),
                "TMPDIR": str(job / "tmp"),
                "LANG": "C.UTF-8",
                "LD_LIBRARY_PATH": ":".join(map(str, _libraries(root))),
                "INTEL_OPENVINO_DIR": str(root),
                **_NO_DEVICE,
            },
            limits=limits,
            isolation=sandbox.choose(self._settings),
        )
        return run(command, cwd=job, limits=limits, watch=watch, name=self.name)


class Container(VendorCompiler):
    """A compile_tool in a container's image, run by docker or podman."""

    def __init__(self, settings: Settings, image: str) -> None:
        super().__init__(settings)
        self._image = image

    @property
    def summary(self) -> str:
        """What it is."""
        return f"the vendor's compile_tool for RVC3 in the container {self._image}"

    def require(self) -> str:
        """The image's id.

        Raises:
            ToolchainMissing: docker or podman, or the image, is not here.
        """
        engine = self._engine()
        code, answer = ask([engine, "image", "inspect", "--format", "{{.Id}}", self._image], _ENGINE_SECONDS)
        if code:
            name = self._settings.rvc3_container_engine
            raise ToolchainMissing(
                f"{name} has no image {self._image} ({_last_words(answer)})",
                subject=self.name,
                remedy=f"get it yourself: {name} pull {self._image}",
            )
        return answer.strip().removeprefix("sha256:")

    def _engine(self) -> str:
        name = self._settings.rvc3_container_engine
        found = shutil.which(name)
        if found is None:
            raise ToolchainMissing(
                f"{name}, which is to run the container {self._image}, is not installed",
                subject=self.name,
                remedy="install it, or set OAKMILL_RVC3_CONTAINER_ENGINE, or OAKMILL_RVC3_COMPILE_TOOL to a program",
            )
        return found

    def _start(self, words: Sequence[str], files: Mapping[str, Path], job: Path, watch: Watcher) -> Finished:
        engine, limits = self._engine(), Limits.of(self._settings)
        own = f"oakmill-{secrets.token_hex(8)}"
        given = [word for name, path in files.items() for word in (name, f"{_JOB}/{path.name}")]
        command = [
            engine, "run", "--rm", "--name", own, "--pull", "never", "--network", "none", "--read-only",
            "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
            "--memory", f"{limits.memory_mb}m", "--pids-limit", "512", "--user", f"{os.getuid()}:{os.getgid()}",
            *(word for name, value in _NO_DEVICE.items() for word in ("--env", f"{name}={value}")),
            "--volume", f"{job.absolute()}:{_JOB}", "--workdir", _JOB, "--entrypoint", "compile_tool", self._image,
            *words, *given, "-o", f"{_JOB}/{BLOB}",
        ]  # fmt: skip
        done = False
        try:
            finished = run(sandbox.leashed(command), cwd=job, limits=limits, watch=watch, name=self.name)
            done = True
        finally:
            if not done:  # the engine's client is gone by now, which does not end the container
                ask([engine, "kill", own], _ENGINE_SECONDS)
        return finished


def _installation(program: Path) -> Path:
    """The folder of the OpenVINO that a program belongs to, known by its setupvars.sh; else the program's own."""
    return next((folder for folder in program.parents if (folder / "setupvars.sh").is_file()), program.parent)


def _libraries(root: Path) -> list[Path]:
    """Where an installation of OpenVINO 2022.3 has its libraries, as its setupvars.sh says."""
    places = ("runtime/lib/intel64", "runtime/3rdparty/tbb/lib", "runtime/3rdparty/hddl/lib", "tools/compile_tool")
    return [root / place for place in places if (root / place).is_dir()]


@lru_cache(maxsize=4)
def _file_digest(path: Path, changed: int) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise ToolchainBroken(f"{path} cannot be read: {error.strerror}", subject=NAME) from None


def _last_words(log: str) -> str:
    return (log.strip().splitlines() or ["it said nothing"])[-1][:500]
