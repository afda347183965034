"""A conversion to RVC2, stage by stage: what this platform needs between the prepared graph and the verified file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import onnx

from oakmill.conversion.depthai import Depthai
from oakmill.conversion.events import Progress
from oakmill.conversion.images import choose
from oakmill.conversion.inputs import ResolvedInput
from oakmill.conversion.output import verification
from oakmill.conversion.passport import Passport
from oakmill.conversion.passport.cost import Cost, Unit
from oakmill.conversion.passport.measure import (
    Method,
    Runnable,
    Subject,
    by_toolchain,
    graph_overflows,
    source_model,
    stored_in_half,
)
from oakmill.conversion.platform import Built, Images, Network, Platform
from oakmill.conversion.prepare import Needs, Prepared, save
from oakmill.conversion.rvc2 import methods as measuring
from oakmill.conversion.rvc2.effort import Effort
from oakmill.conversion.sources.model_optimizer import MoStep
from oakmill.errors import SpecError, UnsupportedModel, VerificationFailed
from oakmill.findings import Severity
from oakmill.graph.decompose import DECOMPOSITIONS
from oakmill.graph.outputs import require_fixed
from oakmill.model import weight_bytes
from oakmill.model.source import SourceModel
from oakmill.settings import Settings
from oakmill.spec import InputSpec, Rvc2Spec
from oakmill.toolchains.base import Toolchain
from oakmill.toolchains.door import RunnerError
from oakmill.toolchains.model_optimizer.toolchain import ModelOptimizer
from oakmill.toolchains.rvc2 import compile_tool, failures, openvino_install
from oakmill.toolchains.rvc2.blob import SHAVES, read_header, read_superblob, read_units
from oakmill.toolchains.rvc2.toolchain import Ports, Rvc2Toolchain

_OWN = {
    "Celu", "LSTM", "Mean", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceSumSquare", "Shrink", "Softsign",
}  # fmt: skip
"""Operators that the compiler has; of ReduceLogSumExp it adds up e^x itself, in FP16 infinite from 12 on."""
NEEDS = Needs(
    highest_opset=16, decompose=tuple(sorted(set(DECOMPOSITIONS) - _OWN)), plain_numbers=True, mends_openvino=True
)
MEMORY_MB = 512
"""RVC2's memory, which holds weights in FP16, activations and firmware."""
_IMAGE_RANK = 4
"""From so many dimensions on, the compiler takes the first for a batch."""

NOT_PROVEN = (
    "not run on an RVC2 device",
    "the order in which the device adds, and its approximations of functions, are not modelled",
)


@dataclass(frozen=True)
class Rvc2Built(Built):
    """A superblob or blob, with each blob's sha256 by its SHAVEs."""

    blobs: Mapping[int, str]


