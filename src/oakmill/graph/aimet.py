"""Reads AIMET's encodings: number formats by the tensor's name, found outside and brought along as JSON.

Forms 0.6 and 1.0 (https://quic.github.io/aimet-pages) state real = scale (stored + offset) on an unsigned grid, form
2.0 states scale and zero point as ONNX does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnx import ModelProto, TensorProto

from oakmill.errors import SpecError
from oakmill.graph.quantize import Encoding

_BITS = (4, 8, 16)
_LARGEST = 256 << 20
_EXPORT = "export the encodings with AIMET again, for this model"


@dataclass(frozen=True)
class Encodings:
    """What a file says of a model: the encodings that can be written, and the names of those that cannot, with why."""

    found: Mapping[str, Encoding]
    left_out: Mapping[str, str]


def read_encodings(path: Path, model: ModelProto) -> Encodings:
    """The encodings of a model's tensors.

    Raises:
        SpecError: the file is no encodings of AIMET's, or of another model's: not one of its names is a tensor here.
    """
    entries = list(_entries(_load(path), path))
    activations = {name for node in model.graph.node for name in node.output} | {v.name for v in model.graph.input}
    weights = {item.name for item in model.graph.initializer if item.data_type == TensorProto.FLOAT}
    channels = _channels(model)
    found: dict[str, Encoding] = {}
    left_out: dict[str, str] = {}
    for name, entry in entries:
        if name not in activations | weights:
            left_out[name] = "the prepared model has no tensor of that name"
            continue
        axis, count = channels.get(name, (None, 0))
        reason = _cannot(entry, is_weight=name in weights, channels=count)
        if reason:
            left_out[name] = reason
        else:
            found[name] = _encoding(entry, axis, is_weight=name in weights)
    if entries and not found and all(name not in activations | weights for name, _ in entries):
        raise SpecError(
            f"{path.name} holds encodings of another model: not one of its {len(entries)} names is a tensor of this "
            f"one (the first: {entries[0][0]!r})",
            subject=str(path),
            remedy=_EXPORT,
        )
    return Encodings(found, left_out)


def _load(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LARGEST:
            raise SpecError(f"{path.name} is larger than {_LARGEST >> 20} MB", subject=str(path), remedy=_EXPORT)
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise SpecError(f"{path.name} cannot be read: {error.strerror}", subject=str(path)) from error
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{path.name} is not JSON: {error}", subject=str(path), remedy=_EXPORT) from error
    if not isinstance(document, dict) or not {"activation_encodings", "param_encodings", "encodings"} & set(document):
        raise SpecError(f"{path.name} holds no encodings of AIMET's", subject=str(path), remedy=_EXPORT)
    return document


def _entries(document: dict[str, Any], path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(name, entry) in one form: bits, signed, scales, offsets (of either convention), kind."""
    try:
        for part in ("activation_encodings", "param_encodings", "encodings"):
            group = document.get(part) or ()
            if isinstance(group, dict):  # 0.6: a list of one entry for each channel, by name
                for name, channels in group.items():
                    yield str(name), _from_0_6(channels)
            else:
                for entry in group:
                    yield str(entry["name"]), _from_2_0(entry) if part == "encodings" else _from_1_0(entry)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        raise SpecError(
            f"{path.name} is not in a form of AIMET's that is known: {type(error).__name__}: {error}",
            subject=str(path),
            remedy=_EXPORT,
        ) from error


def _from_0_6(channels: list[dict[str, Any]]) -> dict[str, Any]:
    first = channels[0]
    return {
        "bits": int(first["bitwidth"]),
        "float": str(first.get("dtype", "int")).lower().startswith("float"),
        "symmetric": str(first.get("is_symmetric", "False")).lower() == "true",
        "scales": [float(channel.get("scale", 1)) for channel in channels],
        "zeros": [-int(channel.get("offset", 0)) for channel in channels],
    }


def _from_1_0(entry: dict[str, Any]) -> dict[str, Any]:
    return {
        "bits": int(entry["bw"]),
        "float": str(entry.get("dtype", "INT")).upper() == "FLOAT",
        "symmetric": bool(entry.get("is_sym", False)),
        "scales": [float(value) for value in entry.get("scale", [1])],
        "zeros": [-int(value) for value in entry.get("offset", [0])],
    }


def _from_2_0(entry: dict[str, Any]) -> dict[str, Any]:
    kind = str(entry["output_dtype"])
    scales = entry.get("y_scale", [1.0])
    scales = scales if isinstance(scales, list) else [scales]
    zeros = entry.get("y_zero_point") or [0] * len(scales)
    zeros = zeros if isinstance(zeros, list) else [zeros] * len(scales)
    bits = int("".join(filter(str.isdigit, kind)) or 0)
    signed = kind.startswith("int")
    shift = 1 << (bits - 1) if signed and bits else 0
    return {
        "bits": bits,
        "float": "float" in kind,
        "symmetric": signed and not any(zeros),
        "scales": [float(value) for value in scales],
        "zeros": [int(value) + shift for value in zeros],
    }


def _cannot(entry: dict[str, Any], *, is_weight: bool, channels: int) -> str:
    """Why an entry cannot be written; nothing where it can."""
    if entry["float"]:
        return "it keeps the tensor in floating point, which a quantized graph does not"
    if entry["bits"] not in _BITS or (entry["bits"] == 4 and not is_weight):
        return f"it has {entry['bits']} bits; a bias gets its encoding from input and weight"
    if entry["bits"] == 4 and not (entry["symmetric"] or len(entry["scales"]) > 1):
        return "it has 4 bits and an offset; weights of 4 bits are symmetric"
    return _misfit(entry["scales"], entry["zeros"], entry["bits"], channels)


def _misfit(scales: Sequence[float], zeros: Sequence[int], bits: int, channels: int) -> str:
    """What is wrong with scales and zero points; nothing where they are right."""
    if not scales or len(scales) != len(zeros):
        return f"it has {len(scales)} scales and {len(zeros)} offsets"
    if any(not 0 < scale < float("inf") for scale in scales):
        return "its scale is not a number above 0"
    if any(not 0 <= zero < 1 << bits for zero in zeros):
        return f"its offset is not within {bits} bits"
    if len(scales) > 1 and not channels:
        return "only weights of convolutions have one scale for each channel"
    if len(scales) > 1 and len(scales) != channels:
        return f"it has scales for {len(scales)} channels, the prepared model's tensor has {channels}"
    return ""


def _encoding(entry: dict[str, Any], axis: int | None, *, is_weight: bool) -> Encoding:
    bits, signed = entry["bits"], is_weight and (entry["symmetric"] or len(entry["scales"]) > 1)
    shift = 1 << (bits - 1) if signed else 0
    zeros = tuple(zero - shift for zero in entry["zeros"])
    several = len(entry["scales"]) > 1
    return Encoding(bits, tuple(entry["scales"]), zeros, axis if several else None, signed)


def _channels(model: ModelProto) -> dict[str, tuple[int, int]]:
    """The channel axis of each convolution's weight, and how many channels it has."""
    axes = {"Conv": 0, "ConvTranspose": 1}
    sizes = {item.name: item.dims for item in model.graph.initializer}
    found = {node.input[1]: axes[node.op_type] for node in model.graph.node if node.op_type in axes}
    return {name: (axis, sizes[name][axis]) for name, axis in found.items() if name in sizes}
