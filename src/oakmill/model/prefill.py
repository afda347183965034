"""Turns an NN Archive's preprocessing into input specs, and lets the user's values win over them.

What the config.json of an archive means for a conversion, input by input. The schema is
luxonis_ml.nn_archive's; the reading is that of Luxonis' modelconverter, whose results users compare ours
with.

- `shape` is the shape; a shape without batch gets a batch of 1; one with a dimension below 1 says
  nothing.
- `layout` is the layout. Where its channels are neither 1 nor 3, and those of NHWC (a `dai_type` that
  ends in i) or NCHW (in p) are, that one is it: older versions wrote NCHW by default.
- `preprocessing.mean` and `scale` are mean_values and scale_values, in the order of the model's channels.
  All 0 and all 1 mean that there is nothing to embed, and are left out.
- `dai_type` RGB... means that the model takes RGB: encoding_from RGB, and encoding_to BGR as cameras give
  it. BGR... is BGR from and to. An input of one channel is GRAY from and to, whatever else is said.
- `reverse_channels` true is as RGB, false as BGR: deprecated since 0.5.0, so only where dai_type says
  nothing.
- `input_type` raw, and channels other than 1 and 3, are encoding NONE from and to.

Nothing else is read: `interleaved_to_planar` repeats the layout; `dtype` and `resize_mode` are nothing to
embed. The values exist once, in the merged spec, and are embedded from there alone: no value is applied
twice when the user repeats one that the archive gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from oakmill.errors import BrokenModel, SpecError
from oakmill.model.source import Tensor
from oakmill.spec import Encoding, InputSpec, wrong

_PREPROCESSING = {"mean_values", "scale_values", "encoding_from", "encoding_to"}
_COLOURS = {Encoding.RGB, Encoding.BGR}
_PAIRS = {
    "RGB": (Encoding.RGB, Encoding.BGR),
    "BGR": (Encoding.BGR, Encoding.BGR),
    "GRAY": (Encoding.GRAY, Encoding.GRAY),
    "NONE": (Encoding.NONE, Encoding.NONE),
}


@dataclass(frozen=True)
class Merged:
    """The inputs to convert with; `origins` says of each `name.field`: from user, archive, recognised or model."""

    inputs: tuple[InputSpec, ...]
    origins: dict[str, str]


def prefill(archive: Mapping[str, Any] | None, inputs: tuple[Tensor, ...]) -> tuple[InputSpec, ...]:
    """One spec for each input of the model, in its order, with what the archive's config says of it.

    Args:
        archive: `SourceModel.archive`; None gives specs that hold the names alone.
        inputs: `SourceModel.inputs`.

    Raises:
        BrokenModel: the config describes an input that the model does not have, or another shape of it.
    """
    described = {item["name"]: item for item in archive["model"]["inputs"]} if archive else {}
    unknown = set(described) - {tensor.name for tensor in inputs}
    if unknown:
        names = ", ".join(repr(tensor.name) for tensor in inputs)
        name = min(unknown)
        raise BrokenModel(f"config.json describes the input {name!r}, but the model's inputs are {names}", subject=name)
    return tuple(_prefilled(described.get(tensor.name), tensor) for tensor in inputs)


def merge_inputs(
    asked: tuple[InputSpec, ...], prefilled: tuple[InputSpec, ...], recognised: Mapping[str, Any] | None = None
) -> Merged:
    """Lay what the user asked over what `prefill` found; values that neither states are left to the model.

    Args:
        asked: the user's.
        prefilled: the archive's, a spec for each input.
        recognised: what is known of the only input's preprocessing, where neither says anything of that.

    Raises:
        SpecError: an input is asked for that the model does not have, or the values contradict one another.
    """
    wanted = _by_name(asked, [item.name for item in prefilled])
    merged, origins = [], {}
    for item in prefilled:
        mine = _stated(wanted[item.name]) if item.name in wanted else {}
        theirs = _compatible(_stated(item), mine)
        known = (
            dict(recognised or {}) if len(prefilled) == 1 and not _PREPROCESSING & (mine.keys() | theirs.keys()) else {}
        )
        merged.append(_joined(item.name, known | theirs | mine))
        for field in InputSpec.model_fields.keys() - {"name"}:
            said = (("user", mine), ("archive", theirs), ("recognised", known))
            origin = next((origin for origin, values in said if field in values), "model")
            origins[f"{item.name}.{field}"] = origin
    return Merged(tuple(merged), origins)


def _prefilled(described: Mapping[str, Any] | None, tensor: Tensor) -> InputSpec:
    values = {"name": tensor.name} | (_values(described, tensor) if described else {})
    try:
        return InputSpec.model_validate(values)
    except ValidationError as error:
        message = f"config.json describes input {tensor.name!r} wrongly: {wrong.first_of(error.errors())[1]}"
        raise BrokenModel(message, subject=tensor.name) from error


def _values(described: Mapping[str, Any], tensor: Tensor) -> dict[str, Any]:
    preprocessing = described["preprocessing"]
    shape, layout = _with_batch(list(described["shape"]), described["layout"], tensor)
    layout = _fitting_layout(shape, layout, preprocessing.get("dai_type") or "")
    encodings = _encodings(described["input_type"], preprocessing, _channels(shape, layout))
    return {
        "shape": _checked_shape(shape, tensor),
        "layout": layout,
        "mean_values": _unless_all(0, preprocessing.get("mean")),
        "scale_values": _unless_all(1, preprocessing.get("scale")),
        "encoding_from": encodings[0],
        "encoding_to": encodings[1],
    }


def _with_batch(shape: list[int], layout: str, tensor: Tensor) -> tuple[list[int], str]:
    """The shape and layout with a batch of one, where the config leaves out the batch that the model has."""
    if "N" not in layout and len(shape) == len(tensor.shape) - 1:
        return [1, *shape], f"N{layout}"
    return shape, layout


def _fitting_layout(shape: list[int], layout: str, dai_type: str) -> str:
    """The layout, unless its channels cannot be right and those of the dai_type are."""
    implied = {"i": "NHWC", "p": "NCHW"}.get(dai_type[-1:], layout)
    fits = _channels(shape, implied) in {1, 3} and _channels(shape, layout) not in {1, 3}
    return implied if fits else layout


def _channels(shape: list[int], layout: str) -> int | None:
    return shape[layout.index("C")] if "C" in layout and len(layout) == len(shape) else None


def _checked_shape(shape: list[int], tensor: Tensor) -> tuple[int, ...] | None:
    if any(size < 1 for size in shape):
        return None
    same_rank = len(shape) == len(tensor.shape)
    if not same_rank or any(isinstance(of, int) and of != size for size, of in zip(shape, tensor.shape, strict=True)):
        theirs = list(tensor.shape)
        message = f"config.json gives input {tensor.name!r} the shape {shape}, but in the model it is {theirs}"
        raise BrokenModel(message, subject=tensor.name, remedy="Correct the shape in config.json.")
    return tuple(shape)


def _encodings(
    input_type: str, preprocessing: Mapping[str, Any], channels: int | None
) -> tuple[Encoding | None, Encoding | None]:
    """From and to, as the table above has it; None where the config says nothing of colours."""
    if input_type != "image" or channels not in {1, 3}:
        return _PAIRS["NONE"]
    if channels == 1:
        return _PAIRS["GRAY"]
    dai_type = preprocessing.get("dai_type") or ""
    for colours in ("RGB", "BGR"):
        if dai_type.startswith(colours):
            return _PAIRS[colours]
    reverse = preprocessing.get("reverse_channels")
    return (None, None) if reverse is None else _PAIRS["RGB" if reverse else "BGR"]


def _unless_all(identity: float, values: list[float] | None) -> tuple[float, ...] | None:
    return None if not values or all(value == identity for value in values) else tuple(values)


def _by_name(asked: tuple[InputSpec, ...], names: list[str | None]) -> dict[str | None, InputSpec]:
    if len(asked) == 1 and asked[0].name is None and len(names) == 1:
        return {names[0]: asked[0]}
    for item in asked:
        if item.name not in names:
            what = "several inputs, so each needs its name" if item.name is None else f"no input {item.name!r}"
            known = ", ".join(repr(name) for name in names)
            raise SpecError(f"the model has {what}: its inputs are {known}", subject=item.name or "")
    return {item.name: item for item in asked}


def _stated(item: InputSpec) -> dict[str, Any]:
    return item.model_dump(exclude_none=True, exclude={"name"})


def _compatible(theirs: dict[str, Any], mine: dict[str, Any]) -> dict[str, Any]:
    """The archive's values without the encoding that the user's other one rules out (GRAY to BGR, say)."""
    for field, other in (("encoding_from", "encoding_to"), ("encoding_to", "encoding_from")):
        if field in mine and other in theirs and (mine[field] in _COLOURS) != (theirs[other] in _COLOURS):
            theirs = {key: value for key, value in theirs.items() if key != other}
    return theirs


def _joined(name: str | None, values: dict[str, Any]) -> InputSpec:
    try:
        return InputSpec.model_validate({"name": name} | values)
    except ValidationError as error:
        message = f"what is asked of input {name!r} does not fit together: {wrong.first_of(error.errors())[1]}"
        raise SpecError(message, subject=name or "") from error
