"""Quantizes an IR with NNCF; on request until it agrees with the float model, as far as the time goes."""

from __future__ import annotations

import time
from typing import Any

import nncf  # type: ignore[import-not-found]
import openvino as ov  # type: ignore[import-not-found]
from frame import Refused

from .common import Samples, layers_to_ignore, written
from .judge import Judge

# As NNCF runs networks itself; without it, in bfloat16 on processors that have it.
CONFIG = {"INFERENCE_PRECISION_HINT": "f32"}


def quantize(request: dict[str, Any]) -> dict[str, Any]:
    """Quantize, and write the IR."""
    began = time.monotonic()
    model = ov.Core().read_model(request["model"])
    samples = Samples(request["samples"], request["calibrate"])
    ignored = layers_to_ignore(request["model"], request["ignored_names"], request["ignored_types"])
    options = {
        "preset": nncf.QuantizationPreset(request["preset"]),
        "target_device": nncf.TargetDevice(request["device"]),
        "subset_size": request["calibrate"],
        "ignored_scope": nncf.IgnoredScope(names=ignored, validate=False) if ignored else None,
    }
    found: dict[str, Any] = {}
    try:
        if request["control"]:
            quantized, found = _controlled(model, samples, request["control"], options)
        else:
            quantized = nncf.quantize(model, _dataset(samples), **options)
    except (nncf.ValidationError, nncf.InternalError, nncf.UnsupportedModelError) as error:
        raise Refused("model", str(error)) from error
    ov.save_model(quantized, request["target"], compress_to_fp16=True)
    kinds = [layer.get_type_name() for layer in quantized.get_ops()]
    return {
        "seconds": round(time.monotonic() - began, 3),
        "quantizers": kinds.count("FakeQuantize"),
        "ignored": ignored,
        **found,
        **written(request["target"]),
    }


def _dataset(samples: Samples) -> Any:
    return nncf.Dataset(list(range(samples.calibrating)), samples.__getitem__)


def _controlled(
    model: Any, samples: Samples, control: dict[str, Any], options: dict[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """Quantize, put layers back while the agreement is too low, and measure what came out."""
    places = list(range(samples.calibrating, len(samples)))
    judge = Judge(ov.compile_model(model, "CPU", CONFIG), samples, places, control["seconds"])
    quantized = nncf.quantize_with_accuracy_control(
        model,
        _dataset(samples),
        nncf.Dataset(places),
        judge,
        max_drop=control["drop"],
        # One worker: how many NNCF takes else depends on how fast the machine is.
        advanced_accuracy_restorer_parameters=nncf.AdvancedAccuracyRestorerParameters(num_ranking_workers=1),
        **options,
    )
    agreement, _ = judge.measure(ov.compile_model(quantized, "CPU", CONFIG), places)
    return quantized, {
        "control": {
            "images": len(places),
            "agreement_before": judge.before if judge.before is None else round(judge.before, 6),
            "agreement": round(agreement, 6),
            "reached": 1 - agreement <= control["drop"],
            "out_of_time": judge.late,
        }
    }
