"""The Model Optimizer on our side: mo at one version, and the libraries that read what it writes."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from oakmill.errors import ToolchainBroken
from oakmill.processes.events import Watcher, ignore
from oakmill.settings import Settings
from oakmill.toolchains.base import Managed
from oakmill.toolchains.door import PLAIN_DISTUTILS
from oakmill.toolchains.environments import Environment
from oakmill.toolchains.making import Contents, Libraries

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Release:
    """One version of mo: the platform that it is for, the Pythons that it runs on, the best first.

    `compiler` are the wheels with that platform's compiler from the same build of OpenVINO, and within them the
    folder of its libraries; it lacks the frontends, which are in mo's own package. Where no public package has a
    compiler, there is none.
    """

    platform: str
    pythons: tuple[str, ...]
    compiler: Libraries | None = None
    compiler_folder: str = ""


RELEASES = {
    "2022.2.0": Release(
        platform="rvc2",
        pythons=("3.9", "3.8"),
        compiler=Libraries(_HERE / "myriad-2022.2.0.lock", "3.9"),
        compiler_folder="openvino_tensorflow",
    ),
    "2022.3.2": Release(platform="rvc3", pythons=("3.10", "3.9", "3.8")),
}
_FRONTENDS = ("libopenvino_ir_frontend.so", "libopenvino_onnx_frontend.so")


class ModelOptimizer(Managed):
    """OpenVINO's Model Optimizer (mo), from the package openvino-dev, in its own Python."""

    package = _HERE

    def __init__(self, settings: Settings, version: str = "2022.2.0") -> None:
        super().__init__(settings)
        self._release = RELEASES[version]
        self.version = version
        self.name = f"{self._release.platform}/mo-{version}"
        self.what = f"OpenVINO {version}'s Model Optimizer, needed for Mo Args alone"
        self.pythons = self._release.pythons
        self.contents = Contents(_HERE / f"mo-{version}.lock", self._release.compiler)

    @property
    def libraries(self) -> Path:
        """The folder of OpenVINO's libraries with the platform's compiler and the frontend that reads mo's result.

        Raises:
            ToolchainMissing: it is not installed.
            ToolchainBroken: it is not whole.
        """
        return self._compiler_folder(self.require())

    def make(self, watch: Watcher) -> Environment:
        """Make the environment, with the frontends of mo's package beside the compiler: OpenVINO looks for them there.

        Raises:
            ToolchainMissing: a package or interpreter cannot be had here.
        """
        environment = super().make(watch)
        if self._release.compiler:
            (own,) = environment.folder.glob("lib/python*/site-packages/openvino/libs")
            for library in _FRONTENDS:
                shutil.copy2(own / library, self._compiler_folder(environment))
        return environment

    def prove(self, folder: Path) -> Mapping[str, Any]:
        """Convert a model of one node."""
        written = self.convert(_write_tiny(folder / "tiny.onnx"), folder / "job", ["--scale", "2"])
        return {"ir_bytes": written.stat().st_size, "weights_bytes": written.with_suffix(".bin").stat().st_size}

    def convert(self, model: Path, job: Path, arguments: Sequence[str], *, watch: Watcher = ignore) -> Path:
        """Convert an ONNX model with mo arguments that `options.read` has checked; `job`/NAME.xml, its .bin beside it.

        Raises:
            RunnerError: mo could not convert it; the message holds mo's own words.
            ToolKilled, LimitExceeded: it did not come to an end.
        """
        owned = ["--input_model", str(model.absolute()), "--output_dir", str(job.absolute())]
        request = {"arguments": [*owned, *arguments]}
        self.ask("convert", request, job, read=[model.parent], variables=PLAIN_DISTUTILS, watch=watch)
        written = job / f"{model.stem}.xml"
        if not written.is_file() or not written.with_suffix(".bin").is_file():
            raise ToolchainBroken(f"{self.name} ended well but wrote no {written.name}", remedy=self.remedy)
        return written

    def check(self, environment: Environment) -> None:
        """That all libraries that compile are there, where the release has any.

        Raises:
            ToolchainBroken: one is not.
        """
        folder = self._compiler_folder(environment)
        for library in ("libopenvino_c.so", *_FRONTENDS) if self._release.compiler else ():
            if not (folder / library).is_file():
                raise ToolchainBroken(f"{folder} holds no {library}", subject=self.name, remedy=self.remedy)

    def _compiler_folder(self, environment: Environment) -> Path:
        return (environment.libraries or environment.folder) / self._release.compiler_folder


def _write_tiny(path: Path) -> Path:
    """A model that adds one to four numbers."""
    shape = [1, 4]
    graph = helper.make_graph(
        [helper.make_node("Add", ["numbers", "one"], ["more"], name="add")],
        "tiny",
        [helper.make_tensor_value_info("numbers", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("more", TensorProto.FLOAT, shape)],
        [helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path
