"""A platform that needs no toolchain, so that whole conversions run in milliseconds: it copies the prepared graph.

It is known to every room while `toys()` lasts (the fixture `toy`), or in a process that is started as
`python -m tests.fakes convert ... --to toy`. What it computes is computed by onnxruntime, so the passport is true.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import TensorProto, helper, numpy_helper
from pydantic import Field

from oakmill.conversion import finished, registry
from oakmill.conversion.depthai import Depthai
from oakmill.conversion.events import Progress
from oakmill.conversion.finished import Found
from oakmill.conversion.images import choose
from oakmill.conversion.passport import Bounds, Passport
from oakmill.conversion.passport.measure import Method, Subject, in_process, source_model
from oakmill.conversion.platform import Built, Images, Network, Platform
from oakmill.conversion.prepare import Needs, Prepared, save
from oakmill.errors import CompileFailed, VerificationFailed
from oakmill.findings import Severity
from oakmill.graph import equality
from oakmill.jobs.runner import ConversionJob
from oakmill.model.source import SourceModel, Tensor
from oakmill.settings import Settings
from oakmill.spec import Precision, QuantizingSpec
from oakmill.spec.platforms import PLATFORMS, Limits, PlatformFacts, Tools
from oakmill.spec.recipe import CalibrationRecord
from oakmill.toolchains import catalog, environments
from oakmill.toolchains.base import Managed, Toolchain
from oakmill.toolchains.environments import Environment

NAME = "toy"
COARSE = 64.0
"""A quantized toy holds its weights in so many parts of 1."""


class ToySpec(QuantizingSpec):
    """All parameters of a conversion to the toy."""

    platform: Literal["toy"] = "toy"
    toy_version: Annotated[str, Field(pattern=r"^\d+\.\d+$")] = Field("1.0", description="The copier's version.")
    target_precision: Precision = Field(Precision.FP32_STANDARD, description="Number format of the copy.")
    max_verification_images: Annotated[int, Field(ge=1)] = 8
    paint: Annotated[int, Field(ge=0, le=9)] = Field(0, description="The copy's colour, which only its file has.")
    wrong: bool = Field(False, description="Spoil the weights: the copy computes something else.")
    refused: str = Field("", description="An operator that the copier refuses, by its type.")
    toy_args: tuple[str, ...] = Field((), description="Arguments as the copier takes them.")


class Copier(Managed):
    """The toy's toolchain: an environment in which nothing is installed."""

    name = f"{NAME}/copier-1.0"
    what = "Copies graphs"

    def prove(self, folder: Path) -> Mapping[str, Any]:
        """Nothing can fail."""
        self.require()
        return {"copies": 1}

    def make(self, watch: object) -> Environment:
        """Nothing is installed."""
        return stand_in(self.name, self._settings)


def stand_in(name: str, settings: Settings, *, libraries: bool = False) -> Environment:
    """An environment that looks installed, and has nothing in it but this Python."""
    folder = settings.toolchains / name
    (folder / "bin").mkdir(parents=True)
    (folder / environments.LIBRARIES).mkdir()
    (folder / "bin" / "python").symlink_to(sys.executable)
    digest = hashlib.sha256(name.encode()).hexdigest()
    record = {"libraries": libraries, "lock": "", "digest": digest, "versions": {}}
    (folder / environments.RECORD).write_text(json.dumps(record))
    return environments.require(name, settings, "")


