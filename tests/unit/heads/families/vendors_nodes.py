"""Loads NN Archives in depthai and gives each one's first head to the node that reads it; run as a process of its own.

Prints a line of JSON: for each archive an empty text, or what depthai says against it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import depthai as dai

OWN = {"YOLO": "DetectionParser", "YOLOExtendedParser": "DetectionParser", "SSD": "DetectionParser"}
"""Nodes that are called otherwise than their heads (depthai-nodes 0.7.0, node/parser_generator.py)."""


def refused(path: str) -> str:
    try:
        head = (dai.NNArchive(Path(path)).getConfig().model.heads or [])[0]
        name = OWN.get(head.parser, head.parser)
        kind = getattr(dai.node, name, None) or getattr(dai.beta.node, name)
        dai.Pipeline(createImplicitDevice=False).create(kind).setNNArchiveHead(head)
    except Exception as error:  # noqa: BLE001 - whatever it says is what is asked for
        return f"{type(error).__name__}: {error}"
    return ""


print("said " + json.dumps([refused(path) for path in sys.argv[1:]]))
