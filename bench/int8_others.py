"""Other quantizers on the same float graph and images: onnxruntime's own, and aimet-onnx of another Python."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

AIMET = """
import sys, json
import numpy as np, onnx
from aimet_onnx.common.defs import QuantScheme
from aimet_onnx.quantsim import QuantizationSimModel
folder = sys.argv[1]
model = onnx.load(f"{folder}/model.onnx")
given = {"param_type": "int8", "activation_type": "int8", "config_file": "htp_v73"}
sim = QuantizationSimModel(model, quant_scheme=QuantScheme.min_max, **given)
feeds = [dict(np.load(f"{folder}/{index}.npz")) for index in range(int(sys.argv[2]))]
sim.compute_encodings(feeds)
onnx.save(sim.to_onnx_qdq(), f"{folder}/written.onnx")
"""


def by_onnxruntime(model: onnx.ModelProto, images: Iterable[Mapping[str, Any]], method: str) -> onnx.ModelProto:
    """Weights by channel, activations of 8 bits in one scale each, by its own calibrator: `minmax` or `percentile`."""
    from onnxruntime.quantization import CalibrationMethod, QuantType
    from onnxruntime.quantization.calibrate import CalibrationDataReader, create_calibrator
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
    from onnxruntime.quantization.registry import QDQRegistry

    class One(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self, feeds: Mapping[str, Any]) -> None:
            self.left = [dict(feeds)]

        def get_next(self) -> Any:
            return self.left.pop() if self.left else None

    kind = {"minmax": CalibrationMethod.MinMax, "percentile": CalibrationMethod.Percentile}[method]
    with tempfile.TemporaryDirectory(prefix="oakmill-bench-") as folder:
        file = Path(folder) / "model.onnx"
        onnx.save(model, file)
        augmented = str(Path(folder) / "augmented.onnx")
        calibrator = create_calibrator(file, None, augmented_model_path=augmented, calibrate_method=kind)
        for feeds in images:  # one after the other: it keeps what it was given at once
            calibrator.collect_data(One(feeds))
        ranges = calibrator.compute_data()
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    writer = QDQQuantizer(
        copy, True, False, QuantType.QInt8, QuantType.QUInt8, ranges, [], [], list(QDQRegistry), {}
    )  # fmt: skip
    writer.quantize_model()
    found: onnx.ModelProto = writer.model.model
    return found


def by_aimet(
    python: Path, model: onnx.ModelProto, images: Iterable[Mapping[str, Any]], folder: Path
) -> onnx.ModelProto:
    """Lowest and highest values and the rules of HTP v73, by the aimet-onnx of another Python."""
    folder.mkdir(parents=True)
    onnx.save(model, folder / "model.onnx")
    count = 0
    for feeds in images:
        np.savez(folder / f"{count}.npz", **feeds)
        count += 1
    (folder / "run.py").write_text(AIMET)
    words = [str(python), str(folder / "run.py"), str(folder), str(count)]
    subprocess.run(words, check=True, capture_output=True)  # noqa: TID251 - not a product
    return onnx.load(folder / "written.onnx")
