"""A conversion to RVC4, stage by stage: what this platform needs between the prepared graph and the verified file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx

from oakmill.conversion.depthai import Depthai
from oakmill.conversion.events import Progress
from oakmill.conversion.images import choose
from oakmill.conversion.output.nn_archive import CODES
from oakmill.conversion.passport import Passport
from oakmill.conversion.passport import cost as costing
from oakmill.conversion.passport.cost import Cost
from oakmill.conversion.passport.measure import Subject, graph_overflows
from oakmill.conversion.platform import Built, Images, Network, Platform
from oakmill.conversion.prepare import Needs, Prepared, save
from oakmill.conversion.rvc4 import expected_time, layers, quantize, snpe_commands
from oakmill.conversion.rvc4 import methods as measuring
from oakmill.conversion.rvc4.vendor_front import VendorFront
from oakmill.errors import UnsupportedModel, VerificationFailed
from oakmill.findings import Severity
from oakmill.graph import boundary, costs, large
from oakmill.graph.float16 import to_half
from oakmill.model import weight_bytes
from oakmill.model.source import SourceModel
from oakmill.settings import Settings
from oakmill.spec import Precision, Rvc4Spec
from oakmill.spec.recipe import CalibrationRecord
from oakmill.spec.rvc4 import PROOF_IMAGES, PROOF_SECONDS
from oakmill.toolchains.aimet.toolchain import Aimet
from oakmill.toolchains.base import Managed, Toolchain
from oakmill.toolchains.door import RunnerError
from oakmill.toolchains.rvc4 import failures, sdk_install, snpe_arguments, snpe_runtime, snpe_spec
from oakmill.toolchains.rvc4.sdk import Sdk
from oakmill.toolchains.rvc4.snpe_arguments import SnpeOptions
from oakmill.toolchains.rvc4.toolchain import PUBLIC_VERSION, Compiled, Port, Rvc4Toolchain

LARGEST_MB = 3500
"""A plain zip, which older readers want, holds 4 GB."""

CALIBRATION = {"set", "method", "images", "search", "equalization", "improvement", "biases"}
"""What the passport tells of a calibration's record."""
NOT_PROVEN = (
    "not run on an RVC4 device",
    "that the device's runtime, 2.32 or 2.41, opens a DLC of this version was not tried; a library of 2.36 does",
    "speed and power on the device were not measured",
)


