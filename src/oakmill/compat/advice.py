"""What is told of refusals and failures, in the words of hubai-sdk: its users have no options of ours to set."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from oakmill.spec.flags import flag_of
from oakmill.spec.inputs import InputSpec
from oakmill.spec.platforms import PLATFORMS

_FLAG = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*\b(?: (?=[A-Z0-9\[]))?")
_KEYWORDS = {
    "target_precision": "quantization_mode",
    "class_names": "yolo_class_names",
    "blob": "superblob=False",
    **{
        name: name
        for name in (
            "quantization_data", "max_quantization_images", "number_of_shaves", "mo_args", "compile_tool_args",
            "pot_target_device", "snpe_onnx_to_dlc_args", "snpe_dlc_quant_args", "snpe_dlc_graph_prepare_args", "name",
        )
    },
    "ir_version": "tool_version",
    "snpe_version": "tool_version",
}  # fmt: skip
"""Our parameters that the client's functions have."""
_OPTIONS = {
    **{name: name for name in ("shape", "layout", "mean_values", "scale_values", "disable_onnx_simplification")},
    "encoding_from": "encoding",
    "encoding_to": "encoding",
}
"""Those that its `opts` may have, or its YAML."""
_ELSEWHERE = re.compile(r"--(?:debug-bundle|overwrite)\b")
"""What is said to who converts on their own machine: a hub packs the evidence itself, and overwrites nothing."""
_OF_THE_MACHINE = re.compile(r"--qairt-root\b|OAKMILL_|\boakmill [a-z]")
_OF_THE_OPERATOR = "the hub's operator can: "


def translated(text: str) -> str:
    """A text with the client's parameters in the place of our command line's options; raw tool arguments stay."""
    return _FLAG.sub(_replaced, text)


def _replaced(found: re.Match[str]) -> str:
    flag, space = found[0].rstrip(), found[0].endswith(" ")
    field = _flags().get(flag)
    if field is None:
        return found[0]
    word = parameter(field)
    return word + ("=" if space and "=" not in word else " " if space else "")


@cache
def _flags() -> Mapping[str, str]:
    """Our parameters by their options."""
    fields = {name: about for row in PLATFORMS.values() for name, about in row.spec.model_fields.items()}
    return {flag_of(name, about): name for name, about in {**fields, **InputSpec.model_fields}.items()}


def parameter(field: str) -> str:
    """What the client calls a parameter of ours; what it has none for stands on the hub's own pages."""
    if field in _KEYWORDS:
        return _KEYWORDS[field]
    return f'opts["{_OPTIONS[field]}"]' if field in _OPTIONS else f"the hub's own parameter {field}"


def remedies(failure: Mapping[str, Any]) -> Iterator[str]:
    """What helps against a failure, each on a line, with the values that it needs."""
    for remedy in failure.get("remedies") or ():
        if not _ELSEWHERE.search(str(remedy["text"])):
            yield f"Try: {' '.join(_said(remedy))}"


def _said(remedy: Mapping[str, Any]) -> Iterator[str]:
    text = translated(str(remedy["text"])).strip()
    text = f"{_OF_THE_OPERATOR}{text}" if _OF_THE_MACHINE.search(text) else text
    settings = [f"{name}={value}" for name, value in (remedy.get("settings") or {}).items()]
    if command := remedy.get("command"):
        yield f"{_OF_THE_OPERATOR}{command}"
        return
    yield text
    if settings:
        yield f"({_OF_THE_OPERATOR}set {', '.join(settings)})"
    if edit := remedy.get("edit"):
        yield f"({', '.join(_assigned(place, value) for place, value in edit.items())})"


def _assigned(place: str, value: Any) -> str:
    """One change, as the client's user writes it."""
    of_input, _, field = (
        place.removeprefix("inputs.").rpartition(".") if place.startswith("inputs.") else ("", "", place)
    )
    where = f" of the input {of_input}" if of_input not in ("", "*") else ""
    if value is None:
        return f"omit {parameter(field)}{where}"
    if isinstance(value, Mapping):
        return f"without {value['without']!r} in {parameter(field)}"
    word = parameter(field)
    return word if field == "blob" else f"{word}={value!r}{where}"
