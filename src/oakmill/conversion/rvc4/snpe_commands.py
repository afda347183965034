"""The SNPE tools' command lines of a conversion to RVC4: those that say the same as was done, or those that are run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from oakmill.conversion.images.samples import SampleSet
from oakmill.conversion.prepare import Prepared
from oakmill.spec import Precision, Rvc4Spec
from oakmill.toolchains.rvc4 import snpe_spec
from oakmill.toolchains.rvc4.snpe_arguments import SnpeOptions
from oakmill.toolchains.rvc4.snpe_options import GRAPH_PREPARE, ONNX_TO_DLC, QUANT

_PIXELS_1_0 = {"bw": 8, "dtype": "INT", "enc_type": "PER_TENSOR", "is_sym": False, "scale": [1.0], "offset": [0]}
_WRITTEN = {ONNX_TO_DLC: "float.dlc", QUANT: "quantized.dlc"}


def convert_words(spec: Rvc4Spec, options: SnpeOptions, prepared: Prepared) -> list[str]:
    """For snpe-onnx-to-dlc: the prepared graph's boundary, and the user's own words."""
    words: list[str] = []
    for item in prepared.boundary:
        words += ["--input_dim", item.name, ",".join(map(str, item.shape))]
        if item.is_image:
            words += ["--input_layout", item.name, item.layout]
    for tensor in prepared.outputs:
        words += ["--out_node", tensor.name]
    given = options.words.get(ONNX_TO_DLC, ())
    if spec.target_precision is Precision.FP16_STANDARD and not {"--float_bitwidth", "--float_bw"} & set(given):
        words += ["--float_bitwidth", "16"]
    return [*words, *given]


def quant_words(spec: Rvc4Spec, options: SnpeOptions) -> list[str]:
    """For snpe-dlc-quant; the encodings of the pixels, and the user's, win over what it measures."""
    words = list(snpe_spec.quantizer_words(spec, options))
    return words if "--override_params" in words else [*words, "--override_params"]


def equal_commands(
    spec: Rvc4Spec, options: SnpeOptions, prepared: Prepared, artefact: str, *, cache: bool
) -> dict[str, list[str]]:
    """The tools' whole command lines, by the tool's name: each reads what the one before it writes."""
    quantized = not spec.target_precision.is_float
    steps: dict[str, list[str]] = {ONNX_TO_DLC: convert_words(spec, options, prepared)}
    if quantized:
        steps[ONNX_TO_DLC] = ["--quantization_overrides", "overrides.json", *steps[ONNX_TO_DLC]]
        steps[QUANT] = ["--input_list", "images.txt", *quant_words(spec, options)]
    if cache:
        steps[GRAPH_PREPARE] = list(snpe_spec.prepare_words(spec, options))
    source, found = ["--input_network", "prepared.onnx"], {}
    for tool, words in steps.items():
        written = artefact if tool == list(steps)[-1] else _WRITTEN[tool]
        target = "--output_path" if tool == ONNX_TO_DLC else "--output_dlc"
        found[tool] = [tool, *source, *words, target, written]
        source = ["--input_dlc", written]
    return found


def write_input_list(folder: Path, samples: SampleSet) -> Path:
    """Write each sample as raw float32, and the list that names them as snpe-dlc-quant reads it."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for index, raw in enumerate(samples):
        words = []
        for place, (name, values) in enumerate(raw.items()):
            path = folder / f"{index}_{place}.raw"
            np.ascontiguousarray(values, np.float32).tofile(path)
            words.append(f"{name}:={path.absolute()}")
        lines.append(" ".join(words))
    target = folder / "images.txt"
    target.write_text("\n".join(lines) + "\n")
    return target


def write_overrides(path: Path, image_inputs: Sequence[str], own: Path | None) -> Path:
    """Encodings as snpe-onnx-to-dlc reads them: the user's, with pixels as the device gives them, scale 1."""
    document: dict[str, Any] = json.loads(own.read_bytes()) if own else {}
    pixels = {"bitwidth": 8, "min": 0.0, "max": 255.0, "scale": 1.0, "offset": 0, "is_symmetric": "False"}
    activations = document.get("activation_encodings", {})
    if isinstance(activations, Mapping):  # AIMET's form 0.6
        document["activation_encodings"] = {**activations, **{name: [pixels] for name in image_inputs}}
        document.setdefault("param_encodings", {})
    else:  # 1.0
        document["activation_encodings"] = [
            *(item for item in activations if item.get("name") not in image_inputs),
            *({"name": name, **_PIXELS_1_0} for name in image_inputs),
        ]
    path.write_text(json.dumps(document))
    return path
