"""Quantizes an IR with OpenVINO 2022.3.2's Post-training Optimization Tool, through its Python API alone."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from openvino.tools.pot import (  # type: ignore[import-not-found]
    DataLoader,
    IEEngine,
    compress_model_weights,
    create_pipeline,
    load_model,
    save_model,
)

from .common import Samples, layers_to_ignore, written


class Loader(DataLoader):  # type: ignore[misc]
    """The calibration samples as POT asks for them."""

    def __init__(self, samples: Samples) -> None:
        super().__init__({})
        self._samples = samples

    def __len__(self) -> int:
        return self._samples.calibrating

    def __getitem__(self, index: int) -> tuple[dict[str, Any], None]:
        return self._samples[index], None


def quantize(request: dict[str, Any]) -> dict[str, Any]:
    """Quantize by the default algorithm, and write the IR."""
    began = time.monotonic()
    source, target = Path(request["model"]), Path(request["target"])
    ignored = layers_to_ignore(str(source), request["ignored_names"], request["ignored_types"])
    device = request["device"]
    model = load_model(
        {"model_name": source.stem, "model": str(source), "weights": str(source.with_suffix(".bin"))},
        target_device=device,
    )
    engine = IEEngine(
        {"device": "CPU", "stat_requests_number": 1, "eval_requests_number": 1},
        data_loader=Loader(Samples(request["samples"], request["calibrate"])),
        metric=None,
    )
    parameters = {
        "target_device": device,
        "preset": request["preset"],
        "stat_subset_size": request["calibrate"],
        **({"ignored": {"scope": ignored}} if ignored else {}),
    }
    quantized = create_pipeline([{"name": "DefaultQuantization", "params": parameters}], engine).run(model)
    compress_model_weights(quantized)
    save_model(quantized, str(target.parent.absolute()), target.stem)
    kinds = [node.type for part in quantized.models for node in part["model"].get_op_nodes()]
    return {
        "seconds": round(time.monotonic() - began, 3),
        "quantizers": kinds.count("FakeQuantize"),
        "ignored": ignored,
        **written(str(target)),
    }
