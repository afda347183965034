"""Reads arguments as OpenVINO's Model Optimizer takes them; only what is known to be safe is passed on.

mo imports Python files and loads libraries that its arguments name (--extensions, --transformations_config), imports
from the current folder (--use_legacy_frontend), writes outside its folder (--model_name ../x) and takes abbreviations
(--ext) and glued values (-o/tmp/x). So an option is passed on under its full name alone.
Source: utils/cli_parser.py of openvino-dev 2022.2.0 and 2022.3.2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from oakmill.errors import ArgumentRefused
from oakmill.toolchains.arguments import Option, flag, option, parse, refused

_NAME = r"[^\s\[\](){},>\-][^\s\[\](){},>]{0,199}"
_NUMBER = r"-?(?:\d+\.?\d*|\.\d+)"
_SIZES = r"\d{1,6}(?:, ?\d{1,6})*"


def _listed(item: str) -> str:
    return f"{item}(?:,{item})*"


def _bracketed(inner: str) -> str:
    return rf"(?:\[{inner}\]|\({inner}\))"


_VALUES = _listed(f"(?:{_NAME})?" + _bracketed(_NUMBER + f"(?:, ?{_NUMBER})*"))
_SHAPES = _listed(_bracketed(_SIZES))
_INPUTS = _listed(rf"{_NAME}(?:\[\d{{1,6}}(?:[ ,]\d{{1,6}})*\])?(?:\{{f32\}})?")

_OURS = "the conversion sets it"
_CODE = "it makes mo run code from a file"
_OTHER = "it is for other formats than ONNX"
_NO_STATE = "a network that keeps state from image to image cannot be proved image by image"
_LAYOUT = "the layout is told to mo by Oakmill; give it as --layout NAME=NCHW"
_TURNED = 'for another layout on the camera, use --compile-tool-args "-il NHWC"'
_FIXED = "it makes mo use its old reader, which imports files from the current folder; store the value in the model"

_PASSED_ON: dict[str, Option] = {
    "--data_type": option("FP16|FP32|half|float", "FP16 stores the weights in half the bits, FP32 as they are"),
    "--transform": option(r"Pruning", "Pruning; others change what the network's inputs and outputs are"),
    "--log_level": option("ERROR|WARN|WARNING|INFO|DEBUG|NOTSET", "ERROR, WARNING, INFO or DEBUG"),
    "--silent": flag("print errors only"),
    "--progress": flag("print progress"),
    "--stream_output": flag("print progress in lines"),
    "--static_shape": flag("fold what computes shapes; they are fixed anyway"),
    "--disable_weights_compression": flag("deprecated, does nothing"),
    "--disable_fusing": flag("deprecated, does nothing"),
    "--disable_resnet_optimization": flag("deprecated, does nothing"),
    "--enable_concat_optimization": flag("deprecated, does nothing"),
}
_READ: dict[str, Option] = {
    "--mean_values": option(_VALUES, "[123.675,116.28,103.53], or NAME[...],NAME[...]"),
    "--scale_values": option(_VALUES, "[58.395,57.12,57.375], or NAME[...],NAME[...]"),
    "--scale": option(_NUMBER, "one number that all inputs are divided by"),
    "--reverse_input_channels": flag("take BGR where the model was trained on RGB, or the other way round"),
    "--input": option(_INPUTS, "the names of all inputs, with shapes where they are open: image[1 3 224 224]"),
    "--input_shape": option(_SHAPES, "[1,3,224,224], one for each of --input"),
    "--output": option(_listed(_NAME), "names of the tensors or nodes that the network is to end at"),
    "--compress_to_fp16": option("True|False", "True or False"),
}
_REFUSED: dict[str, str] = {
    **dict.fromkeys(("--input_model", "-m", "-w", "--output_dir", "-o", "--model_name", "-n", "--framework"), _OURS),
    **dict.fromkeys(("--extensions", "--transformations_config", "--caffe_parser_path", "-k"), _CODE),
    **dict.fromkeys(("--layout", "--source_layout"), _LAYOUT),
    "--target_layout": _TURNED,
    "--batch": "a camera gives one image at a time; give the whole shape as --shape NAME=1,3,H,W",
    "--use_legacy_frontend": "it makes mo import files from the current folder",
    "--use_new_frontend": "mo uses that reader for ONNX anyway",
    "--freeze_placeholder_with_value": _FIXED,
    "--finegrain_fusing": "it is deprecated and takes a regular expression, which can run for ever",
    **dict.fromkeys(("-h", "--help", "--version"), "it prints a text and converts nothing"),
    "-s": "write it in full: --scale",
    "-ms": "write it in full: --mean_values",
    "-b": "write it in full, and as --shape NAME=1,3,H,W",
    **dict.fromkeys(
        (
            "--input_proto", "-d", "--mean_file", "-mf", "--mean_file_offsets", "-mo", "--disable_omitting_optional",
            "--enable_flattening_nested_params", "--input_model_is_text", "--input_checkpoint", "--input_meta_graph",
            "--saved_model_dir", "--saved_model_tags", "--tensorflow_custom_operations_config_update",
            "--tensorflow_use_custom_operations_config", "--tensorflow_object_detection_api_pipeline_config",
            "--tensorboard_logdir", "--tensorflow_custom_layer_libraries", "--disable_nhwc_to_nchw", "--input_symbol",
            "--nd_prefix_name", "--pretrained_model_name", "--save_params_from_nd", "--legacy_mxnet_model",
            "--enable_ssd_gluoncv", "--counts", "--remove_output_softmax", "--remove_memory",
        ),
        _OTHER,
    ),
}  # fmt: skip
KNOWN: dict[str, Option] = {**_PASSED_ON, **_READ, **{name: refused(why) for name, why in _REFUSED.items()}}
"""All options of mo, each with the form of its value or the reason why it is refused."""

_PREPROCESSING = ("--mean_values", "--scale_values", "--scale", "--reverse_input_channels")


@dataclass(frozen=True)
class MoOptions:
    """What a user's mo arguments ask for; empty where they are silent.

    `shapes`, `means` and `scales` are by the input's name, which is "" where the user gave none; `others` are passed
    on as they are.
    """

    inputs: tuple[str, ...] = ()
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    means: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    scales: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    scale: str = ""
    reverse: bool = False
    others: tuple[tuple[str, str | None], ...] = ()

    @property
    def preprocess(self) -> bool:
        """Whether mo is to embed preprocessing."""
        return bool(self.means or self.scales or self.scale or self.reverse)

    @property
    def compress(self) -> bool:
        """Whether the weights are to be stored in FP16."""
        return any(name == "--data_type" and value in ("FP16", "half") for name, value in self.others)


def read(arguments: Sequence[str]) -> MoOptions:
    """Check mo arguments and say what they ask for.

    `--compress_to_fp16`, which came with 2022.3, becomes the `--data_type` of 2022.2.

    Raises:
        ArgumentRefused: an argument is unknown, unsafe, set by the conversion itself, or malformed.
    """
    words = [f"{word}=True" if word == "--compress_to_fp16" else word for word in arguments]
    given = dict(parse("mo", words, KNOWN))
    _require_alone(given, "--scale", "--scale_values")
    _require_alone(given, "--compress_to_fp16", "--data_type")
    others = [(name, value) for name, value in given.items() if name in _PASSED_ON]
    if "--compress_to_fp16" in given:
        others.append(("--data_type", "FP16" if given["--compress_to_fp16"] == "True" else "FP32"))
    inputs, shapes = _inputs(given)
    return MoOptions(
        inputs=inputs,
        shapes=shapes,
        outputs=tuple(filter(None, (given.get("--output") or "").split(","))),
        means=_values(given, "--mean_values"),
        scales=_values(given, "--scale_values"),
        scale=given.get("--scale") or "",
        reverse="--reverse_input_channels" in given,
        others=tuple(others),
    )


def _require_alone(given: Mapping[str, str | None], one: str, other: str) -> None:
    if one in given and other in given:
        raise ArgumentRefused(f"mo arguments {one!r} and {other!r} say the same", remedy="give one of them")


def _values(given: Mapping[str, str | None], option_name: str) -> dict[str, tuple[float, ...]]:
    """Mean or scale values by the input's name: `[1,2,3]`, or `a[1,2,3],b(4)`."""
    found: dict[str, tuple[float, ...]] = {}
    for name, text in re.findall(rf"({_NAME})?[\[(]([^\])]*)[\])]", given.get(option_name) or ""):
        if name in found or (found and "" in (name, *found)):
            raise ArgumentRefused(
                f"mo argument {option_name!r} does not say which values are whose",
                remedy="name each input once: left[1,2,3],right[4,5,6]",
            )
        found[name] = tuple(map(float, text.split(",")))
    return found


def _inputs(given: Mapping[str, str | None]) -> tuple[tuple[str, ...], dict[str, tuple[int, ...]]]:
    """The names of --input, and the shapes given there or by --input_shape."""
    names, shapes = [], {}
    for name, sizes in re.findall(rf"({_NAME})(?:\[([\d ,]+)\])?(?:{{f32}})?", given.get("--input") or ""):
        names.append(name)
        if sizes:
            shapes[name] = tuple(map(int, re.split("[ ,]", sizes)))
    listed = re.findall(r"[\[(]([\d, ]+)[\])]", given.get("--input_shape") or "")
    if not listed:
        return tuple(names), shapes
    if shapes or len(listed) != max(1, len(names)):
        raise ArgumentRefused(
            "mo arguments '--input' and '--input_shape' do not fit each other",
            remedy="give one shape for each name of --input, or none of them twice",
        )
    return tuple(names), {
        name: tuple(map(int, sizes.split(","))) for name, sizes in zip(names or [""], listed, strict=True)
    }
