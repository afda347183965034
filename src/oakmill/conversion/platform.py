"""The seam between the pipeline and the platforms: what differs from one platform to the next."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import onnx

from oakmill.conversion.depthai import Depthai
from oakmill.conversion.events import Progress
from oakmill.conversion.images.samples import Images, SampleSet
from oakmill.conversion.passport import Passport
from oakmill.conversion.passport import cost as costing
from oakmill.conversion.passport.cost import Cost
from oakmill.conversion.passport.layers import Layers
from oakmill.conversion.passport.measure import Subject
from oakmill.conversion.prepare import Keep, Needs, Prepared, make_anew, prepare
from oakmill.errors import SpecError
from oakmill.graph import costs
from oakmill.graph.outputs import cut_at
from oakmill.model import load_onnx, require_finite_weights
from oakmill.model.source import SourceModel
from oakmill.settings import Settings
from oakmill.spec import ConversionSpec, InputSpec, OutputFormat
from oakmill.spec.recipe import CalibrationRecord
from oakmill.toolchains.base import Toolchain

__all__ = ["Built", "Images", "Network", "Platform", "Ports"]

Ports = Mapping[str, Mapping[str, str]]
"""Number formats at the boundary: {"inputs": {NAME: "U8"}, "outputs": {NAME: "FP16"}}."""


@dataclass(frozen=True)
class Network:
    """What the compiler is given, for the recipe what calibrated it, and what quantizing did to which tensor."""

    file: Path
    model: onnx.ModelProto
    calibration: CalibrationRecord = field(default_factory=CalibrationRecord)
    calibration_images: SampleSet | None = None
    layers: Layers | None = None


@dataclass(frozen=True)
class Built:
    """A compiled file and the number formats at its boundary; `parts` are files that belong to it, as an IR's .bin."""

    file: Path
    ports: Ports
    parts: tuple[Path, ...] = field(default=(), kw_only=True)

    def moved(self, file: Path) -> Built:
        """The same, moved to be this file; its parts keep their endings and get its stem."""
        parts = tuple(part.rename(file.with_name(f"{file.stem}{part.suffix}")) for part in self.parts)
        return replace(self, file=self.file.rename(file), parts=parts)


