"""The RVC2 toolchain on our side: OpenVINO 2022.2 with its MyriadX compiler, out of a public Python package."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oakmill.errors import ToolchainBroken, VersionNotAvailable
from oakmill.processes.events import ToolEvent, Watcher, ignore
from oakmill.settings import Settings
from oakmill.toolchains import arrays, cpu_plugin
from oakmill.toolchains.base import Managed, expect
from oakmill.toolchains.environments import Environment
from oakmill.toolchains.making import Contents, Libraries
from oakmill.toolchains.rvc2 import parts, tiny

PUBLIC_VERSION = "2022.2.0"
_HERE = Path(__file__).parent
# Sixteen compilations in one process: memory that one gives back is kept for the next, instead of being asked for anew.
_KEEP_MEMORY = {
    "GLIBC_TUNABLES": "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=4000000000:glibc.malloc.top_pad=67108864"
}


@dataclass(frozen=True)
class Ports:
    """Precisions and layouts wanted at the network's boundary, by name of input and output."""

    inputs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    outputs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Compiled:
    """What a compilation gave: the file, the precisions at its boundary, and each blob's sha256 by SHAVEs."""

    file: Path
    ports: Mapping[str, Mapping[str, str]]
    blobs: Mapping[int, str]


class Rvc2Toolchain(Managed):
    """OpenVINO 2022.2's MyriadX compiler and CPU plugin, from the package onnxruntime-openvino 1.13.1.

    Another version's libraries can stand in by the setting `rvc2_libraries`, and another folder of the same version
    by `libraries`: one that reads OpenVINO's own format, which the package's cannot. They run in the same environment.
    """

    environment = f"rvc2/openvino-{PUBLIC_VERSION}"
    remedy = "oakmill toolchains install rvc2"
    package = _HERE
    # The package's wheels are for Python 3.9; the libraries inside depend on no Python.
    contents = Contents(_HERE / "requirements.lock", Libraries(_HERE / "libraries.lock", "3.9"))

    def __init__(self, settings: Settings, version: str = PUBLIC_VERSION, libraries: Path | None = None) -> None:
        super().__init__(settings)
        self.version = version
        self.name = f"rvc2/openvino-{version}"
        self.what = f"OpenVINO {version} with the MyriadX compiler (blobs and superblobs) and a CPU plugin for proof"
        self._given = libraries

    def check(self, environment: Environment) -> None:
        """That there is something to compile with.

        Raises:
            ToolchainBroken: there is not.
            VersionNotAvailable: no library here is of that version.
        """
        self._libraries(environment)

    def prove(self, folder: Path) -> Mapping[str, Any]:
        """Compile a model of 1 kB, and run it on the CPU plugin."""
        model = tiny.write_model(folder / "tiny.onnx")
        compiled = self.compile(model, folder / "compile", superblob=False, shaves=4)
        (answer,) = self.infer(model, folder / "infer", [{tiny.INPUT: tiny.PICTURE}])
        expect(answer[tiny.OUTPUT], tiny.ANSWER, 1e-4)
        return {"blob_bytes": compiled.file.stat().st_size, "blob_sha256": compiled.blobs[4]}

    @property
    def workers(self) -> int:
        """How many blobs are compiled at once."""
        return self._settings.workers or len(os.sched_getaffinity(0))

    def compile(
        self,
        model: Path,
        job: Path,
        *,
        superblob: bool = True,
        shaves: int = 8,
        ports: Ports | None = None,
        config: Mapping[str, str] | None = None,
        spread: bool = False,
        watch: Watcher = ignore,
    ) -> Compiled:
        """Compile a prepared model to a superblob, or to a blob for so many SHAVEs.

        With `spread`, helpers elsewhere compile parts of a superblob, where there are any; its bytes are the same.

        Raises:
            RunnerError: OpenVINO refused; `failures.explain` makes a message for people of it.
            ToolKilled: the compiler crashed or was ended.
            LimitExceeded: it needed more time or memory than allowed.
        """
        target = "model.superblob" if superblob else "model.blob"
        options = dict(config or {})
        request = {
            "target": target,
            "superblob": superblob,
            "shaves": shaves,
            "workers": self.workers,
            "config": options,
        }
        given = ports or Ports()
        result = self._elsewhere(model, job, target, options, given, watch) if superblob and spread else None
        if result is None:
            result = self._run("compile", model, job, request, given, watch)
        blobs = {int(number): digest for number, digest in result["blobs"].items()}
        return Compiled(job / target, result["ports"], blobs)

    def _elsewhere(
        self, model: Path, job: Path, target: str, config: Mapping[str, str], ports: Ports, watch: Watcher
    ) -> dict[str, Any] | None:
        """A superblob by helpers, who have the public libraries; None where there are none, or they cannot."""
        if self._given or self.version in self._settings.rvc2_libraries:
            return None

        def ended(done: int, of: int) -> None:
            watch(ToolEvent(done=done, total=of, what="parts of the superblob"))
            if done == of:
                watch(ToolEvent(line=f"The superblob was compiled in {of} parts, on several machines."))

        return parts.compiled(model, job, job / target, {"config": config, "ports": asdict(ports)}, ended)

    def compile_part(self, model: Path, job: Path, request: Mapping[str, Any]) -> tuple[dict[str, Any], Path]:
        """What a helper does: the base and some other numbers of SHAVEs, one after another. Raises: as `compile`."""
        ports = Ports(request["ports"]["inputs"], request["ports"]["outputs"])
        only = [int(shaves) for shaves in request["only"]]
        asked = {"target": "part.superblob", "superblob": True, "shaves": parts.BASE, "only": only, "workers": 1}
        answer = self._run("compile", model, job, {**asked, "config": request["config"]}, ports, ignore)
        return answer, job / "part.superblob"

    def infer(
        self,
        model: Path,
        job: Path,
        samples: Sequence[Mapping[str, NDArray[Any]]],
        *,
        ports: Ports | None = None,
        watch: Watcher = ignore,
    ) -> Iterator[dict[str, NDArray[Any]]]:
        """Run the model on OpenVINO's CPU plugin in float32: each sample's outputs by name, in the samples' order.

        Raises: as `compile`.
        """
        job.mkdir(parents=True, exist_ok=True)
        request = {"target": arrays.OUTPUTS, "samples": arrays.save_samples(job, samples)}
        given = ports or Ports()
        cpu_plugin.asked(
            lambda plain: self._run("infer", model, job, request, given, watch, {**_KEEP_MEMORY, **plain}),
            job / arrays.OUTPUTS,
        )
        with np.load(job / arrays.OUTPUTS) as outputs:
            names = {key.rpartition("/")[0] for key in outputs.files}
            for index in range(len(samples)):
                yield {name: outputs[f"{name}/{index}"] for name in names}

    def _run(
        self,
        action: str,
        model: Path,
        job: Path,
        request: Mapping[str, Any],
        ports: Ports,
        watch: Watcher,
        variables: Mapping[str, str] = _KEEP_MEMORY,
    ) -> dict[str, Any]:
        request = {**request, "model": str(model), "ports": asdict(ports)}
        return self._ask_library(action, request, job, [model.parent], variables, watch)

    def _ask_library(
        self,
        action: str,
        request: Mapping[str, Any],
        job: Path,
        read: Sequence[Path] = (),
        variables: Mapping[str, str] = _KEEP_MEMORY,
        watch: Watcher = ignore,
    ) -> dict[str, Any]:
        """What the runner answers with OpenVINO's libraries loaded; raises as the door."""
        environment = self.require()
        libraries = self._libraries(environment)
        python = environment.python.parent.parent
        usb = _only(python, "lib/python*/site-packages/libusb_package/libusb-1.0.so")
        request = {**request, "library": str(libraries), "usb": str(usb)}
        variables = {**variables, **self._variables(libraries)}
        return self.ask(action, request, job, read=[*read, libraries], variables=variables, watch=watch)

    def _variables(self, libraries: Path) -> dict[str, str]:
        """What the runner's environment needs so that the libraries find each other."""
        return {}

    def _libraries(self, environment: Environment) -> Path:
        """The folder of OpenVINO's libraries."""
        own = self._given or self._settings.rvc2_libraries.get(self.version)
        if own is None and self.version != PUBLIC_VERSION:
            raise version_not_available(self.version, self._settings)
        folder = own or (environment.libraries or environment.folder) / "onnxruntime" / "capi"
        if not (folder / "libopenvino_c.so").is_file():
            raise ToolchainBroken(
                f"{folder} holds no libopenvino_c.so",
                remedy="correct OAKMILL_RVC2_LIBRARIES" if own else self.remedy,
            )
        return folder


def version_not_available(version: str, settings: Settings, remedy: str = "") -> VersionNotAvailable:
    """The error for an IR version that no library here compiles for; `remedy` is a way to one, if there is any."""
    here = [PUBLIC_VERSION, *settings.rvc2_libraries]
    own = f"point the setting OAKMILL_RVC2_LIBRARIES to your own OpenVINO {version}"
    return VersionNotAvailable(
        f"IR version {version} is not available: no public package carries OpenVINO {version} with the MyriadX "
        f"compiler; here is {', '.join(here)}",
        subject=version,
        remedy=f"use --ir-version {here[0]}, or {remedy or own}",
    )


def _only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if not found:
        raise ToolchainBroken(
            f"{folder} has no {pattern}", remedy="oakmill toolchains install rvc2 makes the environment anew"
        )
    return found[0]
