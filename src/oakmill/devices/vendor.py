"""The edge to depthai: it is loaded here when a camera is wanted, and its errors become ours here."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from oakmill.errors import DeviceError, DeviceInUse, DeviceLost, NoDevice, NotPermitted

UDEV = (
    'on Linux, let everybody use the USB device: echo \'SUBSYSTEM=="usb", ATTRS{idVendor}=="03e7", MODE="0666"\' | '
    "sudo tee /etc/udev/rules.d/80-movidius.rules && sudo udevadm control --reload-rules && sudo udevadm trigger; "
    "then plug the camera in again"
)
IN_USE = "end the other program that uses it (the agent of a hub may be one), or choose another camera by --device"
PLUGGED = "look at its cable and its power, and see whether `oakmill devices` lists it"
BUSY = "X_LINK_DEVICE_ALREADY_IN_USE"
FORBIDDEN = "X_LINK_INSUFFICIENT_PERMISSIONS"

_KINDS: tuple[tuple[type[DeviceError], str, str, tuple[str, ...]], ...] = (
    (DeviceInUse, "is used by another program", IN_USE, ("used by another process", BUSY, "X_LINK_ALREADY_OPEN")),
    (NotPermitted, "may not be used by this user", UDEV, (FORBIDDEN, "nsufficient permissions", "udev rules")),
    (NoDevice, "is not there", PLUGGED, ("No available devices", "Cannot find any device", "X_LINK_DEVICE_NOT_FOUND")),
    (
        DeviceLost, "has vanished", PLUGGED,
        ("Communication exception", "Couldn't read data", "Couldn't write data", "already closed or disconnected",
         "MessageQueue was closed", "X_LINK_COMMUNICATION", "X_LINK_ERROR"),
    ),
)  # fmt: skip
"""What depthai 3.12 says, as its library holds the words, and what it is of ours."""


USB = Path("/dev/bus/usb")
"""Where Linux has its USB devices; it is not there in a container that was not given it."""


def load() -> Any:
    """depthai, which takes a second; nothing of it is loaded before a camera is wanted.

    It writes warnings to the terminal in its own form, unless the user asks for its words: what matters of them is said
    in ours.
    """
    os.environ.setdefault("DEPTHAI_LEVEL", "error")  # noqa: TID251 - the library reads it when it is loaded
    import depthai

    return depthai


def searched() -> str:
    """Where cameras are looked for on this machine, for the end of a sentence."""
    if sys.platform != "linux" or USB.exists():
        return "at this machine's USB and in its network"
    return (
        "in this machine's network alone, as it has no USB: there is no /dev/bus/usb, which a container gets by "
        "-v /dev/bus/usb:/dev/bus/usb --device-cgroup-rule='c 189:* rmw'"
    )


@contextmanager
def words_apart() -> Iterator[None]:
    """While it lasts, what depthai's library writes to the standard output goes to the standard error.

    The standard output is for results, which other programs read. Python's own output keeps its place.
    """
    try:
        own = sys.stdout.fileno()
    except (io.UnsupportedOperation, ValueError):  # the output is no file: depthai does not write into it
        yield
        return
    sys.stdout.flush()
    kept = os.dup(own)
    try:
        os.dup2(sys.stderr.fileno(), own)
        with os.fdopen(os.dup(kept), "w", buffering=1) as ours, redirect_stdout(ours):
            yield
    finally:
        os.dup2(kept, own)
        os.close(kept)


@contextmanager
def translated(camera: str) -> Iterator[None]:
    """Turn depthai's errors into ours, told of this camera.

    Raises:
        DeviceInUse, NotPermitted, NoDevice, DeviceLost: as their names say.
        DeviceError: depthai says something else; its words are kept.
    """
    try:
        yield
    except DeviceError:
        raise
    except Exception as error:
        if not _is_of_depthai(error):
            raise
        raise of_words(str(error), camera) from error


def of_words(said: str, camera: str) -> DeviceError:
    """Our error for what depthai says."""
    for kind, words, remedy, marks in _KINDS:
        if any(mark in said for mark in marks):
            return kind(f"{camera} {words}: depthai says: {said}", subject=camera, remedy=remedy, log=said)
    return DeviceError(f"depthai says of {camera}: {said}", subject=camera, remedy=PLUGGED, log=said)


def _is_of_depthai(error: Exception) -> bool:
    """pybind11 raises RuntimeError for what C++ throws; a queue's own error is a class of depthai's."""
    return type(error) is RuntimeError or type(error).__name__ in (
        "QueueException", "XLinkError", "XLinkReadError", "XLinkWriteError", "EepromError",
    )  # fmt: skip
