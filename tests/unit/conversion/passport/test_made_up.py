from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from oakmill.conversion.images.samples import SampleSet
from oakmill.conversion.inputs import ResolvedInput
from oakmill.conversion.passport import made_up
from oakmill.findings import Finding, Severity
from oakmill.graph import equality
from oakmill.spec import Encoding
from tests.unit.graph.building import parse

SHAPE = (3, 2, 2)


def asked(body: str, names: Sequence[str] = ("x",), encoding: Encoding = Encoding.NONE) -> list[Finding]:
    """What is found of a model whose inputs are numbers, measured on made ones."""
    inputs = tuple(ResolvedInput(name, SHAPE, "float32", "NCD", encoding, encoding, None, None) for name in names)
    model = parse(body, inputs=", ".join(f"float[3,2,2] {name}" for name in names), outputs="float[?,?,?] y", opset=13)
    session = equality.Session(model)

    def run(samples: Sequence[Any]) -> Iterable[Any]:
        return map(session.run, samples)

    return list(made_up.findings(inputs, SampleSet.generated(inputs, 4, 0), run))


def test_a_product_that_is_beyond_fp16_is_no_ok() -> None:
    """The product of 1 to 12 was green on RVC4, and infinity there: made-up inputs were small, or held a zero."""
    (found,) = asked("y = ReduceProd(x)")
    assert (found.code, found.severity, found.subject) == ("beyond_half", Severity.WARNING, "y")


@pytest.mark.parametrize("body", ["y = Softmax(x)", "y = LogSoftmax(x)", "m = ReduceMean<axes=[2]>(x) y = Sub(x, m)"])
def test_what_lives_by_differences_is_told_where_fp16_has_none(body: str) -> None:
    """A softmax of 10,000 to 10,003 was green on RVC4, and took 10,001 for 10,000 and 10,003 for 10,004."""
    (found,) = asked(body)
    assert (found.code, found.severity, found.subject) == ("far_from_zero", Severity.WARNING, "x")


@pytest.mark.parametrize(
    "body", ["y = Relu(x)", "y = Add(x, x)", "y = Sigmoid(x)", "y = Mul(x, x)", "y = ReduceMean(x)", "y = Sub(x, x)"]
)
def test_others_are_no_matter_of_range(body: str) -> None:
    assert asked(body) == []


def test_one_of_several_inputs_is_not_asked_about() -> None:
    """Attention takes an offset off its keys, which nobody feeds."""
    assert asked("s = Softmax(x) y = Add(s, z)", ("x", "z")) == []


def test_pixels_have_a_range_and_are_not_asked_about() -> None:
    assert asked("y = Softmax(x)", encoding=Encoding.GRAY) == []
