"""All documented options of snpe-onnx-to-dlc, snpe-dlc-quant and snpe-dlc-graph-prepare, each with the way it goes.

Source: the tools' pages of Qualcomm's SDK documentation (80-63442-10), of which one undated copy and parts of others
could be read; some options are those of qairt-quantizer, which takes the same files. A user's SDK answers for itself.
"""

from __future__ import annotations

from typing import get_args

from oakmill.spec.rvc4 import Soc
from oakmill.toolchains.rvc4.snpe_words import Argument, Way

ONNX_TO_DLC, QUANT, GRAPH_PREPARE = "snpe-onnx-to-dlc", "snpe-dlc-quant", "snpe-dlc-graph-prepare"

_NAME = r"[^\s\-@#%,=][^\s,=]{0,199}"
_NAMES = rf"{_NAME}(?:,{_NAME})*"
_SIZES = r"[1-9]\d{0,5}(?:,[1-9]\d{0,5}){0,5}"
_HEX = r"-?0x[0-9a-fA-F]{1,8}"
_SOC = "|".join(get_args(Soc))
_LAYOUT = "NCDHW|NDHWC|NCHW|NHWC|NFC|NCF|NTF|TNF|NF|NC|F"
_COLOUR = "bgr|rgb|other|time_series"
_DTYPE = "float32|float16|int8|int16|int32|int64|uint8|uint16|uint32|bool"
_QUANTIZER, _SCHEMA = "tf|enhanced|adjusted|symmetric", "asymmetric|symmetric|unsignedsymmetric"
_CALIBRATION = "min-max|sqnr|entropy|mse|percentile"

_SET = "the conversion sets it"
_CODE = "it makes the tool load a library or code from a file"
_OUTSIDE = "it makes the tool read or write a file of its own choosing"
_SHAPE = "shapes are fixed before any tool runs; give the whole shape: --shape NAME=1,3,H,W"
_BOUNDARY = "what goes in and out must be what depthai reads: NHWC and UINT8 in, NHWC out"
_LOG = "Oakmill shows its log with -v"
_TEXT = "it prints a text and converts nothing"
_NO_BALANCE = "Oakmill does not equalise layers; one scale for each channel, its default, is the usual cure"
_MIN_MAX = "Oakmill takes a weight's range from its real minimum and maximum"
_HALF = "the biases have the type of the network they are in; choose it with --target-precision"


def _never(why: str, *names: str) -> dict[str, Argument]:
    return {name: Argument(Way.NEVER, why=why) for name in names}


def _sdk(why: str, *values: str, help: str = "", repeats: bool = False) -> Argument:
    return Argument(Way.SDK, values, help=help, why=why, repeats=repeats)


def _same(why: str, *values: str, help: str = "") -> Argument:
    return Argument(Way.SAME, values, help=help, why=why)


_LOGGING: dict[str, Argument] = {
    **{name: _sdk(_LOG) for name in ("--verbose", "--quiet", "--silent", "--debug1", "--debug2", "--debug3")},
    "--debug": _sdk(_LOG, r"\w{1,16}", help="a level"),
    "--log-mask": _sdk(_LOG, r"[\w.*=, ]{1,200}", help='".*=USER_ERROR, .*=INFO"'),
    **_never(_OUTSIDE, "--log-file", "--log-dir", "--log-file-include-hostname"),
    **_never(_TEXT, "-h", "--help", "--version"),
}

_FLOAT_BITS = Argument(Way.MAPPED, ("16|32",), "16 or 32")
_ASK_OPTIMISER = "its own optimiser is not used here; Oakmill's graph is the one that is proved"

