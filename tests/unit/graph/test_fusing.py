from __future__ import annotations

import pytest

from oakmill.graph import equality
from oakmill.graph.fusing import fuse_gelu
from tests.unit.graph.building import feeds, ops, parse

CONSTANTS = "float r = {1.4142135}, float q = {0.70710677}, float one = {1}, float half = {0.5}, float two = {2}"
FORMS = {
    "as torch writes it": "a = Div(x, r) e = Erf(a) p = Add(e, one) m = Mul(x, p) y = Mul(m, half)",
    "the half first": "h = Mul(x, half) a = Mul(x, q) e = Erf(a) p = Add(one, e) y = Mul(h, p)",
    "the half last but one": "a = Mul(q, x) e = Erf(a) p = Add(e, one) m = Mul(half, p) y = Mul(m, x)",
    "by a division": "a = Div(x, r) e = Erf(a) p = Add(e, one) m = Mul(p, x) y = Div(m, two)",
}


@pytest.mark.parametrize("opset", [13, 14, 15, 16, 17, 18])
@pytest.mark.parametrize("form", FORMS)
def test_gelu_is_one_operator_again(form: str, opset: int) -> None:
    """RVC4's compiler has Gelu in 8 bits and no Erf: no transformer exported below opset 20 could be quantized."""
    model = parse(FORMS[form], constants=CONSTANTS, opset=opset)
    fused = fuse_gelu(model)
    assert [op for op in ops(fused) if op != "Constant"] == ["Gelu"]
    equality.require_equal(equality.run(model, feeds(model)), equality.run(fused, feeds(model)))


@pytest.mark.parametrize(
    "body",
    [
        "a = Div(x, two) e = Erf(a) p = Add(e, one) m = Mul(x, p) y = Mul(m, half)",
        "a = Div(x, r) e = Erf(a) p = Add(e, half) m = Mul(x, p) y = Mul(m, half)",
        "a = Div(x, r) e = Erf(a) p = Add(e, one) m = Mul(a, p) y = Mul(m, half)",
        "a = Div(x, r) e = Erf(a) p = Add(e, one) m = Mul(x, p) y = Mul(m, two)",
        "a = Div(x, r) e = Erf(a) p = Add(e, one) m = Mul(x, p) n = Mul(m, half) y = Add(n, e)",
        "a = Div(x, r) y = Erf(a)",
        "a = Div(r, x) e = Erf(a) p = Add(e, one) m = Mul(x, p) y = Mul(m, half)",
        "a = Div(x, r) e = Erf(a) p = Add(e, one) m = Mul(p, half) y = Mul(m, half)",
        "a = Div(x, r) e = Erf(a) p = Add(e, one) y = Mul(p, p)",
    ],
)
def test_what_is_no_gelu_stays(body: str) -> None:
    model = parse(body, constants=CONSTANTS)
    assert fuse_gelu(model) is model


def test_a_half_that_is_read_elsewhere_stays() -> None:
    body = "h = Mul(x, half) a = Mul(x, q) e = Erf(a) p = Add(one, e) m = Mul(h, p) y = Add(m, h)"
    model = parse(body, constants=CONSTANTS)
    assert fuse_gelu(model) is model


def test_a_half_that_is_read_within_a_branch_stays() -> None:
    """The branch's reading was not seen: the half was fused away, and the branch read what nothing made."""
    body = (
        "h = Mul(x, half) a = Mul(x, q) e = Erf(a) p = Add(one, e) m = Mul(h, p) "
        "y = If(on) <then_branch = t () => (float[2,8,6,5] b) { b = Add(m, h) }, "
        "else_branch = f () => (float[2,8,6,5] c) { c = Identity(m) }>"
    )
    model = parse(body, inputs="float[2,8,6,5] x, bool on", constants=CONSTANTS)
    assert fuse_gelu(model) is model