@dataclass(frozen=True)
class Toy(Platform):
    """One conversion to the toy."""

    name: ClassVar[str] = NAME
    needs: ClassVar[Needs] = Needs(highest_opset=19)
    ran: ClassVar[list[str]] = []
    """The stages that ran, and were not taken from the cache, since `toys()` began."""

    spec: ToySpec
    settings: Settings
    tool: Copier

    @classmethod
    def of(cls, spec: ToySpec, settings: Settings) -> Toy:
        """Raises ToolchainMissing: the copier is not installed."""
        tool = Copier(settings)
        tool.require()
        return cls(spec, settings, tool)

    @classmethod
    def needed(cls, spec: ToySpec, settings: Settings, *, reads_ir: bool = False) -> list[Toolchain]:
        """The copier."""
        return [Copier(settings)]

    @property
    def suffix(self) -> str:
        """As a file of the toy ends."""
        return "toy"

    @property
    def precision(self) -> str:
        """By the weights."""
        return "int8" if self.calibrates else "float32"

    @property
    def toolchains(self) -> list[Toolchain]:
        """The copier."""
        return [self.tool]

    @property
    def calibrates(self) -> bool:
        """Unless everything stays in floating point."""
        return not self.spec.target_precision.is_float

    def preflight(self, model: onnx.ModelProto) -> None:
        """Everything fits."""

    def images(self, prepared: Prepared, source: SourceModel, work: Path, progress: Progress) -> Images:
        """Those that calibrate, and others that test."""
        if not self.calibrates:
            return choose.choose_test_images(self.spec, prepared.boundary, progress)
        return choose.choose(self.spec, prepared.boundary, work, self.settings, progress)

    def network(self, prepared: Prepared, job: Path, progress: Progress) -> Network:
        """The prepared graph."""
        return Network(save(prepared.model, job / "prepared.onnx"), prepared.model)

    def calibrate(self, prepared: Prepared, images: Images, network: Network, job: Path, progress: Progress) -> Network:
        """Weights in whole parts."""
        self.ran.append("calibrate")
        assert images.calibration_images is not None
        model = _changed(prepared.model, lambda values: np.round(values * COARSE) / COARSE)
        calibrating = images.calibration_images
        record = CalibrationRecord(
            set=images.calibration_set, images=len(calibrating), names=calibrating.names, sha256=calibrating.sha256
        )
        return Network(save(model, job / "coarse.onnx"), model, record, calibrating)

    def compile(self, prepared: Prepared, network: Network, job: Path, progress: Progress) -> Built:
        """A copy, in its colour.

        Raises:
            CompileFailed: it has an operator that is to be refused.
        """
        self.ran.append("compile")
        for node in network.model.graph.node:
            if node.op_type == self.spec.refused:
                raise CompileFailed(f"the copier refuses {node.op_type} {node.name!r}", subject=node.name)
        model = _changed(network.model, lambda values: values * 3) if self.spec.wrong else network.model
        job.mkdir(parents=True, exist_ok=True)
        file = job / "model.toy"
        painted = onnx.ModelProto()
        painted.CopyFrom(model)
        helper.set_model_props(painted, {"paint": str(self.spec.paint)})
        onnx.save(painted, file)
        inputs = {item.name: "FP32" for item in prepared.boundary}
        return Built(file, {"inputs": inputs, "outputs": {tensor.name: "FP32" for tensor in prepared.outputs}})

    def commands(self, prepared: Prepared, artefact: str) -> dict[str, list[str]]:
        """The copier's."""
        return {"copier": ["copier", "--paint", str(self.spec.paint), *self.spec.toy_args, "-o", artefact]}

    @property
    def asks_depthai(self) -> bool:
        """It knows no toys."""
        return False

    def check(
        self, built: Built, archive: Path | None, prepared: Prepared, depthai: Depthai, work: Path
    ) -> dict[str, Any]:
        """That the file is a graph of the model's own outputs."""
        found = onnx.load(built.file)
        if [value.name for value in found.graph.output] != [tensor.name for tensor in prepared.outputs]:
            raise VerificationFailed(f"{built.file.name} has other outputs than the model")
        return {"name": "toy reader", "kind": "toy"}

    def subject(
        self, prepared: Prepared, network: Network, built: Built, images: Images, work: Path, progress: Progress
    ) -> Subject:
        """What the copy computes, by onnxruntime."""
        self.ran.append("passport")
        source, copy = source_model(prepared), in_process(prepared, lambda: equality.Session(onnx.load(built.file)))
        method = Method("copy", "the copy in onnxruntime", copy, source, Bounds(30, 10, 1e-6), decides=False)
        return Subject(NAME, prepared, images, source, (method,), ("not on a toy",))

    def require_fit(self, passport: Passport) -> None:
        """Refuse a copy that computes something else."""
        for output in passport.checks[0].outputs_with(Severity.ERROR):
            raise VerificationFailed(f"the copy computes another {output.name!r}", subject=output.name)

    def build_info(self, built: Built, commands: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """The commands."""
        return {"cmd_info": {tool: list(words) for tool, words in commands.items()}, "paint": self.spec.paint}


@dataclass(frozen=True)
class FinishedToy(finished.Finished):
    """A copy that is looked at again."""

    def read(self, depthai: Depthai, progress: Progress) -> Found:
        """Raises VerificationFailed: it is no graph."""
        try:
            graph = onnx.load(self.file).graph
        except DecodeError as error:
            raise VerificationFailed(f"{self.file.name} is no copy") from error
        sides = [tuple(_tensor(value) for value in side) for side in (graph.input, graph.output)]
        built = Built(self.file, {"inputs": {}, "outputs": {}})
        return Found(built, {"name": "toy reader", "kind": "toy"}, *sides)

    def run(self, found: Found, samples: Sequence[Any], progress: Progress) -> Iterator[Any]:
        """By onnxruntime."""
        session = equality.Session(onnx.load(self.file))
        return map(session.run, samples)

    def network(self, prepared: Prepared, found: Found, calibration: CalibrationRecord, progress: Progress) -> Network:
        """The prepared graph."""
        return replace(self.platform.network(prepared, self.work / "network", progress), calibration=calibration)


def _tensor(value: onnx.ValueInfoProto) -> Tensor:
    kind = value.type.tensor_type
    dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type).name
    return Tensor(value.name, tuple(size.dim_value for size in kind.shape.dim), dtype)