_CONVERTER: dict[str, Argument] = {
    "--out_node": Argument(Way.OURS, (_NAME,), "the name of an output tensor", repeats=True),
    "--input_dim": Argument(Way.OURS, (_NAME, _SIZES), "NAME 1,3,224,224", repeats=True),
    "--input_layout": Argument(Way.OURS, (_NAME, _LAYOUT), f"NAME and one of {_LAYOUT}", repeats=True),
    "--input_encoding": Argument(
        Way.OURS, (_NAME, _COLOUR, "bgr|rgb"), "NAME bgr|rgb [bgr|rgb]: what comes in, what the model takes",
        least=2, repeats=True,
    ),
    "--no_simplification": Argument(Way.MAPPED),
    "--quantization_overrides": Argument(Way.OURS, (r"[^\x00-\x1f]{1,1000}",), "a JSON file of AIMET's form"),
    "--float_bitwidth": _FLOAT_BITS,
    "--float_bw": _FLOAT_BITS,
    "--float_bias_bitwidth": _sdk(_HALF, "16|32", help="16 or 32"),
    "--float_bias_bw": _sdk(_HALF, "16|32", help="16 or 32"),
    "--input_dtype": _sdk(
        "an input's type comes from the model, and images are UINT8 for the camera", _NAME, _DTYPE,
        help=f"NAME and one of {_DTYPE}", repeats=True,
    ),
    "--input_type": _sdk(
        "images are UINT8 for the camera, other inputs stay what they are", _NAME, "image|default|opaque",
        help="NAME and image, default or opaque", repeats=True,
    ),
    "--preserve_io": Argument(
        Way.SDK, ("layout|datatype", _NAME), "layout or datatype, then names", _BOUNDARY, least=0, many=True,
        repeats=True,
    ),
    "--keep_quant_nodes": _sdk("Oakmill sets the quantization itself; a float model is what it takes"),
    "--disable_batchnorm_folding": _sdk("batch normalisation is folded into the weights before they are quantized"),
    "--expand_lstm_op_structure": _same("recurrent layers are unrolled anyway, or refused by name"),
    "--keep_disconnected_nodes": _sdk("what no output needs is left out"),
    "--preserve_onnx_output_order": _sdk("outputs are found by name; their order in the file is the compiler's"),
    "--apply_masked_softmax": _sdk(_ASK_OPTIMISER, "compressed|uncompressed", help="compressed or uncompressed"),
    "--packed_masked_softmax_inputs": Argument(Way.SDK, (_NAME,), "names", _ASK_OPTIMISER, many=True),
    "--packed_max_seq": _sdk(_ASK_OPTIMISER, r"\d{1,4}", help="a number of sequences"),
    "--perform_sequence_construct_optimizer": _sdk(_ASK_OPTIMISER),
    "--keep_int64_inputs": _sdk("depthai has no 64-bit tensors; such an input becomes a 32-bit one"),
    "--enable_framework_trace": _sdk(_LOG),
    "--debug": Argument(Way.SDK, (r"-?\w{1,8}",), "a level", _LOG, least=0),
    "--model_version": _sdk("name the result with --name", r"[ -~]{1,64}", help="64 characters at most"),
    "--validation_target": _sdk(
        "the compiler itself checks every node for the chip", "cpu|gpu|dsp", r"snapdragon_\d{3,4}",
        help="dsp snapdragon_835",
    ),
    "--strict": _sdk("the compiler itself checks every node for the chip"),
    "--validate_models": _same("the prepared graph is proved against the source model anyway"),
    **_never(_SHAPE, "--batch", "--define_symbol"),
    **_never(_SET, "--input_network", "--output_path", "-i", "-o"),
    **_never(_BOUNDARY, "--custom_io"),
    **_never(_OUTSIDE, "--dump_qairt_io_config_yaml", "--dump_custom_io_config_template", "--copyright_file"),
    **_never(_TEXT, "--dry_run", "-h", "--help", "--version"),
    **_never(
        _CODE, "--udo_config_paths", "-udo", "--op_package_lib", "-opl", "--converter_op_package_lib", "-cpl",
        "--package_name", "-p", "--op_package_config", "-opc",
    ),
}  # fmt: skip

_RANGE_REASONS = {
    "adjusted": "Oakmill's own ways are tf (all that was seen) and enhanced (what loses least)",
    "symmetric": "Oakmill's activations have an offset, which loses less after ReLU",
}
_SCHEMA_REASON = dict.fromkeys(("symmetric", "unsignedsymmetric"), _RANGE_REASONS["symmetric"])
_BY_CHANNEL = "by channel, weights are symmetric, as the chip wants them; for others, give --per-tensor-weights"
_ROUND_TRIP = "the calibration's files are written by the conversion itself"
_CACHE_LATER = "snpe-dlc-quant makes no cache; give --device-runtime VERSION, and the next tool adds it"

