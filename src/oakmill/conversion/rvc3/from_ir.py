"""A conversion to RVC3 from OpenVINO IR: no Model Optimizer, the network edited and run in OpenVINO's own format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from oakmill.conversion.events import Progress
from oakmill.conversion.passport.measure import Runnable
from oakmill.conversion.platform import Images, Network
from oakmill.conversion.prepare import Keep, Prepared, make_anew
from oakmill.conversion.rvc3 import methods as measuring
from oakmill.conversion.rvc3.platform import Rvc3, Rvc3Built, Rvc3Network
from oakmill.conversion.sources.ir_prepare import CannotRun, IrPrepared, load_ended, prepare_ir
from oakmill.errors import SpecError
from oakmill.graph.equality import Array
from oakmill.model.ir_graph import IrGraph
from oakmill.model.openvino_ir import load_ir
from oakmill.model.source import SourceModel
from oakmill.spec import InputSpec
from oakmill.toolchains.door import RunnerError
from oakmill.toolchains.rvc3.toolchain import VERSION

HIGHEST_OPSET = 10
"""The newest of OpenVINO's own opsets that its version 2022.3 knows."""
NOT_ESTIMATED = "what FP16 does to an OpenVINO IR is not estimated, nor were values beyond its range looked for"

Batch = Sequence[Mapping[str, Array]]


@dataclass(frozen=True)
class Rvc3Ir(Rvc3):
    """One conversion of an IR to RVC3; `weights` is how its weights are stored, in the NN Archive's words.

    `version` is the IR's.
    """

    weights: str = "float32"
    version: int = 11

    @classmethod
    def reading_ir(cls, rvc3: Rvc3, source: SourceModel) -> Rvc3Ir:
        """The same conversion, for an IR.

        Raises:
            SpecError: there are Mo Args, or it is quantized already and is to be quantized.
        """
        if rvc3.spec.mo_args:
            raise SpecError(
                "Mo Args do not apply to an OpenVINO IR, which came out of the Model Optimizer already",
                subject="--mo-args",
                remedy="omit them: shape, mean, scale, colours and outputs have options of their own",
            )
        graph = load_ir(source)
        quantized = any(layer.get("type") == "FakeQuantize" for layer in graph.operations())
        if quantized and rvc3.quantizer:
            raise SpecError(
                "the OpenVINO IR is quantized already (it has layers of the type FakeQuantize)",
                subject="--target-precision",
                remedy="leave it as it is with --target-precision FP16, or give the IR that it was made from",
            )
        values = {item.name: getattr(rvc3, item.name) for item in fields(rvc3)}
        return cls(**values, weights="int8" if quantized else _stored(graph), version=graph.version)

    @property
    def precision(self) -> str:
        """By the weights, which stay as they are stored unless they are quantized here."""
        return "int8" if self.quantizer else self.weights

    def load(self, source: SourceModel) -> IrGraph:
        """The network, ended where it is to end. Raises: as `ir_prepare.load_ended`."""
        return load_ended(source, self.ends, HIGHEST_OPSET, f"OpenVINO {VERSION}")

    def prepare(
        self,
        model: Any,
        source: SourceModel,
        inputs: Sequence[InputSpec],
        work: Path,
        progress: Progress,
        keep: Keep = make_anew,
    ) -> IrPrepared:
        """The network with its preprocessing, proved on the CPU plugin. Raises: as `ir_prepare.prepare_ir`."""
        names = [tensor.name for tensor in model.outputs]

        def run(file: Path, batch: Batch) -> Iterator[dict[str, Array]]:
            try:
                yield from self.toolchain.infer(file, work / f"run-{file.stem}", batch, names, watch=progress.tool)
            except RunnerError as error:
                raise CannotRun(f"OpenVINO {VERSION} cannot run it: {error.message}", log=error.log) from error

        return prepare_ir(model, source, inputs, self.spec, work, run, progress)

    def network(self, prepared: Prepared, job: Path, progress: Progress) -> Network:
        """The prepared network."""
        assert isinstance(prepared, IrPrepared)
        return Rvc3Network(prepared.file, prepared.model, plain=prepared.file)

    def measured(self, prepared: Prepared, network: Rvc3Network, images: Images, work: Path) -> measuring.Plan:
        """What is run for the passport: the source's network too runs in OpenVINO."""
        assert isinstance(prepared, IrPrepared)
        names, file = [tensor.name for tensor in prepared.outputs], prepared.source_file

        def run(samples: Batch) -> Iterator[Mapping[str, Array]]:
            return self.toolchain.infer(file, work / "run-source", [prepared.feeds(raw) for raw in samples], names)

        return measuring.of_ir(Runnable(lambda: run), *self._irs(prepared, network, work))

    @property
    def _not_proven(self) -> tuple[str, ...]:
        return (*super()._not_proven, NOT_ESTIMATED)

    def commands(self, prepared: Prepared, artefact: str) -> dict[str, list[str]]:
        """Those of the tools that take part, which is not the Model Optimizer."""
        found = super().commands(prepared, artefact)
        return {tool: words for tool, words in found.items() if tool != "model_optimizer"}

    def build_info(self, built: Rvc3Built, commands: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """As of any conversion to RVC3, without the version of a tool that was not run, and of the source's version."""
        return super().build_info(built, commands) | {"model_optimizer_version": None, "ir_version": self.version}


def _stored(graph: IrGraph) -> str:
    """How most bytes of the weights are stored."""
    sizes = {"float16": 0, "float32": 0}
    for constant in graph.constants():
        sizes["float16" if constant.kind == "f16" else "float32"] += constant.size
    return max(sizes, key=lambda kind: sizes[kind])
