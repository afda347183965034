"""Families of heads: how each is recognised in a graph, where it is cut for the camera, how it is described.

The one list: a new family is a module and a row. The first that finds itself in a graph has it.
"""

from __future__ import annotations

from onnx import ModelProto

from oakmill.heads.families import distances
from oakmill.heads.families.base import Evidence, Family, Found

ROWS: tuple[Family, ...] = (
    Family(distances.Distances.family, "YOLO v5u, v6 from release 2, v8 to v12, v26 and Gold", distances.find),
)
"""All families, those with the clearest marks first."""


def recognise(model: ModelProto, evidence: Evidence) -> Found | None:
    """What the outputs of a graph are, with how sure that is; None where no family knows them.

    Args:
        model: a graph with its small constants; large weights may lie elsewhere.
        evidence: what else is known; of families, only the one that is `wanted` is asked, where one is.
    """
    for row in ROWS:
        if evidence.wanted in ("", row.name) and (found := row.find(model, evidence)) is not None:
            return found
    return None