@dataclass(frozen=True)
class Rvc4Built(Built):
    """A DLC with what the vendor's own reader says of it."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    compiled: Compiled


@dataclass(frozen=True)
class Rvc4(Platform):
    """One conversion to RVC4 with its toolchain."""

    name: ClassVar[str] = "rvc4"
    built: ClassVar[type[Built]] = Rvc4Built
    needs: ClassVar[Needs] = Needs(
        highest_opset=20,
        lowest_opset=13,
        decompose=("GRU", "LSTM", "RNN"),
        channels_last=True,
        plain_numbers=True,
        quantizes=True,
        exact=True,
    )

    spec: Rvc4Spec
    settings: Settings
    toolchain: Rvc4Toolchain
    options: SnpeOptions
    policy: snpe_runtime.CachePolicy
    notes: tuple[str, ...] = ()
    sdk: Sdk | None = None
    recorded: CalibrationRecord | None = None

    @classmethod
    def of(cls, spec: Rvc4Spec, settings: Settings) -> Rvc4:
        """Check what can be checked before the model is read.

        Raises:
            ArgumentRefused: an argument for a SNPE tool cannot be carried out.
            SpecError: values contradict each other.
            ToolchainMissing, VersionNotAvailable: there is nothing to compile with.
        """
        sdk = sdk_install.used(spec, settings)
        options = snpe_arguments.read(
            spec.snpe_onnx_to_dlc_args, spec.snpe_dlc_quant_args, spec.snpe_dlc_graph_prepare_args, sdk=sdk is not None
        )
        spec, notes = snpe_spec.merge(spec, options)
        here = sdk.version if sdk else PUBLIC_VERSION
        if not snpe_runtime.same(spec.snpe_version, here) and "snpe_version" in spec.model_fields_set:
            raise sdk_install.not_available(spec, settings, sdk)
        policy = snpe_runtime.cache_policy(spec.device_runtime, here, asked_by=options.cache_arguments)
        toolchain = Rvc4Toolchain(settings, here, sdk.libraries if sdk else None)
        for tool in (toolchain, *_besides(spec, settings)):
            tool.require()
        return cls(spec, settings, toolchain, options, policy, (*options.notes, *notes), sdk)

    def following(self, recorded: CalibrationRecord) -> Rvc4:
        """With what was decided by measuring as it was recorded."""
        return replace(self, recorded=recorded)

    @classmethod
    def needed(cls, spec: Rvc4Spec, settings: Settings, *, reads_ir: bool = False) -> list[Toolchain]:
        """Qualcomm's public libraries; the SDK of a version, and what learns weights, where they are asked for."""
        return [Rvc4Toolchain(settings), *_besides(spec, settings)]

    @property
    def suffix(self) -> str:
        """dlc."""
        return "dlc"

    @property
    def precision(self) -> str:
        """By the weights."""
        names = {Precision.FP16_STANDARD: "float16", Precision.FP32_STANDARD: "float32"}
        return names.get(self.spec.target_precision, f"int{self.spec.target_precision.weight_bits}")

    @property
    def toolchains(self) -> list[Toolchain]:
        """Qualcomm's libraries, the SDK that they are of, and what learns weights."""
        return [self.toolchain, *_besides(self.spec, self.settings)]

    @property
    def calibrates(self) -> bool:
        """Unless everything stays in floating point."""
        return not self.spec.target_precision.is_float

    @property
    def weights_in_memory(self) -> bool:
        """What quantizes looks at the float model in one piece."""
        return self.calibrates

    @property
    def tool_outputs(self) -> tuple[str, tuple[str, ...]]:
        """Those that the SNPE arguments name."""
        return "SNPE argument --out_node", self.options.outputs

    def preflight(self, model: onnx.ModelProto) -> None:
        """Refuse what fits no DLC.

        Raises:
            UnsupportedModel: the weights are too large.
        """
        if self.calibrates and large.is_large(model):
            raise UnsupportedModel(
                f"the model's weights take {weight_bytes(model) >> 20} MB; models of more than "
                f"{large.LIMIT >> 20} MB cannot be quantized, as the float model is looked at in one piece",
                remedy="convert with --target-precision FP16_STANDARD, which quantizes nothing",
            )
        bytes_each = {"int8": 1, "float32": 4}.get(self.precision, 2)
        stored = weight_bytes(model) * bytes_each // 4 >> 20
        if stored > LARGEST_MB:
            raise UnsupportedModel(
                f"the model's weights take {stored} MB as {self.precision}, and a DLC that older readers open holds "
                f"{LARGEST_MB} MB",
                remedy="choose a precision of fewer bits, or use a smaller model",
            )

    def images(self, prepared: Prepared, source: SourceModel, work: Path, progress: Progress) -> Images:
        """Those that calibrate, and others that test.

        Raises:
            SourceError: there are none, a set is not installed, or one cannot be read.
            SpecError: they do not fit the inputs.
        """
        for note in self.notes:
            progress.note(note)
        inputs = prepared.boundary
        if self.spec.raw_layout == "NHWC":
            inputs = tuple(replace(item, raw_layout=item.layout) for item in inputs)
        if not self.calibrates:
            return choose.choose_test_images(self.spec, inputs, progress)
        return choose.choose(self.spec, inputs, work, self.settings, progress)

    def network(self, prepared: Prepared, job: Path, progress: Progress) -> Network:
        """The graph in floating point, whose pixels come in as 8 bits."""
        if self.calibrates:  # what is compiled is written later
            return Network(job / "quantized.onnx", prepared.model)
        half = self.spec.target_precision is Precision.FP16_STANDARD
        model = to_half(prepared.model) if half else prepared.model
        model = boundary.pixels_of_8_bits(model, prepared.image_inputs)
        return Network(save(model, job / "prepared.onnx"), model)

    def calibrate(self, prepared: Prepared, images: Images, network: Network, job: Path, progress: Progress) -> Network:
        """The quantized graph.

        Raises:
            SourceError: an image cannot be read.
            SpecError: encodings or overrides do not fit the model.
            PreparationFailed: a tensor is not finite, or the graph cannot be quantized.
        """
        assert images.calibration_images is not None
        made = quantize.quantize_graph(
            self.spec,
            prepared,
            images.calibration_images,
            images.calibration_set,
            self.settings,
            progress,
            self.recorded,
        )
        progress.doing("looking which layers lose most")
        done = made.record.equalization
        plain = prepared.model if done and done.used else None
        damage = layers.measure(made.exact, made.model, prepared.image_inputs, images.held_out, plain, made.limits)
        file = save(made.model, job / "quantized.onnx")
        return Network(file, made.model, made.record, images.calibration_images, damage)

    def compile(self, prepared: Prepared, network: Network, job: Path, progress: Progress) -> Rvc4Built:
        """Make the DLC; what the processor cannot take is named by node.

        Raises:
            CompileFailed: a node cannot go.
            ToolKilled, LimitExceeded: the vendor's library crashed or did not come to an end.
            VerificationFailed: an input or output is not what was asked for.
        """
        front = VendorFront(self.sdk, self.spec, self.options, self.settings) if self.sdk else None
        if front and self.options.vendor_front:
            file = front.convert(prepared, network.calibration_images, job, progress, cache=self.policy.cache)
            compiled = self.toolchain.read(file, job / "read", progress.tool)
        else:
            compiled = self._compile(network, job, progress)
            if front and self.policy.cache:
                file = front.prepare(compiled.file, job, progress)
                compiled = self.toolchain.read(file, job / "read-again", progress.tool)
        self._require_boundary(compiled, prepared)
        return built_of(compiled)

    def _compile(self, network: Network, job: Path, progress: Progress) -> Compiled:
        """By Qualcomm's libraries; an SDK's own tool prepares its cache afterwards."""
        progress.doing("writing the DLC")
        try:
            return self.toolchain.compile(
                network.file,
                job,
                half=not self.calibrates,
                caches=self.spec.htp_socs if self.policy.cache and not self.sdk else (),
                optimization=self.options.optimization_level,
                vtcm_mb=self.options.vtcm_mb,
                watch=progress.tool,
            )
        except RunnerError as error:
            raise failures.explain(error, network.model) from error

    def _require_boundary(self, compiled: Compiled, prepared: Prepared) -> None:
        """That the file takes pixels as the device gives them, and has the model's inputs and outputs.

        Raises:
            VerificationFailed: it does not.
        """
        wanted = {item.name: tuple(item.shape) for item in prepared.boundary}
        found = {port.name: tuple(port.shape) for port in compiled.inputs}
        if found != wanted:
            raise VerificationFailed(f"the DLC has the inputs {found}, the model {wanted}")
        for port in compiled.inputs:
            pixels = port.name in prepared.image_inputs
            if pixels and (port.dtype, port.scale, port.offset) != ("uint8", 1.0, 0):
                raise VerificationFailed(
                    f"input {port.name!r} is {port.dtype} of scale {port.scale} and offset {port.offset} in the DLC; "
                    "the device gives uint8 of scale 1 and offset 0",
                    subject=port.name,
                )
        names = {tensor.name for tensor in prepared.outputs}
        if {port.name for port in compiled.outputs} != names:
            raise VerificationFailed(
                f"the DLC has the outputs {sorted(port.name for port in compiled.outputs)}, the model {sorted(names)}"
            )
        wide = [port.name for port in (*compiled.inputs, *compiled.outputs) if port.dtype == "int64"]
        if wide:
            raise VerificationFailed(f"{wide[0]!r} has integers of 64 bits, which the device does not know")

    def commands(self, prepared: Prepared, artefact: str) -> dict[str, list[str]]:
        """The SNPE tools' command lines that say the same as was done."""
        return snpe_commands.equal_commands(self.spec, self.options, prepared, artefact, cache=self.policy.cache)

    def check(
        self, built: Rvc4Built, archive: Path | None, prepared: Prepared, depthai: Depthai, work: Path
    ) -> dict[str, Any]:
        """That Qualcomm's own reader opens the finished file as one graph, and depthai the archive as one for RVC4.

        Raises:
            VerificationFailed: they do not.
        """
        again = self.toolchain.read(built.file, work / "dlc")
        if (again.inputs, again.outputs) != (built.inputs, built.outputs):
            raise VerificationFailed(f"{built.file.name} reads otherwise than it was written")
        if archive is not None:
            (found,) = depthai.read([archive])
            if "RVC4" not in found.get("platforms", ()) or found["kind"] != "dlc":
                raise VerificationFailed(f"depthai reads the archive as {found['kind']}, not as one for RVC4")
        return {
            "name": f"Qualcomm's libQnnSystem {again.qairt}",
            "kind": "dlc",
            "inputs": [described(port) for port in again.inputs],
            "outputs": [described(port) for port in again.outputs],
            "caches": [cache.soc for cache in again.caches],
        }

    def cost(self, network: Network, built: Rvc4Built) -> Cost:
        """The graph's, with the time that is expected of it."""
        counted = costs.count(network.model, value_bits=self.value_bits)
        time, why_not = expected_time.expected(counted), expected_time.untimed(counted)
        return replace(costing.of(counted), expected=time, untimed=why_not)

    def subject(
        self, prepared: Prepared, network: Network, built: Rvc4Built, images: Images, work: Path, progress: Progress
    ) -> Subject:
        """The simulated model on the held-out images, and the finished file on some of them."""

        def infer(batch: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
            samples = [stored(raw, built.inputs) for raw in batch]
            asked_for = self.spec.proof_images > PROOF_IMAGES and measuring.has_graph(network)
            seconds = None if asked_for or images.patient else PROOF_SECONDS
            ran = 0
            for outputs in self.toolchain.infer(
                built.file, work / "proof", samples, half=not self.calibrates, seconds=seconds, watch=progress.tool
            ):
                ran += 1
                yield outputs
            if ran < len(samples):
                progress.note(
                    f"the finished file ran on {ran} of {len(samples)} images, as one takes long on the emulated "
                    f"processor; --proof-images {PROOF_IMAGES + 1} or more runs it on so many"
                )

        source, methods = measuring.methods(self.spec, prepared, network, built.outputs, infer)
        record = network.calibration.model_dump(mode="json", include=CALIBRATION)
        calibration = {"precision": self.spec.target_precision.value, **record}
        overflowing = None if self.calibrates else partial(graph_overflows, prepared, images.held_out)
        return Subject(
            self.name, prepared, images, source, methods, NOT_PROVEN, calibration,
            measuring.not_a_number(prepared), overflowing,
        )  # fmt: skip

    def require_fit(self, passport: Passport) -> None:
        """Refuse a file that the vendor's library runs otherwise than the graph that it was made of.

        Raises:
            VerificationFailed: the finished file differs from its simulation.
        """
        for finding in passport.findings:
            if finding.code == measuring.DIFFERS and finding.severity is Severity.ERROR:
                raise VerificationFailed(finding.message, subject=finding.subject, remedy=finding.remedy)

    def build_info(self, built: Rvc4Built, commands: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """What the archive says of how it was made, with the keys that the reference converter writes."""
        return {
            "cmd_info": {tool: list(words) for tool, words in commands.items()},
            "snpe_version": built.compiled.qairt,
            "target_devices": list(self.spec.htp_socs),
            "precision": self.spec.target_precision.value,
            "prepared_cache": [cache.soc for cache in built.compiled.caches],
            "min_runtime": self.policy.min_runtime,
            "cache_policy": self.policy.why,
            "inputs": [described(port) for port in built.inputs],
            "outputs": [described(port) for port in built.outputs],
            "not_proven": list(NOT_PROVEN),
        }


def _besides(spec: Rvc4Spec, settings: Settings) -> list[Managed]:
    return [*sdk_install.needed(spec, settings), *([Aimet(settings)] if spec.improve else [])]


def built_of(compiled: Compiled) -> Rvc4Built:
    """A DLC that the vendor's reader has read."""
    return Rvc4Built(compiled.file, _ports(compiled), compiled.inputs, compiled.outputs, compiled)


def _ports(compiled: Compiled) -> dict[str, dict[str, str]]:
    sides = {"inputs": compiled.inputs, "outputs": compiled.outputs}
    return {side: {port.name: CODES.get(port.dtype, port.dtype) for port in ports} for side, ports in sides.items()}


def described(port: Port) -> dict[str, Any]:
    """An input or output for people."""
    encoding = {} if port.scale is None else {"scale": port.scale, "offset": port.offset}
    return {"name": port.name, "dims": list(port.shape), "dtype": port.dtype, **encoding}


def stored(raw: Mapping[str, Any], ports: Sequence[Port]) -> dict[str, Any]:
    """The raw tensors in the number formats of the DLC's inputs."""
    return {port.name: np.ascontiguousarray(raw[port.name].astype(port.dtype)) for port in ports}
