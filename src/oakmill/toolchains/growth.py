"""How far an installation is: megabytes that are downloaded and then unpacked, and the files that are compiled."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from oakmill.processes.events import ToolEvent, Watcher

SIZES_MB: Mapping[str, int] = {
    "rvc2/openvino-2022.2.0": 209,
    "rvc2/mo-2022.2.0": 320,
    "rvc3/openvino-2022.3.2": 250,
    "rvc3/nncf-3.4.0": 403,
    "rvc3/pot-2022.3.2": 449,
    "rvc4/qairt-2.51": 449,
    "import/huggingface-hub-2.4.0": 20,
    "import/hubai-sdk-0.3.4": 200,
    "quantizers/aimet-2.42.0": 1760,
    "sources/tf2onnx-1.17.0": 131,
    "sources/torch-2.13.0": 919,
    "sources/ultralytics-8.4.190": 1127,
}
"""What each environment takes on the disk, by its name; measured when its lock was made."""
MB = 1_000_000
TESTS = "/site-packages/.*/tests?/"
"""Where packages keep their tests, which are not compiled: a pattern of paths."""
PACKED = 0.35
"""What a wheel has of the files in it, by its bytes: uv unpacks while it downloads."""
_BEGUN = re.compile(r"Downloading (\S+) \(([\d.]+)([KMG]?)iB\)")
_ENDED = re.compile(r" ?Downloaded (\S+)")
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


@dataclass
class Growth:
    """Listens to an installation, and tells on what it hears, with how far it is in between.

    `size_mb` is what the environment will take, 0 where nobody knows; `made` is where it is being made, and in
    `arriving` uv unpacks what it downloads.
    """

    name: str
    watch: Watcher
    size_mb: int = 0
    made: Path | None = None
    arriving: Path | None = None
    _began: float = field(default_factory=time.time)
    _sizes: dict[str, float] = field(default_factory=dict)
    _had: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, name: str, made: Path, watch: Watcher) -> Growth:
        """Of the environment of that name, which is being made in a folder."""
        return cls(name, watch, SIZES_MB.get(name, 0), made, _uv_cache())

    def hear(self, event: ToolEvent) -> None:
        """A line of the installer's, which may say that a package begins or has come."""
        self.watch(event)
        if begun := _BEGUN.search(event.line):
            self._sizes[begun[1]] = float(begun[2]) * _UNITS[begun[3]] / MB
        elif ended := _ENDED.fullmatch(event.line.rstrip()):
            self._had.add(ended[1])
        else:
            return
        self._tell("downloading", self._whole, self._all)

    def written(self, count: int) -> None:
        """How many bytes lie in the environment's place; asked about once a second, also while all is on its way."""
        if self._had < self._sizes.keys():
            on_its_way = min(PACKED * sum(self._unpacked()) / MB, 0.99 * (self._all - self._whole))
            self._tell("downloading", self._whole + on_its_way, self._all)
            return
        modules, compiled = self._modules()
        if compiled:  # this takes the longest, and hardly adds to the size
            self._tell("compiling", min(compiled, modules), modules, "modules")
        elif self.size_mb and count > MB:
            self._tell("unpacking", min(count / MB, 0.99 * self.size_mb), self.size_mb)

    def _modules(self) -> tuple[int, int]:
        """How many modules of Python are there, without packages' tests, and how many of them compiled."""
        below = os.walk(self.made / "lib") if self.made else ()
        names = [name for folder, _, found in below if not re.search(TESTS, f"{folder}/") for name in found]
        return sum(name.endswith(".py") for name in names), sum(name.endswith(".pyc") for name in names)

    @property
    def _whole(self) -> float:
        """Megabytes of the packages that have come."""
        return sum(self._sizes[name] for name in self._had & self._sizes.keys())

    @property
    def _all(self) -> float:
        return sum(self._sizes.values())

    def _unpacked(self) -> Iterator[int]:
        """Bytes of what uv has begun to unpack since we began."""
        for place in self.arriving.glob(".tmp*") if self.arriving else ():
            with suppress(OSError):  # it is moved while we look
                if place.stat().st_mtime >= self._began - 1:
                    yield from _sizes_below(place)

    def _tell(self, what: str, done: float, total: float, unit: str = "MB") -> None:
        words = f"{what} {self.name}"
        self.watch(ToolEvent(done=round(done), total=max(round(total), 1), what=words, unit=unit))


def _sizes_below(folder: Path) -> Iterator[int]:
    for below, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                yield os.lstat(Path(below, name)).st_size


def _uv_cache() -> Path:
    """Where uv keeps what it downloads."""
    named = os.environ.get("UV_CACHE_DIR")  # noqa: TID251 - uv's own
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"  # noqa: TID251 - so
    return Path(named) if named else Path(home) / "uv"
