"""Reads arguments as Qualcomm's snpe-onnx-to-dlc, snpe-dlc-quant and snpe-dlc-graph-prepare take them.

With the user's own SDK they go to its tools; without one, each is carried out by Oakmill where it can be, and refused
by name where not. None is dropped: what changes nothing is said in a note.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from oakmill.errors import ArgumentRefused
from oakmill.files import expanded
from oakmill.spec.inputs import Encoding
from oakmill.spec.quantization import RangeMethod
from oakmill.spec.rvc4 import Soc
from oakmill.toolchains.rvc4.snpe_options import ALIASES, APART, CACHE_ONLY, GRAPH_PREPARE, KNOWN, ONNX_TO_DLC, QUANT
from oakmill.toolchains.rvc4.snpe_words import Given, Way, parse, travel

_LARGEST_OVERRIDES = 256 << 20


@dataclass(frozen=True)
class SnpeOptions:
    """What the user's SNPE arguments ask for; None and empty where they are silent.

    `shapes`, `layouts` and `encodings` are by the input's name in the source model; an encoding is what comes in, and
    what the model was trained on. `percentile` is 90 to 100. `overrides` is a file of AIMET's form. `vtcm_mb` is None
    for all that a chip has. `cache_arguments` names those that say nothing without a prepared cache. `words` are, by
    the tool's name, the checked words for the user's own SDK: full names, what Oakmill does itself left out.
    """

    activation_bits: int | None = None
    weight_bits: int | None = None
    per_tensor_weights: bool | None = None
    symmetric_weights: bool | None = None
    range_method: RangeMethod | None = None
    percentile: float | None = None
    float_bits: int | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    layouts: Mapping[str, str] = field(default_factory=dict)
    encodings: Mapping[str, tuple[Encoding, Encoding]] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    overrides: Path | None = None
    overrides_win: bool = False
    disable_simplification: bool = False
    socs: tuple[Soc, ...] = ()
    optimization_level: int | None = None
    vtcm_mb: int | None = None
    cache_arguments: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def for_sdk(self) -> bool:
        """Whether they were read for the user's own SDK."""
        return bool(self.words)

    @property
    def vendor_front(self) -> bool:
        """Whether the user's own SDK is to convert and quantize, for the words for those tools say how."""
        return bool(self.words.get(ONNX_TO_DLC) or self.words.get(QUANT))


def read(
    onnx_to_dlc: Sequence[str] = (),
    quant: Sequence[str] = (),
    graph_prepare: Sequence[str] = (),
    *,
    sdk: bool,
    files: bool = True,
) -> SnpeOptions:
    """Check the arguments of the three tools and say what they ask for.

    `sdk` is whether the user's own SDK runs the tools; `files` whether an argument may name a file of this machine,
    which it may not in a hub, where the words come from elsewhere.

    Raises:
        ArgumentRefused: an argument is unknown, unsafe, set by the conversion itself, malformed, contradicts another,
            or needs the vendor's own tool where there is none.
    """
    asked = {ONNX_TO_DLC: onnx_to_dlc, QUANT: quant, GRAPH_PREPARE: graph_prepare}
    found = {tool: parse(tool, words, KNOWN[tool], ALIASES[tool]) for tool, words in asked.items()}
    everything = [given for of_tool in found.values() for given in of_tool]
    for of_tool in found.values():
        _stay_apart(of_tool)
    notes = [note for given in everything if (note := travel(given, sdk=sdk))]
    fields = _Fields(files)
    for given in everything:
        fields.take(given)
    options = SnpeOptions(
        **fields.values,
        cache_arguments=tuple(given.name for given in found[GRAPH_PREPARE] if given.name in CACHE_ONLY),
        notes=tuple(notes),
        words={tool: _words(of_tool) for tool, of_tool in found.items()} if sdk else {},
    )
    return replace(options, vtcm_mb=options.vtcm_mb or None)


def _stay_apart(found: Sequence[Given]) -> None:
    names = {given.name for given in found}
    for one, other in APART:
        if one in names and other in names:
            raise ArgumentRefused(
                f"{found[0].tool} arguments {one!r} and {other!r} exclude each other", remedy="give one of them"
            )


def _words(found: Sequence[Given]) -> tuple[str, ...]:
    """What the tool itself is told: all but what Oakmill has done before it runs."""
    return tuple(word for given in found if given.described.way is not Way.OURS for word in given.words)


