"""Says which inputs and tensors no camera has room for, before anything of their size is made here."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from oakmill.errors import UnsupportedModel
from oakmill.findings import Finding, Severity
from oakmill.model.source import Tensor
from oakmill.preflight.findings import Code, of_node
from oakmill.preflight.graph import Facts
from oakmill.spec import InputSpec

MOST_VALUES = 1 << 28
"""Numbers of a tensor: a gigabyte in 32 bits, where RVC2 has half of one in all, and RVC4 eight."""


def of_input(name: str, shape: Sequence[int | str | None]) -> Iterator[Finding]:
    """What is said of an input that is too large; open dimensions count as 1."""
    values = math.prod(size if isinstance(size, int) and size > 0 else 1 for size in shape)
    if values > MOST_VALUES:
        sizes = ",".join("?" if size is None else str(size) for size in shape)
        yield Finding(
            Code.SHAPE, Severity.ERROR,
            f"input {name!r} is {sizes}, which are {values:,} numbers; no camera has room for them",
            subject=name, remedy=f"export the model for a smaller input, of {MOST_VALUES:,} numbers at most",
        )  # fmt: skip


def of_nodes(facts: Facts) -> Iterator[Finding]:
    """What is said of nodes that make too much, constants too: a few bytes of an Expand or a Range are terabytes."""
    for node in facts.graph.node:
        values = max((math.prod(size or 1 for size in facts.shape(name) or ()) for name in node.output), default=0)
        if values > MOST_VALUES:
            yield of_node(
                Code.ROOM, Severity.ERROR,
                f"{node.op_type} makes {values:,} numbers of it; no camera has room for them",
                facts.label(node), node.op_type,
                f"export the model with tensors of {MOST_VALUES:,} numbers at most, or end it before this node",
            )  # fmt: skip
    for tensor in facts.graph.sparse_initializer:
        values = math.prod(tensor.dims)
        if values > MOST_VALUES:
            yield of_node(
                Code.ROOM, Severity.ERROR,
                f"the sparse constant is {values:,} numbers; no camera has room for them",
                tensor.values.name, "Constant", "export the model without it",
            )  # fmt: skip


def require(found: Iterator[Finding]) -> None:
    """Refuse by the first of these findings.

    Raises:
        UnsupportedModel: there is one.
    """
    for item in found:
        raise UnsupportedModel(item.message, subject=item.subject, remedy=item.remedy)


def require_inputs(tensors: Sequence[Tensor], asked: Sequence[InputSpec]) -> None:
    """Refuse a source of any format for the first of its inputs that is too large, as it states or is asked to be.

    Raises:
        UnsupportedModel: names the input.
    """
    named = {item.name or (tensors[0].name if tensors else ""): item.shape for item in asked if item.shape}
    for tensor in tensors:
        require(of_input(tensor.name, named.get(tensor.name) or tensor.shape))
