"""What blobconverter's client asks, in our spec's words: its form, and its model.yml with the optimizer's arguments."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml
from pydantic import Field

from oakmill.compat.wire import Asked, Json
from oakmill.errors import SpecError, UnsupportedModel
from oakmill.spec import plain_yaml

FRAMEWORKS = ("onnx", "dldt")
_SAME = "2022.1"
"""What its client asks for by itself: the compiler of 2022.2 writes the same version into a blob."""
_OF_ITS_SERVER = ("--data_type", "--input_model", "--input_proto", "--framework", "--output_dir", "--model_name")
_PRECISION = "FP16"
_DEEPEST = 16
_COLOURS = 3


class Query(Asked):
    """The address' parameters; its client writes booleans as Python does."""

    version: str = Field(_SAME, max_length=32)
    no_cache: bool = False
    dry: bool = False
    quantization_domain: str = ""


class Form(Asked):
    """The form's fields."""

    name: str = Field("", max_length=200)
    myriad_shaves: int = Field(6, ge=1, le=16)
    myriad_params_advanced: str = Field("-ip U8", max_length=2000)
    data_type: str = Field(_PRECISION, max_length=16)
    download_ir: bool = False
    zoo_type: str = Field("", max_length=32)
    use_zoo: bool = False


def require_possible(query: Query, form: Form) -> None:
    """Refuse what there is not here.

    Raises:
        SpecError, UnsupportedModel: there is none of it.
    """
    if not form.name:
        raise SpecError('Parameter "name" is empty!')
    if form.use_zoo:
        raise UnsupportedModel(
            "There is no zoo of models here.", remedy="Send the model itself: from_onnx, from_openvino."
        )
    if query.dry or form.download_ir:
        what = "dry" if query.dry else "download_ir"
        raise SpecError(f"{what}: this hub answers with blobs alone.", remedy=f"Omit {what}.")
    if "RVC3" in query.version:
        raise SpecError("There is no compiler for RVC3 here.", remedy="Convert with oakmill convert --to rvc3: an IR.")
    if form.data_type != _PRECISION:
        raise SpecError(f"data_type: a blob's floats are {_PRECISION}, not {form.data_type}.", remedy="Omit data_type.")


def arguments_of(config: bytes) -> list[str]:
    """The Model Optimizer's arguments in a model.yml.

    Raises:
        SpecError: it is none.
        UnsupportedModel: it is of a framework that is not converted.
    """
    try:
        plain_yaml.check(config, yaml.SafeLoader, _DEEPEST)
        document = yaml.safe_load(config)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise SpecError(f"config is no YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(document, dict):
        raise SpecError("config is no model.yml.")
    framework = document.get("framework")
    if framework not in FRAMEWORKS:
        raise UnsupportedModel(
            f"Models of the framework {framework!r} are not converted here.",
            remedy="Export the model to ONNX, and send that: from_onnx.",
        )
    words = document.get("model_optimizer_args") or []
    if not isinstance(words, list):
        raise SpecError("model_optimizer_args is no list.")
    return [str(word) for word in words if str(word).partition("=")[0] not in _OF_ITS_SERVER]


def values(query: Query, form: Form, arguments: Sequence[str], inputs: Sequence[Mapping[str, Any]]) -> Json:
    """The parameters of our spec; `inputs` are the model's own.

    The blob takes colours as the model was trained on them, unless the arguments reverse them, as its server made it.
    """
    said = dict(_said(arguments))
    rest = [word for word in arguments if word.partition("=")[0] not in _READ or _names_inputs(word)]
    found: Json = {
        "blob": True,
        "output_format": "native",
        "number_of_shaves": form.myriad_shaves,
        "compile_tool_args": shlex.split(form.myriad_params_advanced),
        "inputs": [_input(item, said, alone=len(inputs) == 1) for item in inputs],
        "mo_args": rest,
    }
    return found if query.version == _SAME else {**found, "ir_version": query.version}


_READ = ("--mean_values", "--scale_values", "--scale", "--reverse_input_channels", "--input_shape")
_NAMED = re.compile(r"=.*[A-Za-z_][\w/:.]*[\[(]")


def _names_inputs(word: str) -> bool:
    """Whether values are given by the inputs' names, as the Model Optimizer itself reads them."""
    return bool(_NAMED.search(word))


def _said(arguments: Sequence[str]) -> Iterator[tuple[str, Any]]:
    for word in arguments:
        name, _, value = word.partition("=")
        if name not in _READ or _names_inputs(word):
            continue
        yield name, True if name == "--reverse_input_channels" else _numbers(name, value)


def _numbers(name: str, value: str) -> list[float]:
    try:
        return [float(item) for item in value.strip("[]() ").split(",")]
    except ValueError:
        raise SpecError(f"{name} is {value[:80]!r}, and no numbers.", subject=name) from None


def _input(item: Mapping[str, Any], said: Mapping[str, Any], *, alone: bool) -> Json:
    found: Json = {"name": item["name"]}
    if alone and "--input_shape" in said:
        found["shape"] = [int(size) for size in said["--input_shape"]]
    shape = found.get("shape") or item["shape"]
    if len(shape) != len("NCHW"):
        return found
    if said.get("--mean_values"):
        found["mean_values"] = said["--mean_values"]
    if scale := said.get("--scale_values") or said.get("--scale"):
        found["scale_values"] = scale
    if _COLOURS in (shape[1], shape[3]):
        found |= {"encoding_from": "RGB" if said.get("--reverse_input_channels") else "BGR", "encoding_to": "BGR"}
    return found
