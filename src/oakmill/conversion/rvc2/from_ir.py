"""A conversion to RVC2 from OpenVINO IR: the same stages, with the network edited and run in OpenVINO's own format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from oakmill.conversion.events import Progress
from oakmill.conversion.images.samples import SampleSet
from oakmill.conversion.passport import Overflow, overflows
from oakmill.conversion.passport.measure import Runnable, Subject, by_toolchain, chunks
from oakmill.conversion.platform import Built, Images, Network
from oakmill.conversion.prepare import Keep, Prepared, make_anew
from oakmill.conversion.rvc2 import methods as measuring
from oakmill.conversion.rvc2.platform import MEMORY_MB, NOT_PROVEN, Rvc2
from oakmill.conversion.sources.ir_edit import PEAK
from oakmill.conversion.sources.ir_prepare import CannotRun, IrPrepared, load_ended, prepare_ir
from oakmill.errors import SpecError, UnsupportedModel
from oakmill.graph.equality import Array
from oakmill.model.ir_graph import IrGraph
from oakmill.model.openvino_ir import stored_bytes
from oakmill.model.source import SourceModel
from oakmill.spec import InputSpec
from oakmill.toolchains.base import Toolchain
from oakmill.toolchains.door import RunnerError
from oakmill.toolchains.model_optimizer.toolchain import ModelOptimizer
from oakmill.toolchains.rvc2 import failures, openvino_install
from oakmill.toolchains.rvc2.toolchain import Ports, Rvc2Toolchain

HIGHEST_OPSET = 9
"""The newest of OpenVINO's own opsets that its version 2022.2 knows."""

NOT_ESTIMATED = "what activations lose in FP16 is not estimated for an OpenVINO IR, only where they overflow"


def reader(rvc2: Rvc2) -> ModelOptimizer | None:
    """The toolchain whose libraries read IR; None where the user's own OpenVINO compiles, which reads it itself."""
    public = openvino_install.is_public(rvc2.spec.ir_version, rvc2.settings)
    return ModelOptimizer(rvc2.settings) if public else None


@dataclass(frozen=True)
class Rvc2Ir(Rvc2):
    """One conversion of an IR to RVC2."""

    @classmethod
    def reading_ir(cls, rvc2: Rvc2) -> Rvc2Ir:
        """The same conversion, for an IR.

        Raises:
            SpecError: there are Mo Args.
            ToolchainMissing, ToolchainBroken: what reads IR is not installed, or not whole.
        """
        if rvc2.mo:
            raise SpecError(
                "Mo Args do not apply to an OpenVINO IR, which came out of the Model Optimizer already",
                subject="--mo-args",
                remedy="omit them: shape, mean, scale, colours and outputs have options of their own",
            )
        values = {item.name: getattr(rvc2, item.name) for item in fields(rvc2)}
        if optimizer := reader(rvc2):
            values["toolchain"] = Rvc2Toolchain(rvc2.settings, rvc2.spec.ir_version, optimizer.libraries)
        return cls(**values)

    @property
    def toolchains(self) -> list[Toolchain]:
        """All that take part: what reads IR, and what compiles."""
        optimizer = reader(self)
        return [*([optimizer] if optimizer else []), self.toolchain]

    @property
    def network_name(self) -> str:
        """What the compiler's network is called in the command line."""
        return "prepared.xml"

    def load(self, source: SourceModel) -> IrGraph:
        """The network, ended where it is to end.

        Raises:
            SpecError: it cannot end there.
            BrokenModel: a weight is NaN, or the files have changed.
            UnsupportedModel: it is too large, or of operations that OpenVINO 2022.2 does not know.
        """
        graph = load_ended(source, self.ends, HIGHEST_OPSET, "RVC2's compiler")
        stored = stored_bytes(graph) >> 20
        if stored > MEMORY_MB:
            raise UnsupportedModel(
                f"the model's weights take {stored} MB in FP16, and RVC2 has {MEMORY_MB} MB of memory",
                remedy="use a smaller model",
            )
        return graph

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

        def run(file: Path, batch: Sequence[Mapping[str, Array]]) -> Iterator[dict[str, Array]]:
            try:
                yield from self.toolchain.infer(file, work / f"run-{file.stem}", batch, watch=progress.tool)
            except RunnerError as error:
                raise CannotRun(f"OpenVINO cannot run the network: {error.message}", log=error.log) from error

        return prepare_ir(model, source, inputs, self.spec, work, run, progress)

    def network(self, prepared: Prepared, job: Path, progress: Progress) -> Network:
        """The prepared network."""
        assert isinstance(prepared, IrPrepared)
        return Network(prepared.file, prepared.model)

    def subject(
        self, prepared: Prepared, network: Network, built: Built, images: Images, work: Path, progress: Progress
    ) -> Subject:
        """The prepared network on the held-out images, all of it on OpenVINO's CPU plugin."""
        assert isinstance(prepared, IrPrepared)
        running = _Running(self.toolchain, prepared, work / "simulate")
        rounded = prepared.editor.write(work / "simulate" / "rounded" / "rounded.xml", halve=True)
        converted, source = running.converted(network.file), running.source
        return Subject(
            self.name,
            prepared,
            images,
            source,
            (
                measuring.proof(measuring.OF_IR, converted, source),
                measuring.ir_stored(running.converted(rounded), converted),
            ),
            (*NOT_PROVEN, NOT_ESTIMATED),
            overflowing=lambda: running.overflows(images.held_out, progress),
        )


@dataclass(frozen=True)
class _Running:
    """Runs the networks of one conversion on images."""

    toolchain: Rvc2Toolchain
    prepared: IrPrepared
    work: Path

    @property
    def source(self) -> Runnable:
        """The source's network, which takes what is preprocessed."""
        file = self.prepared.source_file
        return Runnable(lambda: lambda samples: self._run(file, [self.prepared.feeds(raw) for raw in samples]))

    def converted(self, file: Path) -> Runnable:
        """A network that takes pixels."""
        return by_toolchain(self.prepared, lambda samples: self._run(file, samples, raw=True))

    def overflows(self, samples: SampleSet, progress: Progress) -> tuple[Overflow, ...]:
        """The layers whose values leave the range of FP16 on some image."""
        self.prepared.editor.watch_peaks()
        watched = self.prepared.editor.write(self.work / "watched" / "watched.xml")
        try:
            found = [
                {key.removeprefix(PEAK): float(value.max()) for key, value in outputs.items() if key.startswith(PEAK)}
                for chunk in chunks(self.prepared, samples)
                for outputs in self._run(watched, chunk, raw=True)
            ]
        except RunnerError as error:
            progress.warn(f"values beyond FP16 were not looked for: {failures.explain(error.message).message}")
            return ()
        return overflows(zip(samples.names, found, strict=True))

    def _run(self, file: Path, batch: Sequence[Mapping[str, Array]], *, raw: bool = False) -> Iterator[Any]:
        pixels = {item.name: {"precision": "U8"} for item in self.prepared.inputs if raw and item.is_image}
        return self.toolchain.infer(file, self.work / f"run-{file.stem}", batch, ports=Ports(pixels))
