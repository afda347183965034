"""Finds the cameras that are attached, by USB or in the network, and chooses one for a platform."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from oakmill.devices import vendor
from oakmill.devices.camera import Camera
from oakmill.errors import NoDevice, NotPermitted, WrongDevice

PLATFORMS = {"X_LINK_MYRIAD_X": "RVC2", "X_LINK_MYRIAD_2": "RVC2", "X_LINK_RVC3": "RVC3", "X_LINK_RVC4": "RVC4"}
"""depthai's names of what a connection leads to; of any other nothing is known before it is opened."""
CONNECTIONS = {"X_LINK_USB_VSC": "USB", "X_LINK_USB_CDC": "USB", "X_LINK_USB_EP": "USB", "X_LINK_TCP_IP": "network"}
STATES = {
    "X_LINK_UNBOOTED": "free", "X_LINK_BOOTLOADER": "free", "X_LINK_FLASH_BOOTED": "free", "X_LINK_GATE": "free",
    "X_LINK_BOOTED": "in use", "X_LINK_GATE_BOOTED": "in use", "X_LINK_GATE_SETUP": "being set up",
}  # fmt: skip


def find() -> tuple[Camera, ...]:
    """All cameras that depthai sees now, used by others or not; it looks for half a second or so."""
    dai = vendor.load()
    with vendor.translated("the search for cameras"):
        return tuple(map(_camera, dai.Device.getAllConnectedDevices()))


def looked_for() -> str:
    """What was looked for, in a sentence."""
    version = vendor.load().__version__
    return f"no camera was found: depthai {version} looked for OAK cameras {vendor.searched()}"


def for_platform(platform: str, called: str | None = None) -> Camera:
    """The camera to use: the one that is called so, else the first that is free and of the platform.

    Raises:
        NoDevice: there is none.
        WrongDevice: those that are there are for other platforms.
        NotPermitted: it may not be used by this user.
    """
    found = find()
    if called is not None:
        found = tuple(camera for camera in found if camera.is_called(called))
    if not found:
        raise _none(called)
    fit = [camera for camera in found if camera.platform in ("", platform)]
    if not fit:
        there = ", ".join(camera.words for camera in found)
        raise WrongDevice(
            f"the file is for {platform}, and there is only {there}", subject=called or "",
            remedy=f"convert the model for {found[0].platform}, or attach a camera that has {platform}",
        )  # fmt: skip
    return _usable(fit)


def _usable(cameras: Sequence[Camera]) -> Camera:
    """The first that is free; else the first, which says when it is opened why it cannot be."""
    chosen = next((camera for camera in cameras if camera.is_free), cameras[0])
    if chosen.problem:
        raise NotPermitted(f"{chosen.words} {chosen.problem}", subject=chosen.identifier, remedy=vendor.UDEV)
    return chosen


def _none(called: str | None) -> NoDevice:
    if called is None:
        return NoDevice(looked_for(), remedy=vendor.PLUGGED)
    return NoDevice(
        f"no camera is called {called!r}", subject=called, remedy="`oakmill devices` lists those that are there"
    )


def _camera(info: Any) -> Camera:
    """What depthai knows of a camera before it is opened."""
    denied = info.status.name == vendor.FORBIDDEN
    return Camera(
        info.deviceId,
        info.name,
        PLATFORMS.get(info.platform.name, ""),
        CONNECTIONS.get(info.protocol.name, "another way"),
        STATES.get(info.state.name, info.state.name),
        "may not be used by this user" if denied else "",
    )
