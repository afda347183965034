"""The RVC4 toolchain on our side: QAIRT, which writes, compiles and emulates DLCs, out of a public package."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oakmill.errors import ToolchainBroken, ToolchainMissing, ToolKilled, VerificationFailed, VersionNotAvailable
from oakmill.processes.events import ToolEvent, Watcher, ignore
from oakmill.settings import Settings
from oakmill.toolchains import arrays, door
from oakmill.toolchains.base import Managed, expect
from oakmill.toolchains.environments import Environment
from oakmill.toolchains.making import Contents
from oakmill.toolchains.rvc4 import dlc, failures, socs, tiny

PUBLIC_VERSION = "2.51"
"""QAIRT in onnxruntime-qnn 2.7.0."""

_HERE = Path(__file__).parent
_OLDEST_GLIBC = (2, 35)
_ATOMIC = "libatomic.so.1"
_OWN = ("libQnnHtp.so", "libQnnIr.so", "libQnnSystem.so")
_PACKAGE = "lib/python*/site-packages/onnxruntime_qnn"
_PROVIDER = "libonnxruntime_providers_qnn.so"
_LICENCE = (
    "the libraries are Qualcomm's, under its AI Stack License (Qualcomm_LICENSE.pdf in the package onnxruntime-qnn), "
    "which is accepted by using them; Oakmill's own licence does not cover them"
)
_QUIET = {"ORT_DISABLE_TELEMETRY": "1"}  # onnxruntime reports to its maker from 1.29 on


@dataclass(frozen=True)
class Port:
    """One input or output as the DLC states it; `dtype` is numpy's name of what is stored.

    real = scale * (stored + offset), which is QNN's convention: `offset` is minus ONNX's zero point. Both are None
    for what is not quantized with one scale.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None
    offset: int | None

    def real(self, stored: NDArray[Any]) -> NDArray[Any]:
        """What stored values mean: float32 where it is quantized, the values themselves otherwise."""
        if self.scale is None:
            return stored
        return ((stored.astype(np.float64) + (self.offset or 0)) * self.scale).astype(np.float32)


@dataclass(frozen=True)
class Cache:
    """A prepared graph in a DLC: its chip, sizes of the record in bytes and of the fast memory in MB, and its maker."""

    soc: str
    soc_model: int
    arch: int
    bytes: int
    vtcm_mb: int
    build: str


@dataclass(frozen=True)
class Compiled:
    """A DLC as QAIRT's own library reads it: its boundary, its caches, and the exact QAIRT that read it."""

    file: Path
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    caches: tuple[Cache, ...]
    qairt: str