class _Fields:
    """The fields of SnpeOptions, gathered from one argument after the other."""

    def __init__(self, files: bool) -> None:
        self.values: dict[str, Any] = {}
        self._by: dict[str, Given] = {}
        self._files = files

    def take(self, given: Given) -> None:
        """Add what an argument says.

        Raises:
            ArgumentRefused: it contradicts an earlier one, or names a file that may not be read.
        """
        if given.name == "--out_node":
            self._add_output(given)
        elif given.name == "--set_output_tensors":
            self._set_outputs(given)
        elif given.name == "--quantization_overrides":
            self._set("overrides", self._file(given), given)
        elif given.name in _BY_INPUT:
            key, meaning = _BY_INPUT[given.name]
            self._set_of_input(key, given.values[0], meaning(given.values[1:]), given)
        else:
            meaning_of = _MEANINGS.get(given.name)
            said = meaning_of(next(iter(given.values), "")) if meaning_of else {}
            for key, value in said.items():
                self._set(key, value, given)

    def _set(self, key: str, value: object, given: Given) -> None:
        if key in self.values and self.values[key] != value:
            raise ArgumentRefused(
                f"{self._by[key]} and {given} contradict each other", remedy="give one of them, or the same in both"
            )
        self.values[key] = value
        self._by[key] = given

    def _set_of_input(self, key: str, name: str, value: object, given: Given) -> None:
        of_inputs = self.values.setdefault(key, {})
        if of_inputs.setdefault(name, value) != value:
            raise ArgumentRefused(f"{given} says two things of the input {name!r}", remedy="give it once")

    def _add_output(self, given: Given) -> None:
        outputs = self.values.get("outputs", ())
        if given.values[0] in outputs:
            raise ArgumentRefused(f"{given} names {given.values[0]!r} twice", remedy="name each output once")
        self.values["outputs"] = (*outputs, given.values[0])
        self._by["outputs"] = given

    def _set_outputs(self, given: Given) -> None:
        """Both tools may name the outputs, in any order; the converter's order stays."""
        outputs = tuple(given.values[0].split(","))
        if len(set(outputs)) != len(outputs):
            raise ArgumentRefused(f"{given} names an output twice", remedy="name each output once")
        if set(self.values.get("outputs", ())) != set(outputs):
            self._set("outputs", outputs, given)

    def _file(self, given: Given) -> Path:
        if not self._files:
            raise ArgumentRefused(
                f"{given} names a file, which an argument cannot do here",
                remedy="upload the encodings as the conversion's own AIMET encodings, with the precision CUSTOM",
            )
        path = expanded(given.values[0])
        try:
            if path.is_file() and path.stat().st_size <= _LARGEST_OVERRIDES:
                return path.resolve()
        except OSError as error:
            raise ArgumentRefused(f"{given}: {path} cannot be read: {error.strerror}") from None
        raise ArgumentRefused(
            f"{given}: {path} is no plain file of at most {_LARGEST_OVERRIDES >> 20} MB",
            remedy="name a JSON file of AIMET's form",
        )


def _encoding(values: Sequence[str]) -> tuple[Encoding, Encoding]:
    """What comes in, and what the model takes: by the tool's documentation BGR, if it is not said."""
    comes, *trained = values
    if comes in ("other", "time_series"):
        return Encoding.NONE, Encoding.NONE
    return Encoding(comes.upper()), Encoding((trained or ["bgr"])[0].upper())


_BY_INPUT: Mapping[str, tuple[str, Callable[[Sequence[str]], object]]] = {
    "--input_dim": ("shapes", lambda values: tuple(map(int, values[0].split(",")))),
    "--input_layout": ("layouts", lambda values: values[0]),
    "--input_encoding": ("encodings", _encoding),
}

_METHODS = {
    "tf": RangeMethod.MINMAX,
    "enhanced": RangeMethod.MSE,
    "min-max": RangeMethod.MINMAX,
    "mse": RangeMethod.MSE,
    "sqnr": RangeMethod.MSE,  # a tensor's power is what it is, so the best ratio is the least error
    "percentile": RangeMethod.PERCENTILE,
}


def _range(value: str) -> dict[str, Any]:
    return {"range_method": _METHODS[value]} if value in _METHODS else {}


def _symmetric(value: str) -> dict[str, Any]:
    return {"symmetric_weights": True} if value == "symmetric" else {}


def _number(*keys: str) -> Callable[[str], dict[str, Any]]:
    return lambda value: dict.fromkeys(keys, int(value))


def _flag(key: str, state: bool = True) -> Callable[[str], dict[str, Any]]:
    return lambda _: {key: state}


def _socs(value: str) -> dict[str, Any]:
    return {"socs": tuple(cast(Soc, soc) for soc in dict.fromkeys(value.split(",")))}


_MEANINGS: Mapping[str, Callable[[str], dict[str, Any]]] = {
    "--no_simplification": _flag("disable_simplification"),
    "--use_per_channel_quantization": _flag("per_tensor_weights", False),
    "--axis_quant": _flag("per_tensor_weights", False),
    "--use_per_row_quantization": _flag("per_tensor_weights", False),
    "--use_symmetric_quantize_weights": _flag("symmetric_weights"),
    "--override_params": _flag("overrides_win"),
    "--act_bitwidth": _number("activation_bits"),
    "--weights_bitwidth": _number("weight_bits"),
    "--bitwidth": _number("activation_bits", "weight_bits"),
    "--float_bitwidth": _number("float_bits"),
    "--float_bw": _number("float_bits"),
    "--optimization_level": _number("optimization_level"),
    "--vtcm_override": _number("vtcm_mb"),
    "--act_quantizer": _range,
    "--act_quantizer_calibration": _range,
    "--param_quantizer": _symmetric,
    "--param_quantizer_schema": _symmetric,
    "--percentile_calibration_value": lambda value: {"percentile": float(value)},
    "--htp_socs": _socs,
}
"""What an option of one value, or of none, means in fields; those for the vendor's tool alone are not here."""
