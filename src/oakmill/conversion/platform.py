"""The seam between the pipeline and the platforms: what differs from one platform to the next."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import onnx

from oakmill.conversion.events import Progress
from oakmill.conversion.passport import Passport
from oakmill.conversion.pictures import Pictures
from oakmill.conversion.prepare import Needs, Prepared
from oakmill.model.source import SourceModel
from oakmill.settings import Settings
from oakmill.spec import InputSpec
from oakmill.toolchains.base import Toolchain

Ports = Mapping[str, Mapping[str, str]]
"""Number formats at the boundary: {"inputs": {NAME: "U8"}, "outputs": {NAME: "FP16"}}."""


@dataclass(frozen=True)
class Images:
    """What a conversion looks at: pictures that teach its quantization, if it has one, and others that test it."""

    held_out: Pictures
    lessons: Pictures | None = None
    lessons_from: str = ""


@dataclass(frozen=True)
class Network:
    """What the compiler is given, and for the recipe what it was taught with."""

    file: Path
    model: onnx.ModelProto
    calibration: Mapping[str, Any] = field(default_factory=dict)
    lessons: Pictures | None = None


@dataclass(frozen=True)
class Built:
    """A compiled file and the number formats at its boundary."""

    file: Path
    ports: Ports


class Platform(ABC):
    """One conversion to a platform, stage by stage; an implementation holds the spec and its toolchain."""

    name: ClassVar[str]
    needs: ClassVar[Needs]
    spec: Any
    settings: Settings

    @property
    @abstractmethod
    def suffix(self) -> str:
        """Of the bare converted file, without a dot."""

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

    def inputs(self, asked: tuple[InputSpec, ...], source: SourceModel, progress: Progress) -> tuple[InputSpec, ...]:
        """The inputs with what the platform's own parameters say of them."""
        return asked

    def cut(self, model: onnx.ModelProto) -> onnx.ModelProto:
        """The model, ended where the platform's own parameters say; in place."""
        return model

    @abstractmethod
    def preflight(self, model: onnx.ModelProto) -> None:
        """Refuse what cannot fit the device."""

    @abstractmethod
    def images(self, prepared: Prepared, source: SourceModel, work: Path, progress: Progress) -> Images:
        """Choose the pictures."""

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
    def check(self, built: Any, archive: Path | None, prepared: Prepared, work: Path) -> dict[str, Any]:
        """That the vendor's own reader reads the finished files as what was asked for; returns what it found."""

    @abstractmethod
    def passport(
        self, prepared: Prepared, network: Network, built: Any, images: Images, work: Path, progress: Progress
    ) -> Passport:
        """Measure the converted model on the held-out pictures."""

    @abstractmethod
    def require_fit(self, passport: Passport) -> None:
        """Refuse a file that does not compute what was compiled; a loss of accuracy is told, not refused.

        Raises:
            VerificationFailed: it computes something else.
        """

    @abstractmethod
    def build_info(self, built: Any, commands: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """What the archive says of how it was made."""