class Rvc4Toolchain(Managed):
    """QAIRT 2.51 from the package onnxruntime-qnn 2.7.0: writes DLCs, prepares them for chips, and runs them emulated.

    Another version's libraries can stand in by `libraries`, a folder with the user's own libQnnHtp.so, libQnnIr.so
    and libQnnSystem.so for x86_64 Linux. onnxruntime and its QNN provider are the package's in any case.
    """

    environment = f"rvc4/qairt-{PUBLIC_VERSION}"
    remedy = "oakmill toolchains install rvc4"
    package = _HERE
    contents = Contents(_HERE / "requirements.lock")
    licence = _LICENCE

    def __init__(self, settings: Settings, version: str = PUBLIC_VERSION, libraries: Path | None = None) -> None:
        super().__init__(settings)
        self.version = version
        self.name = f"rvc4/qairt-{version}"
        self.what = f"QAIRT {version} with its DLC writer, the HTP compiler and the HTP's emulation for proof"
        self._given = libraries

    def check_system(self) -> None:
        """That this system has what QAIRT's libraries are linked against.

        Raises:
            ToolchainMissing: it has not.
        """
        _require_system(self.name)

    def check(self, environment: Environment) -> None:
        """That there is something to compile with.

        Raises:
            ToolchainBroken: there is not.
            VersionNotAvailable: no library here is of that version.
        """
        self._libraries(environment)

    def prove(self, folder: Path) -> Mapping[str, Any]:
        """Compile a model of 1 kB, and run the finished file on the emulated processor."""
        compiled = self.compile(tiny.write_model(folder / "tiny.onnx"), folder / "compile")
        (answer,) = self.infer(compiled.file, folder / "infer", [{tiny.INPUT: tiny.PICTURE}])
        expect(answer[tiny.OUTPUT], tiny.ANSWER, tiny.STEP)
        return {"qairt": compiled.qairt, "dlc_bytes": compiled.file.stat().st_size}

    def compile(
        self,
        model: Path,
        job: Path,
        *,
        half: bool = False,
        caches: Sequence[str] = (),
        optimization: int | None = None,
        vtcm_mb: int | None = None,
        watch: Watcher = ignore,
    ) -> Compiled:
        """Compile a prepared model (quantized, or float with `half`) to job/model.dlc with exactly one graph.

        `caches` names chips that a prepared graph is put into the file for, with `optimization` (1 to 3) and
        `vtcm_mb` of fast memory. Equal models give equal bytes.

        Raises:
            RunnerError: QAIRT refused; `failures.explain` makes a message for people of it.
            ToolchainMissing, ToolchainBroken: it is not there, or its libraries cannot be used.
            SpecError: no such chip is known.
            UnsupportedModel: the DLC would have 4 GB or more.
            VerificationFailed: the file's caches are not those asked for.
            ToolKilled: the compiler crashed or was ended.
            LimitExceeded: it needed more time or memory than allowed.
        """
        chips = socs.find(caches)
        request = {"model": str(model.absolute()), "options": self._options(half, optimization, vtcm_mb)}
        read = [model.absolute().parent]
        steps = 2 + bool(chips)
        made = [self._run("compile", request, job / "compile", read, watch)]
        watch(ToolEvent(done=1, total=steps, what="graph"))
        if chips:
            wanted = {**request, "soc_models": [chip.model for chip in chips]}
            made.append(self._run("prepare", wanted, job / "prepare", read, watch))
            watch(ToolEvent(done=2, total=steps, what="caches"))
        target = job / "model.dlc"
        files = [Path(answer["dlc"]) for answer in made]
        dlc.finish(target, *files)
        for file in files:
            file.unlink()
        compiled = self.read(target, job / "read", watch)
        watch(ToolEvent(done=steps, total=steps, what="read back"))
        _check_caches(compiled.caches, chips)
        return compiled

    def read(self, file: Path, job: Path, watch: Watcher = ignore) -> Compiled:
        """What QAIRT's own library says of a DLC: opened, and its graph composed for OAK4's processor.

        Raises: as `compile`; VerificationFailed when the file is not a DLC, or has not exactly one graph.
        """
        found = dlc.caches(dlc.read(file))
        try:
            answer = self._run("read", {"dlc": str(file.absolute())}, job, [file], watch)
        except door.RunnerError as error:
            raise _unreadable(error) from None
        except ToolKilled as error:
            raise failures.aborted(error) from None
        return Compiled(
            file,
            _ports(answer["inputs"]),
            _ports(answer["outputs"]),
            tuple(
                Cache(socs.name_of(one.soc_model), one.soc_model, one.arch, one.bytes, one.vtcm_mb, one.build)
                for one in found
            ),
            str(answer["qairt"]),
        )

    def infer(
        self,
        file: Path,
        job: Path,
        samples: Sequence[Mapping[str, NDArray[Any]]],
        *,
        half: bool = False,
        seconds: float | None = None,
        watch: Watcher = ignore,
    ) -> Iterator[dict[str, NDArray[Any]]]:
        """Run a DLC's graph on the emulated processor: each sample's outputs by name, in the samples' order.

        With `seconds` those are left out, the first never, that would not end within so many.

        Samples are raw arrays by input name in the file's own types. Quantized outputs come as float32, others as
        they are stored. All is read from the file's model; its caches, for other machines, are not touched.

        Raises: as `read`.
        """
        job.mkdir(parents=True, exist_ok=True)
        request = {
            "dlc": str(file.absolute()),
            "half": half,
            "samples": arrays.save_samples(job, samples),
            "target": arrays.OUTPUTS,
            "seconds": seconds,
        }
        try:
            answer = self._run("run", request, job, [file], watch)
        except ToolKilled as error:
            raise failures.aborted(error) from None
        ports = _ports(answer["outputs"])
        with np.load(job / arrays.OUTPUTS) as outputs:
            for index in range(answer["ran"]):
                yield {port.name: port.real(outputs[f"{port.name}/{index}"]) for port in ports}

    def _options(self, half: bool, optimization: int | None, vtcm_mb: int | None) -> dict[str, str]:
        """The provider's options: https://onnxruntime.ai/docs/execution-providers/QNN-ExecutionProvider.html."""
        wanted: dict[str, int | str | None] = {
            "enable_htp_fp16_precision": int(half),
            "htp_graph_finalization_optimization_mode": optimization,
            "vtcm_mb": vtcm_mb,
            "skip_qnn_version_check": 1 if self._given else None,
        }
        return {name: str(value) for name, value in wanted.items() if value is not None}

    def _run(
        self, action: str, request: Mapping[str, Any], job: Path, read: Sequence[Path], watch: Watcher
    ) -> dict[str, Any]:
        environment = self.require()
        libraries = self._libraries(environment)
        request = {
            **request,
            "options": {**request.get("options", {}), "backend_path": str(libraries / "libQnnHtp.so")},
            "soc_model": socs.OAK4.model,
            "libraries": {"qnn": str(libraries), "provider": str(_package(environment) / _PROVIDER)},
        }
        variables = {**_QUIET, **({"LD_LIBRARY_PATH": str(libraries)} if self._given else {})}
        try:
            return self.ask(action, request, job, read=[*read, libraries], variables=variables, watch=watch)
        except door.RunnerError as error:
            raise self._broken(error) if error.kind == "library" else error from None

    def _broken(self, error: door.RunnerError) -> ToolchainBroken:
        remedy = "give the libraries of another version" if self._given else self.remedy
        return ToolchainBroken(f"{self.name} does not work: {error.message}", remedy=remedy, log=error.log)

    def _libraries(self, environment: Environment) -> Path:
        """The folder of QAIRT's libraries."""
        if self._given is None and self.version != PUBLIC_VERSION:
            raise VersionNotAvailable(
                f"SNPE/QAIRT {self.version} is not available: the public package carries {PUBLIC_VERSION}",
                subject=self.version,
                remedy=f"use --snpe-version {PUBLIC_VERSION}, or --qairt-root with your own SDK of that version",
            )
        folder = (self._given or _package(environment)).absolute()
        missing = [name for name in _OWN if not (folder / name).is_file()]
        if missing:
            raise ToolchainBroken(
                f"{folder} holds no {missing[0]}",
                remedy="give the SDK's folder for x86_64 Linux" if self._given else self.remedy,
            )
        return folder