@dataclass(frozen=True)
class Rvc2(Platform):
    """One conversion to RVC2 with its toolchain."""

    name: ClassVar[str] = "rvc2"
    built: ClassVar[type[Built]] = Rvc2Built
    needs: ClassVar[Needs] = NEEDS
    runs_the_file: ClassVar[bool] = False

    spec: Rvc2Spec
    settings: Settings
    toolchain: Rvc2Toolchain
    options: compile_tool.CompileOptions
    mo: MoStep | None = None

    @classmethod
    def of(cls, spec: Rvc2Spec, settings: Settings) -> Rvc2:
        """Check what can be checked before the model is read.

        Raises:
            ArgumentRefused: a compile_tool or mo argument cannot be carried out.
            SpecError: values contradict each other.
            ToolchainMissing, VersionNotAvailable: there is nothing to compile with.
        """
        options = compile_tool.read(spec.compile_tool_args)
        fixed = {"MYRIAD_NUMBER_OF_SHAVES", "MYRIAD_NUMBER_OF_CMX_SLICES"} & set(options.config)
        if fixed and not spec.blob:
            raise SpecError(
                f"{sorted(fixed)[0]} is given for a superblob, which holds 1 to 16 SHAVEs",
                remedy="ask for a .blob (--blob), or omit the key",
            )
        mo = MoStep.of(spec.mo_args, settings)
        # A user's own OpenVINO reads what mo writes; the public package cannot, but the libraries beside mo can.
        toolchain = openvino_install.installed_compiler(spec.ir_version, settings)
        if mo and openvino_install.is_public(spec.ir_version, settings):
            toolchain = Rvc2Toolchain(settings, spec.ir_version, mo.toolchain.libraries)
            toolchain.require()
        return cls(spec, settings, toolchain, options, mo)

    @classmethod
    def needed(cls, spec: Rvc2Spec, settings: Settings, *, reads_ir: bool = False) -> list[Toolchain]:
        """OpenVINO, and the Model Optimizer where there are Mo Args; it also reads an IR where no own OpenVINO does."""
        public = openvino_install.is_public(spec.ir_version, settings)
        optimizer: list[Toolchain] = [ModelOptimizer(settings)] if spec.mo_args or (reads_ir and public) else []
        return [*optimizer, openvino_install.compiler(spec.ir_version, settings)]

    @property
    def suffix(self) -> str:
        """superblob, or blob where that was asked for."""
        return "blob" if self.spec.blob else "superblob"

    @property
    def precision(self) -> str:
        """RVC2 computes in FP16."""
        return "float16"

    @property
    def toolchains(self) -> list[Toolchain]:
        """All that take part, in order."""
        return [*([self.mo.toolchain] if self.mo else []), self.toolchain]

    def inputs(self, asked: tuple[InputSpec, ...], source: SourceModel, progress: Progress) -> tuple[InputSpec, ...]:
        """The inputs with what the Mo Args say of them.

        Raises:
            SpecError: they do not fit the model.
        """
        return self.mo.inputs(asked, source.inputs, progress) if self.mo else asked

    @property
    def tool_outputs(self) -> tuple[str, tuple[str, ...]]:
        """Those that the Mo Args name."""
        return "mo argument --output", self.mo.options.outputs if self.mo else ()

    def images(self, prepared: Prepared, source: SourceModel, work: Path, progress: Progress) -> Images:
        """The user's images, else generated ones; nothing is calibrated.

        Raises:
            SourceError: there are none, or one cannot be read.
        """
        return choose.choose_test_images(self.spec, prepared.boundary, progress)

    def network(self, prepared: Prepared, job: Path, progress: Progress) -> Network:
        """The network to compile: where Mo Args are given, the Model Optimizer's, else the prepared graph.

        Raises:
            UnsupportedModel: how much an output holds depends on the data.
            CompileFailed: mo could not convert it.
            ToolKilled, LimitExceeded: it did not come to an end.
        """
        require_fixed(prepared.model)
        model = self.mo.graph(prepared) if self.mo else prepared.model
        graph = save(model, job / "graph" / "prepared.onnx")
        return Network(self.mo.run(prepared, graph, job / "optimize", progress) if self.mo else graph, model)

    @property
    def network_name(self) -> str:
        """What the compiler's network is called in the command line."""
        return "prepared.xml" if self.mo else "prepared.onnx"

    @property
    def shaves(self) -> int:
        """The number of SHAVEs of a .blob."""
        return self.options.shaves or self.spec.number_of_shaves

    def preflight(self, model: onnx.ModelProto) -> None:
        """Refuse what cannot fit the device.

        Raises:
            UnsupportedModel: the weights are larger than RVC2's memory.
        """
        stored = weight_bytes(model) // 2 >> 20
        if stored > MEMORY_MB:
            raise UnsupportedModel(
                f"the model's weights take {stored} MB in FP16, and RVC2 has {MEMORY_MB} MB of memory",
                remedy="use a smaller model, or convert to RVC4",
            )

    def _config(self, inputs: Sequence[ResolvedInput]) -> dict[str, str]:
        """The compiler's configuration; of several images at once it makes one image's network, unless told not to.

        With the key, depthai reads [4, 3, 64, 64] out of the blob as it is; without, as [1, 3, 64, 64]. A user's own
        value wins.
        """
        several = any(len(item.shape) >= _IMAGE_RANK and item.shape[0] > 1 for item in inputs)
        return {**({"MYRIAD_DETECT_NETWORK_BATCH": "NO"} if several else {}), **self.options.config}

    def ports(self, inputs: Sequence[ResolvedInput], outputs: Sequence[str]) -> Ports:
        """Precisions and layouts at the boundary: pixels as U8, other floats as FP16; the user's values win."""
        options = self.options
        _require_known({*options.precisions, *options.layouts}, [item.name for item in inputs] + list(outputs))
        asked_in = {
            item.name: _port(
                options.precisions.get(item.name) or options.input_precision or _default_precision(item),
                options.layouts.get(item.name) or options.input_layout,
            )
            for item in inputs
        }
        asked_out = {
            name: _port(
                options.precisions.get(name) or options.output_precision,
                options.layouts.get(name) or options.output_layout,
            )
            for name in outputs
        }
        return Ports(asked_in, asked_out)

    def compile(self, prepared: Prepared, network: Network, job: Path, progress: Progress) -> Rvc2Built:
        """Compile; OpenVINO's refusals name the ONNX node.

        Raises:
            CompileFailed: the compiler refused the model.
            ToolKilled, LimitExceeded: it did not come to an end.
            VerificationFailed: an input or output has another name than in the model.
        """
        effort = Effort(progress, self.toolchain.workers)
        if not self.spec.blob:
            effort.tell_expected(network.model)
        try:
            compiled = self.toolchain.compile(
                network.file,
                job,
                superblob=not self.spec.blob,
                shaves=self.shaves,
                ports=self.ports(prepared.inputs, [tensor.name for tensor in prepared.outputs]),
                config=self._config(prepared.inputs),
                spread=effort.is_long(network.model),
                watch=effort.watch,
            )
        except RunnerError as error:
            raise failures.explain(error.message, prepared.model, error.details) from error
        if not self.spec.blob:
            effort.tell_size(compiled.file.stat().st_size, len(read_superblob(compiled.file)[0]))
        _require_names("input", compiled.ports["inputs"], [item.name for item in prepared.inputs])
        _require_names("output", compiled.ports["outputs"], [tensor.name for tensor in prepared.outputs])
        return Rvc2Built(compiled.file, compiled.ports, compiled.blobs)

    def commands(self, prepared: Prepared, artefact: str) -> dict[str, list[str]]:
        """The tools' command lines by the tool's name: mo's, and the compile_tool's that says the same as was done."""
        ports = self.ports(prepared.inputs, [tensor.name for tensor in prepared.outputs])
        named = {**ports.inputs, **ports.outputs}
        precisions = ",".join(f"{name}:{port['precision']}" for name, port in named.items() if "precision" in port)
        layouts = ",".join(f"{name}:{port['layout']}" for name, port in named.items() if "layout" in port)
        config = ",".join(f"{key}={value}" for key, value in self._config(prepared.inputs).items())
        words = ["compile_tool", "-d", "MYRIAD", "-m", self.network_name, "-o", artefact]
        words += ["-iop", precisions, "-op", "FP16"]
        words += ["-iol", layouts] if layouts else []
        words += ["-c", config] if config else []
        mo = {"model_optimizer": self.mo.command(prepared)} if self.mo else {}
        return {**mo, "compile_tool": words}

    @property
    def asks_depthai(self) -> bool:
        """Of every file."""
        return True

    def check(
        self, built: Rvc2Built, archive: Path | None, prepared: Prepared, depthai: Depthai, work: Path
    ) -> dict[str, Any]:
        """That depthai reads the files as what was asked for, each blob of a superblob byte for byte.

        Raises:
            VerificationFailed: it does not.
        """
        files = [built.file, *([archive] if archive else [])]
        found, *packed = depthai.read(files)
        verification.check_boundary(found, prepared, built.ports)
        self._check_blobs(built, found)
        if packed and "RVC2" not in packed[0].get("platforms", ()):
            raise VerificationFailed(f"depthai reads the archive as {packed[0]['kind']}, not as one for RVC2")
        return {"name": "depthai", **{key: found[key] for key in ("kind", "inputs", "outputs", "stages")}}

    def _check_blobs(self, built: Rvc2Built, found: Mapping[str, Any]) -> None:
        if self.spec.blob:
            header = read_header(built.file.read_bytes())
            if header.shaves != self.shaves or found["shaves"] != self.shaves:
                raise VerificationFailed(f"the blob is for {header.shaves} SHAVEs, asked was {self.shaves}")
            return
        given = {int(shaves): digest for shaves, digest in found["blobs"].items()}
        for shaves in SHAVES:  # whatever the tool says that it made
            if shaves not in given or given[shaves] != built.blobs.get(shaves):
                raise VerificationFailed(f"the superblob does not give back the blob for {shaves} SHAVEs")

    def subject(
        self, prepared: Prepared, network: Network, built: Built, images: Images, work: Path, progress: Progress
    ) -> Subject:
        """The network, on the held-out images.

        Raises, once it is measured:
            CompileFailed: OpenVINO's CPU plugin refused what the compiler took.
            ToolKilled, LimitExceeded: it did not come to an end.
        """
        ports = Ports({item.name: {"precision": "U8"} for item in prepared.inputs if item.is_image})
        source = source_model(prepared)

        def infer(batch: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
            try:
                yield from self.toolchain.infer(network.file, work / "simulate", batch, ports=ports)
            except RunnerError as error:
                raise failures.explain(error.message, prepared.model) from error

        methods = (self._proof(by_toolchain(prepared, infer), source), stored_in_half(prepared, looks=True))
        overflowing = partial(graph_overflows, prepared, images.held_out)
        return Subject(self.name, prepared, images, source, methods, NOT_PROVEN, overflowing=overflowing)

    def cost(self, network: Network, built: Rvc2Built) -> Cost:
        """The graph's, with what the blob says: how many stages run where, and the memory that it plans.

        Of a superblob it is the blob for 8 SHAVEs, which the others are made from.
        """
        data = built.file.read_bytes() if self.spec.blob else read_superblob(built.file)[0]
        units = read_units(data)
        shaves = Unit("SHAVEs", sum(units.shaves.values()), units.shaves)
        found = (Unit("the hardware engine", units.hardware, {}), shaves, Unit("DMA", units.copies, {}))
        return replace(super().cost(network, built), units=found, chip_memory=read_header(data).memory)

    def _proof(self, network: Runnable, source: Runnable) -> Method:
        """Of the network that was compiled; the Model Optimizer may have rounded its weights."""
        if self.mo and self.mo.options.compress:
            return measuring.proof(measuring.COMPRESSED, network, source, measuring.WEIGHTS)
        return measuring.proof(measuring.OPTIMIZED if self.mo else measuring.SIMULATED, network, source)

    def require_fit(self, passport: Passport) -> None:
        """Refuse a network that computes something else than its source.

        Raises:
            VerificationFailed: the simulated network differs from the source model.
        """
        for output in passport.checks[0].outputs_with(Severity.ERROR):
            raise VerificationFailed(
                f"the converted network does not compute what the source model does: output {output.name!r} has "
                f"{output.snr_db:.1f} dB, worst on {output.worst}",
                subject=output.name,
                remedy="convert with --disable-onnx-simplification, and compare the passports",
            )

    def build_info(self, built: Rvc2Built, commands: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """What the archive says of how it was made, with the keys that the reference converter writes."""
        shaves = [self.shaves] if self.spec.blob else list(SHAVES)
        details: dict[str, Any] = {}
        if not self.spec.blob:
            base, patches = read_superblob(built.file)
            details = {"base_bytes": len(base), "patch_bytes": [len(patch) for patch in patches]}
        return {
            "cmd_info": {tool: list(words) for tool, words in commands.items()},
            **({"model_optimizer_version": self.mo.toolchain.version} if self.mo else {}),
            "compile_tool_version": self.toolchain.version,
            "target_devices": ["MYRIAD"],
            "is_superblob": not self.spec.blob,
            "number_of_shaves": shaves,
            "number_of_cmx_slices": int(self.options.config.get("MYRIAD_NUMBER_OF_CMX_SLICES", self.shaves)),
            "not_proven": list(NOT_PROVEN),
            **details,
        }


def _default_precision(item: ResolvedInput) -> str:
    if not item.dtype.startswith("float"):
        return ""
    return "U8" if item.is_image else "FP16"


def _port(precision: str, layout: str) -> dict[str, str]:
    return {key: value for key, value in (("precision", precision), ("layout", layout)) if value}


def _require_known(asked: set[str], known: Sequence[str]) -> None:
    if unknown := sorted(asked - set(known)):
        raise SpecError(
            f"compile_tool arguments name {unknown[0]!r}, which is no input or output",
            remedy=f"the model has {', '.join(known)}",
        )


def _require_names(kind: str, found: Mapping[str, str], wanted: Sequence[str]) -> None:
    if set(found) != set(wanted):
        raise VerificationFailed(
            f"the compiled network has the {kind}s {', '.join(found)}, the model {', '.join(wanted)}",
            remedy="give the tensors other names in the model" if kind == "output" else "",
        )
