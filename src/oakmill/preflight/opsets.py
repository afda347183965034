"""At which opset a table is to be asked of a node: the one that its operator is brought to before it is compiled."""

from __future__ import annotations

from onnx import NodeProto, defs

from oakmill.preflight.graph import STANDARD
from oakmill.preflight.tables import Table

FIRST_OPSET = 11
"""The oldest at which operators were measured that still exist."""


def asked_opset(node: NodeProto, opset: int, table: Table) -> int:
    """The opset within the table's at which an operator is what it is in a model of `opset`; else the model's own.

    Preparation brings a model to what the compiler reads, and the table was measured through it: an operator that has
    not changed, or in the types that it takes alone, is the same to both.
    """
    if node.domain not in STANDARD:
        return table.last_opset
    near = min(max(opset, FIRST_OPSET), table.last_opset)
    if near == opset or not (defs.has(node.op_type, opset, "") and defs.has(node.op_type, near, "")):
        return opset
    own, other = (defs.get_schema(node.op_type, one, "") for one in (opset, near))
    same = own.since_version == other.since_version if opset < near else _fits(node, other)
    return near if same else opset


def _fits(node: NodeProto, schema: defs.OpSchema) -> bool:
    """Whether a node of a newer opset is one of an older definition."""
    known = {item.name for item in node.attribute} <= set(schema.attributes)
    return known and len(node.input) <= schema.max_input and not schema.deprecated
