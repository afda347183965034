"""What the quantizers share: calibration samples, and the layers of an IR by their names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from frame import Refused, report

_NAMED = 12


class Samples:
    """The calibration samples, read from files as they are needed; `seen` is called with each one's index."""

    def __init__(self, files: dict[str, str], calibrating: int, seen: Callable[[int], None] | None = None) -> None:
        self._files = files
        self.calibrating = calibrating
        self._seen = seen or self._tell

    def __len__(self) -> int:
        return len(np.load(next(iter(self._files.values())), mmap_mode="r"))

    def __getitem__(self, index: int) -> dict[str, Any]:
        self._seen(index)
        # Mapped anew each time: what stays mapped counts as this process's memory.
        return {name: plain(np.load(file, mmap_mode="r")[index]) for name, file in self._files.items()}

    def _tell(self, index: int) -> None:
        report(index % self.calibrating + 1, self.calibrating, "images")


def plain(values: Any) -> Any:
    """One sample in memory; pixels, which are stored as bytes, as floats."""
    return np.array(values, np.float32 if values.dtype == np.uint8 else values.dtype)


def layers_to_ignore(model: str, names: list[str], types: list[str]) -> list[str]:
    """The names of an IR's layers that were asked for by their exact names or types.

    The Model Optimizer makes two layers of an ONNX node with a bias: NAME/WithoutBiases, and the addition, NAME.

    Raises Refused ("layers") where there is no such layer, with those that there are.
    """
    found = [(layer.get("name", ""), layer.get("type", "")) for layer in ElementTree.parse(model).iter("layer")]
    wanted: list[str] = []
    for name in names:
        own = [known for known, _ in found if known in (name, name + "/WithoutBiases")]
        if not own:
            raise Refused("layers", f"there is no layer {name!r}{_alike(name, found)}")
        wanted += own
    for kind in types:
        own = [known for known, type_ in found if type_ == kind]
        if not own:
            there = sorted({type_ for _, type_ in found} - {"Const", "Parameter", "Result", "Convert"})
            raise Refused("layers", f"there is no layer of type {kind!r}; there are {', '.join(there)}")
        wanted += own
    return sorted(set(wanted))


def _alike(name: str, found: list[tuple[str, str]]) -> str:
    from difflib import get_close_matches

    names = [known for known, type_ in found if type_ not in ("Const", "Convert", "Parameter", "Result")]
    close = get_close_matches(name, names, n=_NAMED, cutoff=0.5) or names[:_NAMED]
    return f"; close to it are {', '.join(close)}"


def written(target: str) -> dict[str, Any]:
    """The sizes of a written IR, in bytes."""
    return {"xml_bytes": Path(target).stat().st_size, "bin_bytes": Path(target).with_suffix(".bin").stat().st_size}
