"""What HubAI's clients say of a model's inputs, in all the spellings that there are, as our spec has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import AliasChoices, Field

from oakmill.compat.hubai.lists import Word
from oakmill.compat.wire import Asked, Json
from oakmill.errors import SpecError
from oakmill.registry.tables import Instance
from oakmill.registry.words import ModelType
from oakmill.spec import Encoding

_DEFAULT = (Encoding.RGB, Encoding.BGR)
"""What the client writes for every input of which nothing was said."""
_UNSAID = (_DEFAULT, (Encoding.GRAY, Encoding.GRAY))
"""The same, and what it makes of it where the dimension that it calls C is 1."""
_NUMBERED = ("CD", "CDE", "CDEF", "CDEFG", "CDEFGH")
STATED = "input_shape"
"""Among an instance's parameters: what the client's user said beside the model."""
_YOLO_SCALE = (255.0, 255.0, 255.0)
_BOOLEAN = {"boolean": "bool"}
_COLOURS = 3

Values = Annotated[list[float], Field(max_length=4096)]


class EncodingIn(Asked):
    """Colour orders; the client writes `from_`, its documents `from`."""

    came_as: Encoding = Field(Encoding.RGB, validation_alias=AliasChoices("from_", "from"))
    to: Encoding = Encoding.BGR


class InputIn(Asked):
    """One input. The client says input_name and encoding, its older one name, HubAI's schema encoding_from and _to."""

    input_name: Word | None = Field(None, validation_alias=AliasChoices("input_name", "name"))
    shape: Annotated[list[int], Field(max_length=6)] | None = None
    layout: Annotated[str, Field(max_length=6)] | None = None
    data_type: Word | None = None
    scale_values: Values | None = None
    mean_values: Values | None = None
    frozen_value: Any = None
    encoding: EncodingIn | Encoding | None = None
    encoding_from: Encoding | None = None
    encoding_to: Encoding | None = None
    reverse_input_channels: bool | None = None


def translate(asked: Sequence[InputIn], source: Instance, *, is_yolo: bool) -> list[Json]:
    """The inputs as our spec takes them; a YOLO's checkpoint takes pixels from 0 to 1, which HubAI does not say.

    Raises:
        SpecError: something is asked for that is not done here.
    """
    wanted = _without_weights(asked, source)
    found = [_input(item, source, is_yolo=is_yolo) for item in wanted]
    stated = _stated_shape(asked, source)
    if stated and found:
        found[0] |= {"shape": stated}
    elif stated:
        found = [{"shape": stated}]
    return found


def _without_weights(asked: Sequence[InputIn], source: Instance) -> list[InputIn]:
    """What the client says of the model's inputs; of an old ONNX it lists all weights among them, with all values."""
    own = {tensor["name"] for tensor in source.facts.get("inputs") or []}
    if source.model_type == ModelType.ONNX and own and own <= {item.input_name for item in asked}:
        return [item for item in asked if item.input_name in own]
    return list(asked)


def _stated_shape(asked: Sequence[InputIn], source: Instance) -> list[int] | None:
    """`input_shape`, which the client sends with the instance: its user's where it is not what the client read."""
    stated: list[int] = next(iter((source.parameters or {}).get(STATED) or ()), [])
    read = asked[0].shape if asked else None
    return stated if stated and stated != read and all(size > 0 for size in stated) else None


def _input(item: InputIn, source: Instance, *, is_yolo: bool) -> Json:
    if item.frozen_value is not None:
        raise SpecError("frozen_value: inputs are not frozen here.", remedy="Fold the constant into the model.")
    _require_own_type(item, source)
    shape, layout = _shape(item, source)
    values = {
        "name": item.input_name,
        "shape": shape,
        "layout": layout,
        "mean_values": item.mean_values or None,
        "scale_values": item.scale_values or (_YOLO_SCALE if is_yolo else None),
        **_encodings(item, shape, layout),
    }
    return {key: value for key, value in values.items() if value is not None}


def _require_own_type(item: InputIn, source: Instance) -> None:
    """The number format is the model's own; an NN Archive's config is the archive's business."""
    own = {tensor["name"]: tensor["dtype"] for tensor in source.facts.get("inputs") or []}
    theirs = _BOOLEAN.get(item.data_type or "", item.data_type)
    known = own.get(item.input_name)
    if theirs is not None and known is not None and theirs != known and not source.is_nn_archive:
        raise SpecError(
            f"data_type: the input {item.input_name!r} is {known}, and stays so; {item.data_type} was asked for.",
            subject="data_type",
            remedy="Omit it, or change the model.",
        )


def _shape(item: InputIn, source: Instance) -> tuple[list[int] | None, str | None]:
    """Shape and layout. For a .pt the client has only the image's height and width; open sizes ask for nothing."""
    shape, layout = item.shape or None, (item.layout or "").upper() or None
    if shape and source.model_type == ModelType.PYTORCH and layout == "CD" and len(shape) == 2:
        return [1, _COLOURS, *shape], "NCHW"
    layout = None if layout and _is_guess(layout) else layout
    if shape and any(size < 1 for size in shape):
        return None, layout
    return shape, layout


def _is_guess(layout: str) -> bool:
    """Whether the client numbered the dimensions through, as it does where it cannot tell what they are: CDEF, NCDE.

    It reads the shape before an open batch becomes 1, so an image's is among them. What is none has such a layout too,
    which says nothing either.
    """
    return layout.removeprefix("N") in _NUMBERED


def _encodings(item: InputIn, shape: list[int] | None, layout: str | None) -> Json:
    came_as, goes_as = _pair(item)
    if came_as is None and goes_as is None:
        return {}
    if layout is None and item.layout and (came_as, goes_as) in _UNSAID:
        return {}
    if shape and layout and len(shape) == len(layout) and not _fits(came_as, goes_as, shape, layout):
        return {}
    return {"encoding_from": came_as, "encoding_to": goes_as}


def _fits(came_as: Encoding | None, goes_as: Encoding | None, shape: Sequence[int], layout: str) -> bool:
    """Whether it was meant: clients write their default beside vectors, and GRAY beside all of one channel."""
    if "H" not in layout or "W" not in layout:
        return Encoding.NONE in (came_as, goes_as)
    channels = shape[layout.index("C")] if "C" in layout else 1
    return channels == _COLOURS or (came_as, goes_as) != _DEFAULT


def _pair(item: InputIn) -> tuple[Encoding | None, Encoding | None]:
    said = [item.encoding is not None, bool(item.encoding_from or item.encoding_to), bool(item.reverse_input_channels)]
    if sum(said) > 1:
        raise SpecError(
            "encoding, encoding_from and reverse_input_channels say the same.",
            subject="encoding",
            remedy="Keep one of them.",
        )
    if isinstance(item.encoding, EncodingIn):
        return item.encoding.came_as, item.encoding.to
    if item.encoding is not None:
        return item.encoding, item.encoding
    return _DEFAULT if item.reverse_input_channels else (item.encoding_from, item.encoding_to)