def _package(environment: Environment) -> Path:
    found = sorted(environment.folder.glob(_PACKAGE))
    if not found:
        raise ToolchainBroken(
            f"{environment.folder} has no {_PACKAGE}", remedy="oakmill toolchains install rvc4 makes it anew"
        )
    return found[0]


def _require_system(name: str) -> None:
    """Raises ToolchainMissing unless this system has what QAIRT's libraries are linked against."""
    version = glibc()
    if version < _OLDEST_GLIBC:
        here = f"glibc {version[0]}.{version[1]}" if version != (0, 0) else "another C library"
        raise ToolchainMissing(
            f"{name} needs glibc 2.35 or newer; this system has {here}",
            subject=name,
            remedy="use Debian 12, Ubuntu 22.04, Fedora 36 or newer, or a container of one of these",
        )
    try:
        ctypes.CDLL(_ATOMIC)
    except OSError:
        raise ToolchainMissing(
            f"{name} needs {_ATOMIC}, which this system does not have",
            subject=name,
            remedy="install the package libatomic1 (Debian, Ubuntu) or libatomic (Fedora)",
        ) from None


def glibc() -> tuple[int, int]:
    """The version of this system's glibc; (0, 0) where it has another C library."""
    try:
        words = (os.confstr("CS_GNU_LIBC_VERSION") or "").split()
    except (ValueError, OSError):
        words = []
    numbers = words[-1].split(".")[:2] if len(words) == 2 and words[0] == "glibc" else []
    return (int(numbers[0]), int(numbers[1])) if len(numbers) == 2 and all(n.isdigit() for n in numbers) else (0, 0)


def _check_caches(caches: Sequence[Cache], chips: Sequence[socs.Soc]) -> None:
    made = sorted((cache.soc_model, cache.arch) for cache in caches)
    asked = sorted((chip.model, chip.arch) for chip in chips)
    if made != asked:
        raise VerificationFailed(f"caches for {asked} were asked for (chip, architecture), the file has {made}")


def _unreadable(error: door.RunnerError) -> VerificationFailed | door.RunnerError:
    """A file whose graphs are not one is wrong; other refusals say what they are."""
    return VerificationFailed(error.message, log=error.log) if error.kind == "graph" else error


def _ports(described: Sequence[Mapping[str, Any]]) -> tuple[Port, ...]:
    return tuple(Port(one["name"], tuple(one["shape"]), one["dtype"], one["scale"], one["offset"]) for one in described)
