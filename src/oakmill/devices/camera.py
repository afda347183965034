"""What a camera is: one that was found, and one that was opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Camera:
    """A camera that was found and not opened: so its platform is known where its connection tells it.

    `platform` is RVC2, RVC3 or RVC4, or empty; `problem` says in a sentence why it cannot be used, if so.
    """

    identifier: str
    name: str
    platform: str
    connection: str
    state: str
    problem: str = ""

    @property
    def words(self) -> str:
        """The camera in a few words."""
        known = [self.platform or "a camera", self.identifier, f"at {self.name}" if self.name else ""]
        return " ".join(filter(None, known))

    @property
    def is_free(self) -> bool:
        """Whether it can be used now."""
        return self.state == "free" and not self.problem

    def is_called(self, asked: str) -> bool:
        """Whether somebody means it by this identifier, address or USB port."""
        return asked in (self.identifier, self.name)

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


@dataclass(frozen=True)
class Identity:
    """An opened camera: its product, platform, identifier, and the software that runs on it, each in its own words."""

    product: str
    platform: str
    identifier: str
    firmware: str

    @property
    def words(self) -> str:
        """The device and its firmware in a few words."""
        return f"{self.product or 'a camera'} ({self.platform}, {self.identifier}) with {self.firmware}"

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    @classmethod
    def of(cls, dai: Any, device: Any) -> Identity:
        """What an opened device says of itself; what it does not say stays empty.

        RVC2 has no system of its own: depthai brings its firmware along.
        """
        system = _said(device.getOSVersion)
        return cls(
            _said(device.getProductName) or _said(device.getDeviceName),
            _said(device.getPlatformAsString),
            _said(device.getDeviceId),
            f"OS {system}" if system else f"the firmware of depthai {dai.__version__}",
        )


def _said(ask: Callable[[], Any]) -> str:
    """An answer in words; depthai raises where a device does not know the question."""
    try:
        return str(ask() or "")
    except RuntimeError:
        return ""
