"""Translates a configuration as users of Luxonis' modelconverter write it into the parameters of a conversion.

Source of the keys: modelconverter's configs/defaults.yaml and utils/config.py. Each key is taken, refused by its name
with the reason, or told in a note; none is passed over in silence. A key without a value says nothing, as there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from oakmill.errors import SpecError
from oakmill.spec.platforms import PLATFORMS
from oakmill.spec.preprocessing_rules import IMAGENET
from oakmill.spec.yaml_blocks import Place, Request
from oakmill.spec.yaml_values import checked, flag, given, mapping, sequence, text, whole

_MODIFIERS = (
    "shape", "layout", "data_type", "mean_values", "scale_values", "encoding", "reverse_input_channels", "calibration",
)  # fmt: skip
_INPUT_KEYS = ("name", *_MODIFIERS)
_OUTPUT_KEYS = ("name", "shape", "layout", "data_type")
_STAGE_KEYS = (
    *_MODIFIERS, "input_model", "input_bin", "inputs", "outputs", "disable_onnx_simplification", "onnx_simplification",
    "onnx_optimizations", "disable_onnx_optimizations", "keep_intermediate_outputs", "disable_calibration",
    "hailo",
)  # fmt: skip
_CALIBRATION_KEYS = ("path", "max_images", "resize_method")
_RESIZE = {"RESIZE": "stretch", "CROP": "crop", "PAD": "pad"}
_MOST_IMAGES = 65536


def translate(
    document: Mapping[str, Any], platform: str, place: Place, *, stage_name: str = "", prepares: bool = False
) -> Request:
    """What the document asks of a conversion to `platform`, for pydantic to check.

    Args:
        document: the configuration.
        platform: what is converted for.
        place: where its files are.
        stage_name: the stage that is meant, where there are several.
        prepares: whether the result gets a prepared cache.

    Raises:
        SpecError: a key is unknown, unsafe or cannot be carried out; it is named.
    """
    name, stage = _one_stage(document, stage_name)
    if "input_model" not in stage:
        raise SpecError("the configuration names no input_model", subject="input_model", remedy="add input_model: FILE")
    request = Request(place("input_model", text("input_model", stage["input_model"])), prepares=prepares)
    if "input_bin" in stage:
        request.weights = place("input_bin", text("input_bin", stage["input_bin"]))
    if name:
        request.values["name"] = name
    inputs = list(_inputs(stage, request))
    request.values["inputs"] = [values for values, _ in inputs]
    request.values["outputs"] = tuple(_outputs(stage, request))
    _simplification(stage, request)
    for key in set(PLATFORMS) & set(stage):
        checked(mapping(key, stage[key]), PLATFORMS[key].yaml_block.keys, key)
    block = given(mapping(platform, stage.get(platform) or {}))
    if "disable_calibration" in stage:
        block = {**block, "disable_calibration": stage["disable_calibration"]}
    PLATFORMS[platform].yaml_block.read(block, request, place)
    _calibration([calibration for _, calibration in inputs], platform, request, place)
    return request


def _one_stage(document: Mapping[str, Any], wanted: str) -> tuple[str, dict[str, Any]]:
    """The model's name and the keys of the stage that is meant, what stands above it filled in."""
    document = given(document)
    name = text("name", document.pop("name", "")) if document.get("name") else ""
    document.pop("rich_logging", None)  # how their log looks
    if "stages" not in document:
        return name, checked(document, (*_STAGE_KEYS, *PLATFORMS), "")
    stages = mapping("stages", document.pop("stages"))
    stage_name = wanted or next(iter(stages), "")
    if stage_name not in stages or (len(stages) > 1 and not wanted):
        raise _no_stage(stages, wanted)
    name, stage = "" if wanted else name, stages[stage_name]
    stage = given(mapping(f"stages.{stage_name}", stage))
    return name or str(stage_name), checked({**document, **stage}, (*_STAGE_KEYS, *PLATFORMS), "")


def _no_stage(stages: Mapping[str, Any], wanted: str) -> SpecError:
    names = ", ".join(stages) or "none"
    said = f"no stage {wanted!r}" if wanted else f"{len(stages)} stages"
    return SpecError(
        f"the configuration has {said} ({names}); converted is one model at a time",
        subject="stages",
        remedy=f"convert each alone, with its own images: {' and '.join(f'--stage {name}' for name in stages)}",
    )


def _inputs(stage: Mapping[str, Any], request: Request) -> Iterator[tuple[dict[str, Any], Mapping[str, Any] | str]]:
    """Each input as the spec has it, with its calibration; what is said of all inputs goes into each."""
    shared = {key: stage[key] for key in _MODIFIERS if key in stage}
    listed = [given(mapping("inputs", item)) for item in sequence("inputs", stage.get("inputs", []))]
    if not listed and not shared:
        return
    for item in listed or [{}]:
        if listed and "name" not in item:
            raise SpecError("an entry of inputs has no name", subject="inputs")
        mine = checked(item, _INPUT_KEYS, "inputs")
        if {"encoding", "reverse_input_channels"} & set(mine):
            inherited = {
                key: value for key, value in shared.items() if key not in ("encoding", "reverse_input_channels")
            }
        else:
            inherited = shared
        calibration = _joined_calibration(shared.get("calibration"), mine.get("calibration"))
        yield _input({**inherited, **mine}, request), calibration


def _joined_calibration(shared: Any, mine: Any) -> Mapping[str, Any] | str:
    for said in (mine, shared):
        if said == "random":
            return "random"
    parts = [checked(mapping("calibration", said), _CALIBRATION_KEYS, "calibration") for said in (shared, mine) if said]
    return {key: value for part in parts for key, value in part.items()}


