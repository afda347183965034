"""Which QAIRT version may prepare a cache for which device, and what to do where it may not.

An HTP context made by version A loads in library B only if B is not older than A: measured with the libraries 2.47 to
2.51, each against the contexts of the others, and the same in Qualcomm's words ("HTP Offline Cache Records are
backward compatible in SNPE2"). A device that refuses the cache refuses the file; a file without one it prepares itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from oakmill.errors import SpecError, VersionNotAvailable
from oakmill.toolchains.rvc4.snpe_options import GRAPH_PREPARE

OLDEST_PUBLIC = "2.47"
"""The oldest QAIRT for Linux on x86-64 that a public Python package carries."""

_VERSION = re.compile(r"v?(\d+(?:\.\d+){1,3})")


def parts(version: str) -> tuple[int, ...]:
    """The numbers of a version: (2, 41, 0) for "2.41.0".

    Raises:
        SpecError: it is none.
    """
    found = _VERSION.fullmatch(version.strip())
    if found is None:
        raise SpecError(f"{version[:80]!r} is not a QAIRT version", remedy="write it as 2.41.0")
    return tuple(map(int, found[1].split(".")))


def newer(one: str, other: str) -> bool:
    """Whether `one` is newer than `other`; what only one of them states, such as a build date, says nothing."""
    first, second = parts(one), parts(other)
    common = min(len(first), len(second))
    return first[:common] > second[:common]


def same(one: str, other: str) -> bool:
    """Whether two versions are the same as far as both are stated: 2.41.0 and 2.41.0.251128."""
    return not newer(one, other) and not newer(other, one)


@dataclass(frozen=True)
class CachePolicy:
    """Whether a file gets a prepared cache; the oldest runtime that takes it, where that is known; and why."""

    cache: bool
    min_runtime: str | None
    why: str


def cache_policy(device_runtime: str | None, compiler: str, *, asked_by: Sequence[str] = ()) -> CachePolicy:
    """Whether the compiler, a QAIRT version, may prepare a cache for a device's QAIRT version.

    `asked_by` are arguments of snpe-dlc-graph-prepare that concern a cache alone.

    Raises:
        SpecError: the compiler is newer than the device, or arguments concern a cache and no device is stated.
    """
    if device_runtime is None:
        if asked_by:
            raise SpecError(
                f"{GRAPH_PREPARE} arguments {', '.join(asked_by)} concern the prepared cache, and none is made "
                "without a device runtime",
                remedy="state the QAIRT version on the device with --device-runtime, or omit them",
            )
        return CachePolicy(False, None, "no device runtime was stated; the device prepares the graph when it loads it")
    if newer(compiler, device_runtime):
        raise SpecError(
            f"A cache made by QAIRT {compiler} does not load on a device with QAIRT {device_runtime}: a library loads "
            "caches of its own version and of older ones only",
            subject=device_runtime,
            remedy=f"name an SDK of version {device_runtime} or older with --qairt-root, or omit --device-runtime: "
            "the file then has no cache, and the device prepares the graph when it loads it",
        )
    return CachePolicy(True, compiler, f"made by QAIRT {compiler} for a device with QAIRT {device_runtime}")


def version_not_available(
    version: str, installed: str, sdk_version: str | None = None, command: str = ""
) -> VersionNotAvailable:
    """The error for a SNPE/QAIRT version that can be had neither from the public package nor from the user's SDK.

    `installed` is the public package's version, `sdk_version` that of the SDK that the user named, if any; `command`
    installs the SDK of the version that was asked for.
    """
    if sdk_version is not None:
        return VersionNotAvailable(
            f"SNPE {version} was asked for, but the SDK that was named is {sdk_version}.",
            subject=version,
            remedy=f"Ask for --snpe-version {sdk_version}, or name an SDK of version {version} with --qairt-root.",
        )
    reason = f"only {installed} is installed here"
    if newer(OLDEST_PUBLIC, version):
        reason = f"no public package for Linux carries a QAIRT below {OLDEST_PUBLIC}"
    return VersionNotAvailable(
        f"SNPE {version} is not available: {reason}.",
        subject=version,
        remedy=f"{f'Install it: {command}. Or name' if command else 'Name'} your own Qualcomm SDK {version} with "
        f"--qairt-root; or omit --snpe-version: {installed} "
        "then makes a DLC without a prepared cache, which the device prepares when it loads it. That a device with "
        f"{version} does so is not proven.",
    )