def _changed(model: onnx.ModelProto, change: Any) -> onnx.ModelProto:
    """A copy of the model with other weights."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    for weight in made.graph.initializer:
        if weight.data_type == TensorProto.FLOAT:
            values = np.asarray(change(numpy_helper.to_array(weight)), np.float32)
            weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    return made


ROW = registry.Row(
    PlatformFacts(
        title="TOY",
        devices="toys",
        about="A copy of the graph.",
        spec=ToySpec,
        limits=Limits("copy", memory_mb=1),
        tools=Tools("toy_version", f"{NAME}/copier-", ("0.9",), "a copier of yours"),
    ),
    load=lambda: Toy,
    toolchains=lambda settings: [Copier(settings)],
    outcome=lambda settings: registry.Outcome("A copy."),
    finished=lambda file: FinishedToy,
)


@contextmanager
def toys() -> Iterator[None]:
    """The toy is a platform as any other, for the time of the block."""
    Toy.ran.clear()
    registry.add(ROW)
    try:
        yield
    finally:
        registry.ROWS.pop(NAME)
        PLATFORMS.pop(NAME)
        catalog.MAKERS.pop(NAME)


class Child:
    """Stands in the place of a hub's process for one job (`jobs.supervise.Child`): the job runs in this one."""

    has_ended = False

    def __init__(self) -> None:
        self._request: Mapping[str, Any] = {}

    def exceeds(self, memory_mb: float) -> bool:
        """Never."""
        return False

    def send(self, request: Mapping[str, Any]) -> None:
        """Take the request, as it would come through a pipe."""
        self._request = json.loads(json.dumps(request))

    def follow(
        self, hear: Callable[[Mapping[str, Any]], None], say: object, look: Callable[[], None], wake: object = None
    ) -> Any:
        """Run it, and return its last message."""

        def tell(message: Mapping[str, Any]) -> None:
            hear(message["event"])

        look()
        job = ConversionJob(self._request, Settings.model_validate(self._request["settings"]), walled=False)
        return json.loads(json.dumps(job.run(tell)))

    def stop(self, grace: float = 0) -> None:
        """There is nothing to end."""
        self.has_ended = True


class Children:
    """Starts those: nothing has to be loaded."""

    def __init__(self, start: Callable[[], Any] = Child) -> None:
        self.start = start

    def warm(self) -> bool:
        """It is at once."""
        return True

    def close(self) -> None:
        """There is nothing to end."""


def home(folder: Path) -> Settings:
    """Settings of a home of its own, in which the toy's toolchain is installed."""
    settings = Settings(home=folder / "home")
    if not (settings.toolchains / Copier.name).exists():
        Copier(settings).install()
    return settings


def model(path: Path, *, channels: int = 3, size: int = 8, seed: int = 0) -> Path:
    """A small classifier of images as an ONNX file: Conv, Relu, pooled to four scores."""
    drawn = np.random.default_rng(seed)
    weights = {
        "kernel": drawn.normal(size=(4, channels, 3, 3)).astype(np.float32),
        "bias": drawn.normal(size=4).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["image", "kernel", "bias"], ["features"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["features"], ["kept"], "relu"),
        helper.make_node("GlobalAveragePool", ["kept"], ["pooled"], "pool"),
        helper.make_node("Flatten", ["pooled"], ["scores"], "flatten"),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, channels, size, size])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 4])],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(made, path)
    return path


def main() -> None:
    """The command line, with the toy among its platforms."""
    from oakmill.cli.main import main as command_line

    registry.add(ROW)
    command_line()


if __name__ == "__main__":
    main()