def _input(said: Mapping[str, Any], request: Request) -> dict[str, Any]:
    values: dict[str, Any] = {key: said[key] for key in ("name",) if key in said}
    if "shape" in said:
        sizes = sequence("shape", said["shape"])
        values["shape"] = [1, *sizes[1:]] if sizes[:1] == [0] else sizes  # 0 is an open batch there
    if "layout" in said:
        values["layout"] = text("layout", said["layout"]).upper()
    for key, named in (("mean_values", IMAGENET.mean), ("scale_values", IMAGENET.scale)):
        if key in said:
            values[key] = _numbers(key, said[key], named)
    if "data_type" in said:
        request.note("data_type", "the model's own number formats stay")
    return {**values, **_encoding(said)}


def _numbers(key: str, value: Any, named: Sequence[float]) -> Sequence[Any]:
    """A list, one number for all channels, or the word imagenet."""
    if value == "imagenet":
        return named
    if isinstance(value, str):
        raise SpecError(f"{key}: {value!r} is neither numbers nor the word imagenet", subject=key)
    return [value] if isinstance(value, int | float) else sequence(key, value)


def _encoding(said: Mapping[str, Any]) -> dict[str, str]:
    if "encoding" in said and "reverse_input_channels" in said:
        raise SpecError(
            "encoding and reverse_input_channels say the same", subject="encoding", remedy="keep encoding alone"
        )
    if "reverse_input_channels" in said:
        came = "RGB" if flag("reverse_input_channels", said["reverse_input_channels"]) else "BGR"
        return {"encoding_from": came, "encoding_to": "BGR"}
    value = said.get("encoding")
    if not value:
        return {}
    if isinstance(value, str):
        return {"encoding_from": value.upper(), "encoding_to": value.upper()}
    pair = checked(mapping("encoding", value), ("from", "to"), "encoding")
    words = [text(f"encoding.{key}", pair.get(key, other)).upper() for key, other in (("from", "RGB"), ("to", "BGR"))]
    words = ["GRAY", "GRAY"] if "GRAY" in words else words
    return {"encoding_from": words[0], "encoding_to": words[1]}


def _outputs(stage: Mapping[str, Any], request: Request) -> Iterator[str]:
    for item in sequence("outputs", stage.get("outputs", [])):
        said = checked(given(mapping("outputs", item)), _OUTPUT_KEYS, "outputs")
        if "name" not in said:
            raise SpecError("an entry of outputs has no name", subject="outputs")
        for key in set(said) - {"name"}:
            request.note(f"outputs.{key}", "it follows from the model")
        yield text("outputs.name", said["name"])


def _simplification(stage: Mapping[str, Any], request: Request) -> None:
    off = "disable_onnx_simplification" in stage and flag(
        "disable_onnx_simplification", stage["disable_onnx_simplification"]
    )
    method = stage.get("onnx_simplification", "onnxslim")
    if off and method and "onnx_simplification" in stage:
        raise SpecError(
            "disable_onnx_simplification and onnx_simplification contradict each other", subject="onnx_simplification"
        )
    if method not in ("onnxsim", "onnxslim", False):
        raise SpecError(f"onnx_simplification is {method!r}; it can be onnxsim, onnxslim or false")
    if method == "onnxsim":
        request.note("onnx_simplification", "onnxslim does it")
    if off or method is False:
        request.values["disable_onnx_simplification"] = True
    for key in {"onnx_optimizations", "disable_onnx_optimizations"} & set(stage):
        request.note(key, "there are no such steps: the platform's own compiler does them")
    if stage.get("keep_intermediate_outputs"):
        request.note("keep_intermediate_outputs", "what lies between source and result is not kept")


def _calibration(said: Sequence[Mapping[str, Any] | str], platform: str, request: Request, place: Place) -> None:
    """The images that calibrate, one set for all inputs."""
    kinds: list[Mapping[str, Any] | str] = []
    for item in said:
        if item and item not in kinds:
            kinds.append(item)
    if not kinds:
        return
    if not PLATFORMS[platform].quantizes:
        request.note("calibration", f"{PLATFORMS[platform].title} quantizes nothing")
        return
    if len(kinds) > 1:
        raise SpecError(
            "the inputs have different calibration data",
            subject="calibration",
            remedy="put the data of all inputs into one folder, with a sub-folder for each input, and name that folder",
        )
    only = kinds[0]
    if isinstance(only, str):
        request.values["quantization_data"] = "random"
        request.note("calibration", "random pixels of Oakmill's own; accuracy suffers, and the passport tells how much")
        return
    _images(only, request, place)


def _images(said: Mapping[str, Any], request: Request, place: Place) -> None:
    if "path" in said:
        request.values["quantization_data"] = str(place("calibration.path", text("calibration.path", said["path"])))
        if "resize_method" not in said:
            request.values["resize"] = "stretch"
            request.note("calibration.resize_method", "RESIZE, as modelconverter does by itself: images are stretched")
    if "max_images" in said:
        count = whole("calibration.max_images", said["max_images"])
        if count >= 0 or "path" in said:  # below 0 means all of them
            request.values["max_quantization_images"] = _MOST_IMAGES if count < 0 else count
    if "resize_method" in said:
        method = text("calibration.resize_method", said["resize_method"]).upper()
        if method not in _RESIZE:
            raise SpecError(f"calibration.resize_method is {method!r}; it can be {', '.join(_RESIZE)}")
        request.values["resize"] = _RESIZE[method]