class Platform(ABC):
    """One conversion to a platform, stage by stage; an implementation holds the spec and its toolchain."""

    name: ClassVar[str]
    needs: ClassVar[Needs]
    built: ClassVar[type[Built]] = Built
    """The class of what `compile` gives."""
    runs_the_file: ClassVar[bool] = True
    """Whether the passport comes of the finished file, and not of the network alone that it was compiled from."""
    spec: ConversionSpec
    settings: Settings

    @classmethod
    @abstractmethod
    def of(cls, spec: Any, settings: Settings) -> Platform:
        """The conversion that a spec of the platform's own kind asks for, as far as it is checked without the model.

        Raises:
            ArgumentRefused: an argument for a vendor's tool cannot be carried out.
            SpecError: values contradict each other.
            ToolchainMissing, VersionNotAvailable: there is nothing to compile with.
        """

    def following(self, recorded: CalibrationRecord) -> Platform:
        """The same conversion again: what it decides by measuring is decided as it was recorded, if it decides any."""
        return self

    @classmethod
    @abstractmethod
    def needed(cls, spec: Any, settings: Settings, *, reads_ir: bool = False) -> list[Toolchain]:
        """The toolchains that a conversion takes, installed or not; with `reads_ir`, also what reads OpenVINO IR.

        A vendor's tool that is never installed by us is not among them.
        """

    @property
    @abstractmethod
    def suffix(self) -> str:
        """Of the bare converted file, without a dot."""

    @property
    def part_suffixes(self) -> tuple[str, ...]:
        """Of the files that belong to the converted file, without dots."""
        return ()

    @property
    @abstractmethod
    def precision(self) -> str:
        """The model's number format, in the NN Archive's words."""

    @property
    @abstractmethod
    def toolchains(self) -> list[Toolchain]:
        """All that take part, in order."""

    @property
    def calibrates(self) -> bool:
        """Whether there is a calibrate stage."""
        return False

    @property
    def weights_in_memory(self) -> bool:
        """Whether a large model's weights are read, for code that looks at all of them, rather than left in files."""
        return False

    @property
    def asks_depthai(self) -> bool:
        """Whether `check` reads a file with depthai, which is loaded meanwhile."""
        return self.spec.output_format is OutputFormat.NN_ARCHIVE

    def inputs(self, asked: tuple[InputSpec, ...], source: SourceModel, progress: Progress) -> tuple[InputSpec, ...]:
        """The inputs with what the platform's own parameters say of them."""
        return asked

    @property
    def tool_outputs(self) -> tuple[str, tuple[str, ...]]:
        """The outputs that the arguments for a vendor's tool name, and that argument's own name."""
        return "", ()

    @property
    def ends(self) -> tuple[str, ...]:
        """Where the network is to end; empty for its own outputs.

        Raises:
            SpecError: --outputs and a tool's argument name different ones.
        """
        asked, (argument, names) = self.spec.outputs, self.tool_outputs
        if asked and names and set(asked) != set(names):
            raise SpecError(
                f"--outputs names {', '.join(asked)}, but {argument} names {', '.join(names)}",
                subject=argument,
                remedy="name the outputs once",
            )
        return asked or names

    def cut(self, model: onnx.ModelProto) -> onnx.ModelProto:
        """The model, ended where the parameters say; in place.

        Raises:
            SpecError: it cannot end there.
        """
        return cut_at(model, self.ends) if self.ends else model

    def load(self, source: SourceModel) -> Any:
        """The source's network, ended where it is to end and fit for the platform: what `prepare` takes.

        Raises:
            SpecError: it cannot end where it is to.
            BrokenModel, UnsafeSource: the source is damaged, or has changed.
            UnsupportedModel: it cannot fit the device.
        """
        model = self.cut(load_onnx(source, whole=self.weights_in_memory))
        require_finite_weights(model)
        self.preflight(model)
        return model

    def prepare(
        self,
        model: Any,
        source: SourceModel,
        inputs: Sequence[InputSpec],
        work: Path,
        progress: Progress,
        keep: Keep = make_anew,
    ) -> Prepared:
        """The network as the compiler reads it rightly, with the preprocessing in it, proved equal to the source.

        `work` is a folder that may be made. Raises: as `prepare.prepare`.
        """
        return prepare(model, source, inputs, self.spec, self.needs, progress, keep)

    @abstractmethod
    def preflight(self, model: onnx.ModelProto) -> None:
        """Refuse what cannot fit the device."""

    @abstractmethod
    def images(self, prepared: Prepared, source: SourceModel, work: Path, progress: Progress) -> Images:
        """Choose the images."""

    @abstractmethod
    def network(self, prepared: Prepared, job: Path, progress: Progress) -> Network:
        """What the compiler would be given without a calibration."""

    def calibrate(self, prepared: Prepared, images: Images, network: Network, job: Path, progress: Progress) -> Network:
        """The network, quantized."""
        return network

    @abstractmethod
    def compile(self, prepared: Prepared, network: Network, job: Path, progress: Progress) -> Any:
        """Compile; what comes back is a `Built` of the platform's own."""

    @abstractmethod
    def commands(self, prepared: Prepared, artefact: str) -> dict[str, list[str]]:
        """The tools' command lines, or those that say the same as was done, by the tool's name."""

    @abstractmethod
    def check(
        self, built: Any, archive: Path | None, prepared: Prepared, depthai: Depthai, work: Path
    ) -> dict[str, Any]:
        """That the vendor's own reader reads the finished files as what was asked for; returns what it found."""

    @abstractmethod
    def subject(
        self, prepared: Prepared, network: Network, built: Any, images: Images, work: Path, progress: Progress
    ) -> Subject:
        """What is measured of the converted model, and by which methods, on the held-out images."""

    @property
    def value_bits(self) -> int:
        """Of what the compiled graph leaves in floating point, as the chip computes it: FP16."""
        return 16

    def cost(self, network: Network, built: Any) -> Cost:
        """What one run costs on the chip, as far as the graph and the finished file say it.

        Raises:
            VerificationFailed: the finished file is damaged.
        """
        return costing.of(costs.count(network.model, value_bits=self.value_bits))

    @abstractmethod
    def require_fit(self, passport: Passport) -> None:
        """Refuse a file that does not compute what was compiled; a loss of accuracy is told, not refused.

        Raises:
            VerificationFailed: it computes something else.
        """

    @abstractmethod
    def build_info(self, built: Any, commands: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """What the archive says of how it was made."""
