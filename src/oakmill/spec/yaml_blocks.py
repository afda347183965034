"""The platforms' own keys in a configuration as users of Luxonis' modelconverter write it: blocks rvc2, rvc3, rvc4."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oakmill.errors import SpecError
from oakmill.spec.yaml_values import cannot, flag, mapping, sequence, whole

Place = Callable[[str, str], Path]
"""Turns a path in the file, given with its key, into one that may be read; raises SpecError where it may not."""

_PREPARE_LEVEL = 2
_CUSTOM = "CUSTOM"
_UNPREPARED = ("sm8350", "sm8450", "qcs6490")
"""Chips of modelconverter's list that are older than those with a cache here."""


@dataclass
class Request:
    """What a configuration asks for: the model, the parameters by the spec's names, and what is to be told.

    `weights` is the .bin that was named for an OpenVINO IR, None where none was; `encodings` are AIMET's that stand in
    the configuration itself. `prepares` says that the result gets a prepared cache, which some keys are about.
    """

    model: Path
    weights: Path | None = None
    encodings: Mapping[str, Any] | None = None
    prepares: bool = False
    values: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def note(self, key: str, why: str) -> None:
        """Tell why a key changes nothing."""
        self.notes.append(f"{key}: {why}")


@dataclass(frozen=True)
class Block:
    """A platform's block: the keys that it may have, and what reads them into a request."""

    keys: tuple[str, ...] = ()
    read: Callable[[Mapping[str, Any], Request, Place], None] = lambda block, request, place: None


def _rvc2(block: Mapping[str, Any], request: Request, place: Place) -> None:
    _pass_on(block, ("number_of_shaves",), request)
    _arguments(block, ("mo_args", "compile_tool_args"), request)
    if "superblob" in block and not flag("rvc2.superblob", block["superblob"]):
        request.values["blob"] = True
    if "compress_to_fp16" in block:
        request.note("rvc2.compress_to_fp16", "RVC2's compiler stores all weights in FP16 itself")
    if "n_workers" in block:
        request.note("rvc2.n_workers", "the setting OAKMILL_WORKERS says it")


def _rvc3(block: Mapping[str, Any], request: Request, place: Place) -> None:
    _pass_on(block, ("pot_target_device",), request)
    _arguments(block, ("mo_args", "compile_tool_args"), request)
    if "compress_to_fp16" in block and not flag("rvc3.compress_to_fp16", block["compress_to_fp16"]):
        raise cannot("rvc3.compress_to_fp16", "RVC3's network holds its floats in FP16")
    _precision(block, "rvc3", request)


def _rvc4(block: Mapping[str, Any], request: Request, place: Place) -> None:
    _socs(block, request)
    _arguments(block, ("snpe_onnx_to_dlc_args", "snpe_dlc_quant_args", "snpe_dlc_graph_prepare_args"), request)
    _precision(block, "rvc4", request)
    flags = {
        key: flag(f"rvc4.{key}", block[key])
        for key in ("use_per_channel_quantization", "use_per_row_quantization", "normalize_io_encodings",
                    "strict_quantization_overrides", "keep_raw_images")
        if key in block
    }  # fmt: skip
    if not flags.get("use_per_channel_quantization", True):
        request.values["per_tensor_weights"] = True
    if flags.get("use_per_row_quantization"):
        _append(request, "snpe_dlc_quant_args", "--use_per_row_quantization")
    if not flags.get("normalize_io_encodings", True):
        raise cannot("rvc4.normalize_io_encodings", "images always come in as 8 bits of scale 1")
    if flags.get("strict_quantization_overrides"):
        request.note("rvc4.strict_quantization_overrides", "names that the model does not have are always refused")
    if flags.get("keep_raw_images"):
        request.note("rvc4.keep_raw_images", "what lies between source and result is not kept")
    if "optimization_level" in block:
        _prepare_level(whole("rvc4.optimization_level", block["optimization_level"]), request)
    request.values["raw_layout"] = "NHWC"  # as snpe-dlc-quant reads them
    if "encodings" in block:
        _encodings(block["encodings"], request, place)
    elif str(request.values.get("target_precision")).upper() == _CUSTOM:
        request.values["target_precision"] = "INT8_STANDARD"
        request.note("rvc4.target_precision", "CUSTOM is INT8_STANDARD with the arguments of snpe-dlc-quant given here")


