"""A conversion to RVC3, stage by stage: ONNX to an IR, to 8 bits, and to a blob where the vendor's compiler is set."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import onnx

from oakmill.conversion.depthai import Depthai
from oakmill.conversion.events import Progress
from oakmill.conversion.images import choose
from oakmill.conversion.inputs import ResolvedInput
from oakmill.conversion.output.nn_archive import CODES
from oakmill.conversion.passport import Passport
from oakmill.conversion.passport.measure import Runnable, Subject, by_toolchain
from oakmill.conversion.platform import Built, Images, Network, Platform
from oakmill.conversion.prepare import Needs, Prepared, save
from oakmill.conversion.rvc3 import methods as measuring
from oakmill.conversion.rvc3.methods import LABEL
from oakmill.conversion.rvc3.quantize import Quantization
from oakmill.conversion.sources.model_optimizer import MoStep
from oakmill.errors import CompileFailed, SpecError, VerificationFailed
from oakmill.findings import Severity
from oakmill.model.source import SourceModel
from oakmill.settings import Settings
from oakmill.spec import InputSpec, PotTargetDevice, Rvc3Spec
from oakmill.toolchains.base import Toolchain
from oakmill.toolchains.door import RunnerError
from oakmill.toolchains.model_optimizer import options as mo
from oakmill.toolchains.rvc3 import blob, compile_tool, vendor
from oakmill.toolchains.rvc3 import toolchain as openvino
from oakmill.toolchains.rvc3.quantizers import Quantizer
from oakmill.toolchains.rvc3.toolchain import Rvc3Toolchain

CALIBRATION = {"set", "method", "images", "quantizer", "control"}
"""What the passport tells of a calibration's record."""
NOT_PROVEN_IR = (
    f"{LABEL}: no public package has a compiler for RVC3, so it was not compiled, and no camera runs it as it is",
    "whether the vendor's compiler takes every layer of it, or how fast the camera is, is not known",
)
NOT_PROVEN_BLOB = (
    "not run on an RVC3 device: the numbers are those of the IR that the vendor's compiler was given",
    "speed and power on the device are not known",
)


@dataclass(frozen=True)
class Rvc3Network(Network):
    """A network, quantized or not, and the IR as the Model Optimizer wrote it; None where that is not at hand."""

    plain: Path | None = None


@dataclass(frozen=True)
class Rvc3Built(Built):
    """A blob, or an IR with its weights as a part; `read` is what OpenVINO 2022.3.2 read in the IR."""

    read: openvino.Network
    compiled: bool