_QUANTIZER_TABLE: dict[str, Argument] = {
    "--act_bitwidth": Argument(Way.MAPPED, ("8|16",), "8 or 16"),
    "--weights_bitwidth": Argument(
        Way.MAPPED, ("4|8|16",), "4, 8 or 16",
        why_value={"4": "Oakmill's quantizer makes 8-bit and 16-bit weights"},
    ),
    "--bitwidth": Argument(Way.MAPPED, ("8|16",), "8 or 16; better --act_bitwidth and --weights_bitwidth"),
    "--bias_bitwidth": Argument(
        Way.SAME, ("8|32",), "8 or 32", "biases have 32 bits",
        why_value={"8": "Oakmill keeps biases in 32 bits, which loses less"},
    ),
    "--use_per_channel_quantization": Argument(Way.MAPPED),
    "--axis_quant": Argument(Way.MAPPED),
    "--use_per_row_quantization": Argument(Way.MAPPED),
    "--enable_per_row_quantized_bias": _same("a bias has a scale for each row where its weights have"),
    "--act_quantizer": Argument(Way.MAPPED, (_QUANTIZER,), _QUANTIZER, why_value=_RANGE_REASONS),
    "--param_quantizer": Argument(
        Way.MAPPED, (_QUANTIZER,), _QUANTIZER, same_value={"tf": _MIN_MAX},
        why_value=dict.fromkeys(("enhanced", "adjusted"), f"{_MIN_MAX}; --act_quantizer enhanced helps more"),
    ),
    "--act_quantizer_calibration": Argument(
        Way.MAPPED, (_CALIBRATION,), _CALIBRATION,
        why_value={"entropy": "Oakmill's own ways are min-max, mse (which sqnr is too) and percentile"},
    ),
    "--param_quantizer_calibration": Argument(
        Way.SAME, (_CALIBRATION,), _CALIBRATION, _MIN_MAX,
        why_value=dict.fromkeys(("sqnr", "entropy", "mse", "percentile"), _MIN_MAX),
    ),
    "--act_quantizer_schema": Argument(
        Way.SAME, (_SCHEMA,), _SCHEMA, "activations have an offset anyway", why_value=_SCHEMA_REASON
    ),
    "--param_quantizer_schema": Argument(
        Way.MAPPED, (_SCHEMA,), _SCHEMA, why_value=dict.fromkeys(("asymmetric", "unsignedsymmetric"), _BY_CHANNEL)
    ),
    "--percentile_calibration_value": Argument(
        Way.MAPPED, (r"9\d(?:\.\d{1,9})?|100(?:\.0{1,9})?",), "a number from 90 to 100, such as 99.99"
    ),
    "--use_symmetric_quantize_weights": Argument(Way.MAPPED),
    "--override_params": Argument(Way.MAPPED),
    "--float_bitwidth": _FLOAT_BITS,
    "--float_bias_bitwidth": _sdk(_HALF, "16|32", help="16 or 32"),
    "--algorithms": _sdk(_NO_BALANCE, "cle", help="cle", repeats=True),
    "--optimizations": _sdk(_NO_BALANCE, "cle", help="cle", repeats=True),
    "--use_enhanced_quantizer": _sdk("it is deprecated; write --act_quantizer enhanced"),
    "--use_adjusted_weights_quantizer": _sdk(f"it is deprecated; {_MIN_MAX}"),
    "--use_encoding_optimizations": _sdk("it is deprecated, and Oakmill's encodings are not changed afterwards"),
    "--no_weight_quantization": _sdk("it is deprecated; for float weights, choose --target-precision FP16"),
    "--restrict_quantization_steps": _sdk(
        "Oakmill uses all steps of a number format", f"{_HEX}[, ]{_HEX}", help='"-0x80,0x7F"'
    ),
    "--htp_socs": Argument(Way.OURS, (rf"(?:{_SOC})(?:,(?:{_SOC}))*",), f"some of {_SOC}, with commas"),
    **_never(_CACHE_LATER, "--enable_htp", "--overwrite_cache_records"),
    **_never(_BOUNDARY, "--use_float_io", "--preserve_io_datatype"),
    **_never(
        "it wants no calibration data, which the conversion gives; use --tensor NAME=int16 for single tensors",
        "--float_fallback", "--enable_float_fallback",
    ),
    **_never(_ROUND_TRIP, "--use_native_dtype", "--use_native_input_files", "--use_native_output_files"),
    **_never(_SET, "--input_dlc", "--output_dlc", "--input_list", "-i", "-o", "-l"),
    **_never(_CODE, "--udo_package_path", "--op_package_lib", "-opl"),
    **_LOGGING,
}  # fmt: skip