def _socs(block: Mapping[str, Any], request: Request) -> None:
    """The chips that a cache can be prepared for; all others prepare the graph themselves when they load it."""
    wanted = sequence("rvc4.htp_socs", block.get("htp_socs", []))
    known = [soc for soc in wanted if soc not in _UNPREPARED]
    for soc in wanted:
        if soc in _UNPREPARED:
            request.note(
                "rvc4.htp_socs", f"no cache is prepared for {soc}, which does so itself when it loads the file"
            )
    if known:
        request.values["htp_socs"] = known


def _encodings(said: Any, request: Request, place: Place) -> None:
    """AIMET's encodings: a file, or themselves."""
    request.values.setdefault("target_precision", _CUSTOM)
    if isinstance(said, str) and not said.lstrip().startswith("{"):
        request.values["aimet_encodings"] = place("rvc4.encodings", said)
        return
    try:
        found = json.loads(said) if isinstance(said, str) else said
    except (ValueError, RecursionError) as error:
        raise SpecError(f"rvc4.encodings is not JSON: {error}", subject="rvc4.encodings") from None
    request.encodings = mapping("rvc4.encodings", found)


def _prepare_level(level: int, request: Request) -> None:
    if level == _PREPARE_LEVEL or not request.prepares:
        request.note("rvc4.optimization_level", "it concerns a prepared cache, which --device-runtime asks for")
    else:
        _append(request, "snpe_dlc_graph_prepare_args", f"--optimization_level={level}")


def _precision(block: Mapping[str, Any], platform: str, request: Request) -> None:
    said = {key: block[key] for key in ("target_precision", "quantization_mode") if key in block}
    if len({str(value).upper() for value in said.values()}) > 1:
        raise SpecError(f"{platform}.target_precision and {platform}.quantization_mode differ", remedy="keep one")
    if said:
        request.values["target_precision"] = next(iter(said.values()))
    if "disable_calibration" in block and flag(f"{platform}.disable_calibration", block["disable_calibration"]):
        request.values["target_precision"] = "FP16_STANDARD"
        request.note(f"{platform}.disable_calibration", "nothing is quantized: the precision is FP16_STANDARD")


def _pass_on(block: Mapping[str, Any], keys: Sequence[str], request: Request) -> None:
    request.values.update({key: block[key] for key in keys if key in block})


def _arguments(block: Mapping[str, Any], keys: Sequence[str], request: Request) -> None:
    for key in keys:
        if words := sequence(key, block.get(key, [])):
            request.values[key] = tuple(str(word) for word in words)


def _append(request: Request, key: str, word: str) -> None:
    request.values[key] = (*request.values.get(key, ()), word)


NO_BLOCK = Block()
RVC2 = Block(
    (
        "number_of_shaves", "mo_args", "compile_tool_args", "superblob", "compress_to_fp16", "n_workers",
        "disable_calibration",
    ),
    _rvc2,
)  # fmt: skip
RVC3 = Block(
    (
        "pot_target_device", "mo_args", "compile_tool_args", "compress_to_fp16", "disable_calibration",
        "target_precision", "quantization_mode",
    ),
    _rvc3,
)  # fmt: skip
RVC4 = Block(
    (
        "snpe_onnx_to_dlc_args", "snpe_dlc_quant_args", "snpe_dlc_graph_prepare_args", "disable_calibration",
        "keep_raw_images", "use_per_channel_quantization", "use_per_row_quantization", "strict_quantization_overrides",
        "normalize_io_encodings", "optimization_level", "quantization_mode", "target_precision", "htp_socs",
        "encodings",
    ),
    _rvc4,
)  # fmt: skip