@dataclass(frozen=True)
class Rvc3(Platform):
    """One conversion to RVC3 with its toolchains."""

    name: ClassVar[str] = "rvc3"
    built: ClassVar[type[Built]] = Rvc3Built
    # OpenVINO 2022.3 reads opset 18 without complaint and wrongly: a ReduceMean whose axes are an input takes them all.
    needs: ClassVar[Needs] = Needs(highest_opset=17)
    runs_the_file: ClassVar[bool] = False

    spec: Rvc3Spec
    settings: Settings
    toolchain: Rvc3Toolchain
    mo: MoStep
    options: compile_tool.CompileOptions
    quantizer: Quantizer | None = None
    compiler: vendor.VendorCompiler | None = None

    @classmethod
    def of(cls, spec: Rvc3Spec, settings: Settings) -> Rvc3:
        """Check what can be checked before the model is read.

        Raises:
            ArgumentRefused: a compile_tool or mo argument cannot be carried out.
            ToolchainMissing: a tool is not installed, or not where the settings say.
        """
        options, given = compile_tool.read(spec.compile_tool_args), mo.read(spec.mo_args)
        if not any(name == "--data_type" for name, _ in given.others):
            given = replace(given, others=(*given.others, ("--data_type", "FP16")))
        toolchain, compiler = Rvc3Toolchain(settings), vendor.configured(settings)
        quantizer = None if spec.target_precision.is_float else Quantizer(settings, spec.quantizer.value)
        toolchain.require()
        for tool in (quantizer, compiler):
            if tool:
                tool.require()
        return cls(spec, settings, toolchain, MoStep(given, toolchain), options, quantizer, compiler)

    @classmethod
    def needed(cls, spec: Rvc3Spec, settings: Settings, *, reads_ir: bool = False) -> list[Toolchain]:
        """OpenVINO, and what quantizes; the vendor's compiler is never installed by us."""
        quantizer = [] if spec.target_precision.is_float else [Quantizer(settings, spec.quantizer.value)]
        return [Rvc3Toolchain(settings), *quantizer]

    @property
    def suffix(self) -> str:
        """blob, or xml where nothing compiles."""
        return "blob" if self.compiler else "xml"

    @property
    def part_suffixes(self) -> tuple[str, ...]:
        """An IR's weights."""
        return () if self.compiler else ("bin",)

    @property
    def precision(self) -> str:
        """By the weights."""
        return "int8" if self.quantizer else "float16"

    @property
    def toolchains(self) -> list[Toolchain]:
        """All that take part, in order."""
        return [tool for tool in (self.toolchain, self.quantizer, self.compiler) if tool]

    @property
    def calibrates(self) -> bool:
        """Unless everything stays in floating point."""
        return self.quantizer is not None

    def inputs(self, asked: tuple[InputSpec, ...], source: SourceModel, progress: Progress) -> tuple[InputSpec, ...]:
        """The inputs with what the Mo Args say of them.

        Raises:
            SpecError: they do not fit the model.
        """
        return self.mo.inputs(asked, source.inputs, progress) if self.spec.mo_args else asked

    @property
    def tool_outputs(self) -> tuple[str, tuple[str, ...]]:
        """Those that the Mo Args name."""
        return "mo argument --output", self.mo.options.outputs

    def preflight(self, model: onnx.ModelProto) -> None:
        """Nothing that is known of the device refuses a model before its compiler does."""

    def images(self, prepared: Prepared, source: SourceModel, work: Path, progress: Progress) -> Images:
        """Those that calibrate, and others that test.

        Raises:
            SourceError: there are none, a set is not installed, or one cannot be read.
            SpecError: they do not fit the inputs.
        """
        if not self.compiler:
            progress.note(f"no compile_tool is set: the result will be an {LABEL}")
        if not self.calibrates:
            return choose.choose_test_images(self.spec, prepared.boundary, progress)
        return choose.choose(self.spec, prepared.boundary, work, self.settings, progress)

    def network(self, prepared: Prepared, job: Path, progress: Progress) -> Network:
        """The Model Optimizer's IR.

        Raises:
            CompileFailed: mo could not convert it.
            ToolKilled, LimitExceeded: it did not come to an end.
        """
        model = self.mo.graph(prepared)
        graph = save(model, job / "graph" / "prepared.onnx")
        try:
            written = self.mo.run(prepared, graph, job / "optimize", progress)
        except CompileFailed as error:
            if not self.spec.mo_args:
                error.remedy = "replace the operation in the model, or end the network before it (--outputs)"
            raise
        return Rvc3Network(written, model, plain=written)

    def calibrate(self, prepared: Prepared, images: Images, network: Network, job: Path, progress: Progress) -> Network:
        """The IR in 8 bits.

        Raises:
            SourceError: an image cannot be read.
            SpecError: a layer to ignore is not there, or the images are too few.
            CompileFailed: the quantizer refused the network.
            ToolKilled, LimitExceeded: it did not come to an end.
        """
        assert images.calibration_images is not None
        assert self.quantizer is not None
        step = Quantization(self.spec, self.settings, self.quantizer)
        made = step.run(network, images.calibration_images, images.calibration_set, job, progress)
        return Rvc3Network(made.file, made.model, made.calibration, made.calibration_images, plain=network.file)

    def compile(self, prepared: Prepared, network: Network, job: Path, progress: Progress) -> Rvc3Built:
        """Read the IR back in OpenVINO 2022.3.2, and compile it where there is a compiler.

        Raises:
            VerificationFailed: OpenVINO 2022.3.2 cannot read it, it has other inputs or outputs, or what the
                compiler wrote is no blob.
            CompileFailed: the vendor's compiler refused it.
            ToolKilled, LimitExceeded: a tool did not come to an end.
        """
        progress.doing("reading the IR with OpenVINO 2022.3.2")
        read = self._read(prepared, network.file, job / "read")
        if self.compiler is None:
            job.mkdir(parents=True, exist_ok=True)
            file = Path(shutil.copyfile(network.file, job / "model.xml"))
            weights = Path(shutil.copyfile(network.file.with_suffix(".bin"), job / "model.bin"))
            sides = {"inputs": read.inputs, "outputs": read.outputs}
            ports = {side: {port.name: CODES[port.dtype] for port in each} for side, each in sides.items()}
            return Rvc3Built(file, ports, read, compiled=False, parts=(weights,))
        words = self._compile_words(prepared, read)
        progress.doing("compiling with the vendor's compile_tool")
        try:
            made = self.compiler.compile(network.file, job / "compile", words, self.options.config, watch=progress.tool)
        except CompileFailed as error:
            error.remedy = self._compile_remedy()
            raise
        return Rvc3Built(made, self._ports(prepared, read), read, compiled=True)

    def _read(self, prepared: Prepared, ir: Path, job: Path) -> openvino.Network:
        inputs = [item.name for item in prepared.boundary]
        try:
            read = self.toolchain.read(ir, job, inputs, [tensor.name for tensor in prepared.outputs])
        except RunnerError as error:
            raise VerificationFailed(
                f"OpenVINO {openvino.VERSION} cannot use the IR: {error.message}",
                remedy="convert with --quantizer pot, or with --target-precision FP16, and compare",
                log=error.log,
            ) from error
        wanted = {item.name: tuple(item.shape) for item in prepared.boundary}
        found = {port.name: port.shape for port in read.inputs}
        if found != wanted:
            raise VerificationFailed(f"the IR has the inputs {found}, the model {wanted}")
        return read

    def _compile_remedy(self) -> str:
        ways = ["see the tool's words with -v"]
        if self.quantizer and self.spec.pot_target_device is PotTargetDevice.VPU:
            ways.append("try --pot-target-device ANY, as Luxonis' guide says")
        return "; ".join([*ways, "leave the layer in floating point (--ignored-name), or end the network before it"])

    def _precisions(self, inputs: Sequence[ResolvedInput], read: openvino.Network) -> dict[str, str]:
        """Each input's number format in a blob: pixels U8, others as in the IR; the user's values win."""
        options = self.options
        known = [*(port.name for port in read.inputs), *(port.name for port in read.outputs)]
        if unknown := sorted(set(options.precisions) - set(known)):
            raise SpecError(
                f"compile_tool arguments name {unknown[0]!r}, which is no input or output",
                remedy=f"the model has {', '.join(known)}",
            )
        found = {}
        for item, port in zip(inputs, read.inputs, strict=True):
            default = "U8" if item.is_image else {"I64": "I32"}.get(CODES[port.dtype], CODES[port.dtype])
            found[item.name] = options.precisions.get(item.name) or options.input_precision or default
        return found

    def _compile_words(self, prepared: Prepared, read: openvino.Network) -> list[str]:
        """compile_tool's arguments: -ip where all inputs have the same precision, else each by its name."""
        options, inputs = self.options, self._precisions(prepared.boundary, read)
        alike = set(inputs.values())
        words = ["-ip", alike.pop()] if len(alike) == 1 else []
        words += ["-op", options.output_precision] if options.output_precision else []
        named = {} if words[:1] == ["-ip"] else inputs
        named |= {name: value for name, value in options.precisions.items() if name not in inputs}
        words += ["-iop", ",".join(f"{name}:{value}" for name, value in named.items())] if named else []
        return [*words, *options.others]

    def _ports(self, prepared: Prepared, read: openvino.Network) -> dict[str, dict[str, str]]:
        """The number formats of a blob: compile_tool gives outputs as FP32 unless it is told otherwise."""
        options = self.options
        outputs = {
            port.name: options.precisions.get(port.name) or options.output_precision or "FP32" for port in read.outputs
        }
        return {"inputs": self._precisions(prepared.boundary, read), "outputs": outputs}

    def commands(self, prepared: Prepared, artefact: str) -> dict[str, list[str]]:
        """The tools' command lines by the tool's name; NNCF and POT are called from Python, with these parameters."""
        found = {"model_optimizer": self.mo.command(prepared)}
        if self.quantizer:
            words = Quantization(self.spec, self.settings, self.quantizer).words
            found[self.quantizer.tool] = words.replace(",", "").split()
        if self.compiler:
            found["compile_tool"] = self._command(prepared, artefact)
        return found

    def _command(self, prepared: Prepared, artefact: str) -> list[str]:
        """compile_tool's command line, with the precisions that the prepared model has."""
        sides = [
            tuple(openvino.Port(item.name, tuple(item.shape), item.dtype) for item in prepared.boundary),
            tuple(openvino.Port(tensor.name, (), tensor.dtype) for tensor in prepared.outputs),
        ]
        words = self._compile_words(prepared, openvino.Network("", *sides))
        words += ["-c", vendor.CONFIG] if self.options.config else []
        stem = artefact.rpartition(".")[0]
        return ["compile_tool", "-d", compile_tool.DEVICE, *words, "-m", f"{stem}.xml", "-o", f"{stem}.blob"]

    @property
    def asks_depthai(self) -> bool:
        """Of archives and blobs: it reads no bare IR."""
        return super().asks_depthai or self.compiler is not None

    def check(
        self, built: Rvc3Built, archive: Path | None, prepared: Prepared, depthai: Depthai, work: Path
    ) -> dict[str, Any]:
        """That depthai reads a blob as one for RVC3, and opens an archive.

        Raises:
            VerificationFailed: it does not.
        """
        if built.compiled:
            blob.require_vpux(built.file)
        found: dict[str, Any] = {}
        if archive or built.compiled:
            (found,) = depthai.read([archive or built.file])
        if built.compiled and found.get("device") != "VPUX":
            raise VerificationFailed(f"depthai reads the blob as one for {found.get('device', found['kind'])}")
        if built.compiled and archive and found["platforms"] != ["RVC3"]:
            raise VerificationFailed(f"depthai reads the archive as one for {found['platforms']}, not for RVC3")
        return {
            "name": f"OpenVINO {built.read.version}" + ("; depthai" if found else ""),
            "kind": "blob" if built.compiled else "ir",
            "status": "compiled" if built.compiled else LABEL,
            **_boundary(built),
        }

    def subject(
        self, prepared: Prepared, network: Network, built: Built, images: Images, work: Path, progress: Progress
    ) -> Subject:
        """The IRs, on the held-out images."""
        assert isinstance(network, Rvc3Network)
        record = network.calibration.model_dump(mode="json", include=CALIBRATION)
        plan = self.measured(prepared, network, images, work)
        status = "compiled" if self.compiler else LABEL
        calibration = {"status": status, "precision": self.spec.target_precision.value, **record}
        findings = () if self.compiler else (measuring.NOT_COMPILED,)
        return Subject(
            self.name, prepared, images, plan.source, plan.methods, self._not_proven, calibration, findings,
            plan.overflowing,
        )  # fmt: skip

    @property
    def value_bits(self) -> int:
        """8 where the IR is quantized: the graph itself, which the Model Optimizer was given, does not say it."""
        return 8 if self.calibrates else 16

    def measured(self, prepared: Prepared, network: Rvc3Network, images: Images, work: Path) -> measuring.Plan:
        """What is run for the passport."""
        return measuring.of_onnx(prepared, images, *self._irs(prepared, network, work))

    def _irs(self, prepared: Prepared, network: Rvc3Network, work: Path) -> tuple[Runnable | None, Runnable | None]:
        """The IR before quantization, and the one after it, where there is one."""
        names = [tensor.name for tensor in prepared.outputs]

        def running(ir: Path, folder: str) -> Runnable:
            return by_toolchain(prepared, lambda batch: self.toolchain.infer(ir, work / folder, batch, names))

        plain = running(network.plain, "run-plain") if network.plain else None
        return plain, running(network.file, "run-int8") if self.calibrates else None

    @property
    def _not_proven(self) -> tuple[str, ...]:
        return NOT_PROVEN_BLOB if self.compiler else NOT_PROVEN_IR

    def require_fit(self, passport: Passport) -> None:
        """Refuse an IR that computes something else than its source, before any quantization.

        Raises:
            VerificationFailed: the Model Optimizer's IR differs from the source model.
        """
        for check in passport.checks:
            for output in check.outputs_with(Severity.ERROR) if check.name == measuring.PLAIN[0] else ():
                raise VerificationFailed(
                    f"the Model Optimizer's IR does not compute what the source model does: output {output.name!r} "
                    f"has {output.snr_db:.1f} dB, worst on {output.worst}",
                    subject=output.name,
                    remedy="convert with --disable-onnx-simplification, and compare the passports",
                )

    def build_info(self, built: Rvc3Built, commands: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """What the archive says of how it was made, with the keys that the reference converter writes."""
        step = Quantization(self.spec, self.settings, self.quantizer) if self.quantizer else None
        return {
            "status": "compiled" if built.compiled else LABEL,
            "needs_compiler": not built.compiled,
            "cmd_info": {tool: list(words) for tool, words in commands.items()},
            "model_optimizer_version": openvino.VERSION,
            "ir_version": 11,
            "quantizer": step.words if step else None,
            "target_devices": [compile_tool.DEVICE],
            "precision": self.spec.target_precision.value,
            **_boundary(built),
            "not_proven": list(self._not_proven),
        }


def _boundary(built: Rvc3Built) -> dict[str, Any]:
    sides = {"inputs": built.read.inputs, "outputs": built.read.outputs}
    return {side: [{"name": p.name, "dims": list(p.shape), "dtype": p.dtype} for p in sides[side]] for side in sides}