_NO_SWITCH = "the public package's libraries have no switch for it"

_PREPARE: dict[str, Argument] = {
    "--set_output_tensors": Argument(Way.OURS, (_NAMES,), "names of tensors, with commas"),
    "--set_output_layers": _sdk("name the tensors: --set_output_tensors", _NAMES, help="names, with commas"),
    "--htp_socs": Argument(Way.OURS, (rf"(?:{_SOC})(?:,(?:{_SOC}))*",), f"some of {_SOC}, with commas"),
    "--htp_archs": _sdk(
        "Oakmill prepares for chips by name: --htp_socs qcs8550", r"v\d{2}(?:,v\d{2})*", help="v73, with commas"
    ),
    "--vtcm_override": Argument(Way.MAPPED, (r"[0-8]",), "0 to 8 MB; 0 is all that the chip has"),
    "--optimization_level": Argument(Way.MAPPED, ("[123]",), "1, 2 or 3"),
    "--buffer_data_type": _sdk(
        _BOUNDARY, rf"{_NAME}=(?:float32|fixedPoint8|fixedPoint16)",
        help="NAME=float32, NAME=fixedPoint8 or NAME=fixedPoint16", repeats=True,
    ),
    "--overwrite_cache_records": _same("a cache is always made anew"),
    "--use_float_io": _sdk(f"{_BOUNDARY}; outputs of an FP16 network are float32 anyway"),
    "--htp_dlbc": Argument(
        Way.SAME, ("true|false",), "true or false", "it is off", why_value={"true": _NO_SWITCH}
    ),
    "--num_hvx_threads": _sdk(_NO_SWITCH, r"[1-9]\d?", help="a number of threads"),
    "--memorymapped_buffer_hint": Argument(
        Way.SAME, ("true|false",), "true or false", "it is off", why_value={"true": _NO_SWITCH}
    ),
    **_never(_SHAPE, "--input_name", "--input_dimensions"),
    **_never(_SET, "--input_dlc", "--output_dlc", "--input_list"),
    **_never(_CODE, "--udo_package_path"),
    **_LOGGING,
}  # fmt: skip

KNOWN: dict[str, dict[str, Argument]] = {ONNX_TO_DLC: _CONVERTER, QUANT: _QUANTIZER_TABLE, GRAPH_PREPARE: _PREPARE}
"""The options of each tool by their full names."""

ALIASES: dict[str, dict[str, str]] = {
    ONNX_TO_DLC: {
        "--out_name": "--out_node",
        "-d": "--input_dim",
        "-l": "--input_layout",
        "-e": "--input_encoding",
        "-t": "--input_type",
        "-n": "--no_simplification",
        "-b": "--batch",
        "-s": "--define_symbol",
    },
    QUANT: {"--weight_bw": "--weights_bitwidth", "--act_bw": "--act_bitwidth", "--bias_bw": "--bias_bitwidth"},
    GRAPH_PREPARE: {},
}
"""Other names that the tools take for the same options."""

APART: tuple[tuple[str, str], ...] = (
    ("--bitwidth", "--act_bitwidth"),
    ("--bitwidth", "--weights_bitwidth"),
    ("--bitwidth", "--bias_bitwidth"),
    ("--htp_archs", "--htp_socs"),
    ("--htp_archs", "--vtcm_override"),
    ("--float_bitwidth", "--float_bw"),
)
"""Options of one tool that exclude each other, by its documentation."""

CACHE_ONLY = ("--vtcm_override", "--optimization_level", "--htp_archs", "--num_hvx_threads", "--htp_dlbc")
"""Options of snpe-dlc-graph-prepare that concern the prepared cache alone."""
