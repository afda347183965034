"""Reads outputs as a camera app would: depthai's own DetectionParser, on the host, without a camera.

    python vendors_parser.py ARCHIVE OUTPUTS.npz WIDTH HEIGHT

Prints the detections as JSON. A process of its own: an error in a node of depthai ends the whole process.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import depthai as dai
import numpy as np


def main(archive: str, outputs: str, width: int, height: int) -> None:
    pipeline = dai.Pipeline(createImplicitDevice=False)
    parser = pipeline.create(dai.node.DetectionParser)
    parser.setRunOnHost(True)
    parser.setNNArchive(dai.NNArchive(Path(archive)))
    given, found = parser.input.createInputQueue(), parser.out.createOutputQueue()
    pipeline.start()
    message = dai.NNData()
    message.setTransformation(dai.ImgTransformation(width, height))
    with np.load(outputs) as kept:
        for name in kept.files:  # without the batch, or depthai takes the stride of it for 0
            message.addTensor(name, kept[name][0], dai.TensorInfo.StorageOrder.CHW)
    given.send(message)
    seen = [
        [item.labelName, item.confidence, [item.xmin, item.ymin, item.xmax, item.ymax]]
        for item in found.get().detections  # type: ignore[attr-defined]
    ]
    print("seen " + json.dumps(seen))
    sys.stdout.flush()
    os._exit(0)  # depthai's threads may wait for each other when it is taken down


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
