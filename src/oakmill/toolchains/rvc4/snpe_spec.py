"""Brings a conversion's parameters into line with the SNPE arguments: where they differ, the arguments win."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from oakmill.errors import SpecError
from oakmill.spec import wrong
from oakmill.spec.inputs import InputSpec
from oakmill.spec.quantization import Precision, RangeMethod
from oakmill.spec.rvc4 import Rvc4Spec
from oakmill.toolchains.rvc4.snpe_arguments import SnpeOptions
from oakmill.toolchains.rvc4.snpe_options import GRAPH_PREPARE, ONNX_TO_DLC, QUANT

_BY_BITS = {
    (8, 8): (Precision.INT8_STANDARD, Precision.INT8_ACCURACY_FOCUSED),
    (16, 8): (Precision.INT8_INT16_MIXED, Precision.INT8_INT16_MIXED_ACCURACY_FOCUSED),
    (16, 16): (Precision.INT16_STANDARD, Precision.INT16_STANDARD),
}
_FLOATS = {16: Precision.FP16_STANDARD, 32: Precision.FP32_STANDARD}


def merge(spec: Rvc4Spec, options: SnpeOptions) -> tuple[Rvc4Spec, tuple[str, ...]]:
    """The parameters in effect, and a note on each that an argument has changed.

    Not in the result, for a spec has no place for them: `percentile`, `outputs`, `optimization_level`, `vtcm_mb`,
    and for CUSTOM the bits of what the encodings do not speak of; they are read from the options.

    Raises:
        SpecError: the arguments and the parameters cannot be had together.
    """
    precision = _precision(spec, options)
    wanted: dict[str, Any] = {
        "target_precision": precision,
        "aimet_encodings": options.overrides or spec.aimet_encodings,
        "per_tensor_weights": _pick(options.per_tensor_weights, spec.per_tensor_weights),
        "range_method": options.range_method or spec.range_method,
        "disable_onnx_simplification": options.disable_simplification or spec.disable_onnx_simplification,
        "htp_socs": options.socs or spec.htp_socs,
        "inputs": _inputs(spec.inputs, options),
    }
    changed = {name: value for name, value in wanted.items() if value != getattr(spec, name)}
    try:
        result = Rvc4Spec.model_validate({**dict(spec), **changed})
    except ValidationError as error:
        raise SpecError(f"SNPE arguments and other parameters contradict each other: {_words(error)}") from None
    _check(result, options)
    notes = [f"SNPE arguments set {name} to {_said(value)}, which wins" for name, value in changed.items()]
    return result, (*notes, *_float_note(precision, options))


def _pick(first: bool | None, second: bool) -> bool:
    return second if first is None else first


def _words(error: ValidationError) -> str:
    return "; ".join(map(wrong.in_words, error.errors()))


def _said(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_said, value))
    if isinstance(value, InputSpec):
        parts = {name: part for name, part in value if part is not None and name != "name"}
        return f"{value.name}: " + " ".join(f"{name}={_said(part)}" for name, part in parts.items())
    return str(value)


def _precision(spec: Rvc4Spec, options: SnpeOptions) -> Precision:
    """The precision that the arguments ask for, or else the spec's own.

    Raises:
        SpecError: there is no such precision.
    """
    if options.overrides is not None:
        return Precision.CUSTOM
    bits = (options.activation_bits, options.weight_bits)
    if bits == (None, None) and not (spec.target_precision.is_float and options.range_method):
        return _float(spec.target_precision, options)
    if spec.target_precision is Precision.CUSTOM:
        return Precision.CUSTOM
    now = Precision.INT8_STANDARD if spec.target_precision.is_float else spec.target_precision
    activations = options.activation_bits or now.activation_bits
    weights = options.weight_bits or now.weight_bits
    if (activations, weights) not in _BY_BITS:
        raise SpecError(
            f"{QUANT}: {weights}-bit weights with {activations}-bit activations cannot be made",
            remedy="16-bit weights need --act_bitwidth 16 too",
        )
    standard, accurate = _BY_BITS[activations, weights]
    return accurate if now.value.endswith("ACCURACY_FOCUSED") else standard


def _float(precision: Precision, options: SnpeOptions) -> Precision:
    """`--float_bitwidth` chooses between float networks; of a quantized one it can change nothing here."""
    if options.float_bits is None or options.for_sdk:
        return precision
    if precision.is_float:
        return _FLOATS[options.float_bits]
    if options.float_bits == 16:
        raise SpecError(
            f"--float_bitwidth 16 changes nothing in {precision}, where all tensors are quantized",
            remedy="for a float network, choose --target-precision FP16",
        )
    return precision


def _float_note(precision: Precision, options: SnpeOptions) -> list[str]:
    if options.float_bits == 32 and not precision.is_float and not options.for_sdk:
        return [f"--float_bitwidth 32: it is the tool's default; in {precision}, all tensors are quantized"]
    return []


def _check(spec: Rvc4Spec, options: SnpeOptions) -> None:
    """Make sure that no argument is left without effect."""
    if options.percentile is not None and spec.ranges is not RangeMethod.PERCENTILE and not options.for_sdk:
        raise SpecError(
            f"--percentile_calibration_value does not apply where ranges are found by {spec.ranges}",
            remedy="add --act_quantizer_calibration percentile, or omit it",
        )
    if options.overrides_win and spec.aimet_encodings is None:
        raise SpecError(
            "--override_params lets encodings from outside win, and there are none",
            remedy="give --quantization_overrides FILE or --aimet-encodings FILE, or omit it",
        )
    asked = {options.activation_bits, options.weight_bits, options.range_method} - {None}
    if options.float_bits == 16 and asked and not options.for_sdk:
        raise SpecError(
            "--float_bitwidth 16 and the quantizer's arguments contradict each other: all tensors are quantized",
            remedy="omit one of them",
        )
    if spec.target_precision.is_float and (options.symmetric_weights or options.per_tensor_weights is not None):
        raise SpecError(
            f"{QUANT} arguments say how weights are quantized, and {spec.target_precision} quantizes nothing",
            remedy="omit them, or choose another --target-precision",
        )
    if options.symmetric_weights and spec.per_tensor_weights and spec.target_precision.weight_bits == 8:
        raise SpecError(
            "symmetric weights have a scale for each output channel here, not one for each tensor",
            remedy="omit --per-tensor-weights, or --param_quantizer symmetric",
        )


def _inputs(inputs: Sequence[InputSpec], options: SnpeOptions) -> tuple[InputSpec, ...]:
    """The inputs with the shapes, layouts and colours that the arguments say."""
    said: dict[str, dict[str, Any]] = {}
    for name, shape in options.shapes.items():
        said.setdefault(name, {})["shape"] = shape
    for name, layout in options.layouts.items():
        said.setdefault(name, {})["layout"] = layout
    for name, (comes, trained) in options.encodings.items():
        said.setdefault(name, {}).update(encoding_to=comes, encoding_from=trained)
    result = [_with(item, said) for item in inputs]
    described = {item.name for item in result}
    return (*result, *(_input({"name": name, **fields}) for name, fields in said.items() if name not in described))


def _with(item: InputSpec, said: Mapping[str, Mapping[str, Any]]) -> InputSpec:
    """One described input, with what the arguments say of it; one without a name is the only one they can mean."""
    name = item.name
    if name is None and said:
        if len(said) > 1:
            raise SpecError(
                f"{ONNX_TO_DLC} arguments name the inputs {', '.join(said)}, and other parameters an unnamed one",
                remedy="say whose they are: --shape NAME=..., --mean NAME=...",
            )
        name = next(iter(said))
    return _input({**dict(item), "name": name, **said[name]}) if name is not None and name in said else item


def _input(fields: Mapping[str, Any]) -> InputSpec:
    try:
        return InputSpec.model_validate(fields)
    except ValidationError as error:
        raise SpecError(f"{ONNX_TO_DLC} arguments, input {fields['name']!r}: {_words(error)}") from None


def quantizer_words(spec: Rvc4Spec, options: SnpeOptions) -> tuple[str, ...]:
    """The words for the user's own snpe-dlc-quant: the user's, and what the precision asks for beside them."""
    precision, given = spec.target_precision, options.words.get(QUANT, ())
    wanted: dict[str, tuple[str, ...]] = {}
    if not spec.per_tensor_weights and precision is not Precision.INT16_STANDARD:  # by channel, 16 bits are worse
        wanted["--use_per_channel_quantization"] = ()
    if precision.activation_bits == 16:
        wanted["--act_bitwidth"] = ("16",)
    if precision.weight_bits == 16:
        wanted["--weights_bitwidth"] = ("16",)
    if precision.value.endswith("ACCURACY_FOCUSED"):
        wanted |= {"--act_quantizer": ("enhanced",), "--param_quantizer": ("enhanced",)}
    if spec.aimet_encodings is not None:
        wanted["--override_params"] = ()
    if "--bitwidth" in given:
        wanted = {name: values for name, values in wanted.items() if not name.endswith("_bitwidth")}
    return (*given, *(word for name, values in wanted.items() if name not in given for word in (name, *values)))


def prepare_words(spec: Rvc4Spec, options: SnpeOptions) -> tuple[str, ...]:
    """The words for the user's own snpe-dlc-graph-prepare: the user's, and the chips beside them."""
    given = options.words.get(GRAPH_PREPARE, ())
    return given if "--htp_archs" in given else ("--htp_socs", ",".join(spec.htp_socs), *given)
