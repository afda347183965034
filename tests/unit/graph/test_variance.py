from __future__ import annotations

import numpy as np
import pytest

from oakmill.graph import equality
from oakmill.graph.half import half_estimate
from oakmill.graph.variance import centre_variances
from tests.unit.graph.building import feeds, ops, parse

CONSTANTS = "float two = {2}, float n = {30}, float share = {0.0333333}, float zero = {0}, int64[2] axes = {2, 3}"
BY_AXES = "<axes=[2,-1]>"
FORMS = {
    "means": f"s = Mul(x, x) a = ReduceMean{BY_AXES}(s) m = ReduceMean{BY_AXES}(x) b = Mul(m, m) y = Sub(a, b)",
    "powers": f"s = Pow(x, two) a = ReduceMean{BY_AXES}(s) m = ReduceMean{BY_AXES}(x) b = Pow(m, two) y = Sub(a, b)",
    "pools": "s = Mul(x, x) a = GlobalAveragePool(s) m = GlobalAveragePool(x) b = Mul(m, m) y = Sub(a, b)",
    "sums by the count": "s = Mul(x, x) t = ReduceSum(s, axes) a = Div(t, n) u = ReduceSum(x, axes) m = Mul(share, u)"
    " b = Mul(m, m) y = Sub(a, b)",
    "a sum of squares": f"t = ReduceSumSquare{BY_AXES}(x) a = Mul(t, share) m = ReduceMean{BY_AXES}(x) b = Mul(m, m) "
    "y = Sub(a, b)",
    "as Flax writes its norms": "s = Mul(x, x) t = ReduceSum<keepdims=0>(s, axes) u = ReduceSum<keepdims=0>(x, axes) "
    "a = Mul(t, share) m = Mul(u, share) b = Mul(m, m) d = Sub(a, b) v = Max(zero, d) y = Unsqueeze(v, axes)",
}


@pytest.mark.parametrize("form", FORMS)
def test_a_variance_is_a_mean_of_squares_about_the_mean(form: str) -> None:
    """A norm written as mean(x^2) - mean(x)^2 was 0 or a half in FP16, and whatever stood behind it was constant."""
    model = parse(FORMS[form], constants=CONSTANTS)
    centred = centre_variances(model)
    assert ops(centred)[:4] == ["ReduceMean", "Sub", "Mul", "ReduceMean"]
    equality.require_equal(equality.run(model, feeds(model)), equality.run(centred, feeds(model)))


def test_fp16_keeps_a_small_variance_of_large_numbers() -> None:
    model = parse(FORMS["as Flax writes its norms"], constants=CONSTANTS)
    x = 30 + feeds(model)["x"] / 2
    wanted = x.astype(np.float64).var((2, 3), keepdims=True)

    def error(model: object) -> float:
        run = equality.Session(half_estimate(model), optimise=False)  # type: ignore[arg-type]
        return float(np.abs(run.run({"x": x})["y"] / wanted - 1).max())

    assert error(centre_variances(model)) < 0.05
    assert error(model) > 1


@pytest.mark.parametrize(
    "body",
    [
        "s = Mul(x, x) a = ReduceMean<axes=[2]>(s) m = ReduceMean<axes=[3]>(x) b = Mul(m, m) y = Sub(a, b)",
        "s = Mul(x, x) a = ReduceMean<axes=[2]>(s) r = Relu(x) m = ReduceMean<axes=[2]>(r) b = Mul(m, m) y = Sub(a, b)",
        "a = ReduceMean<axes=[2]>(x) m = ReduceMean<axes=[2]>(x) b = Mul(m, m) y = Sub(a, b)",
        "s = Mul(x, x) a = ReduceMean<axes=[2]>(s) m = ReduceMean<axes=[2]>(x) b = Mul(m, x) y = Sub(a, b)",
        "s = Mul(x, x) a = ReduceMean<axes=[2]>(s) m = ReduceMean<axes=[2]>(x) b = Mul(m, m) y = Sub(b, a)",
        "s = Mul(x, x) t = ReduceSum(s, axes) u = ReduceSum(x, axes) m = Mul(u, share) b = Mul(m, m) y = Sub(t, b)",
        "s = Mul(x, x) t = ReduceSum(s, axes) a = Mul(t, n) u = ReduceSum(x, axes) m = Mul(u, n) b = Mul(m, m) "
        "y = Sub(a, b)",
        "y = Sub(x, zero)",
    ],
)
def test_what_is_no_variance_stays(body: str) -> None:
    model = parse(body, constants=CONSTANTS)
    assert centre_variances(model) is model


def test_a_mean_that_is_read_elsewhere_is_kept() -> None:
    body = (
        f"s = Mul(x, x) a = ReduceMean{BY_AXES}(s) m = ReduceMean{BY_AXES}(x) b = Mul(m, m) v = Sub(a, b) y = Add(v, m)"
    )
    model = parse(body, constants=CONSTANTS)
    centred = centre_variances(model)
    equality.require_equal(equality.run(model, feeds(model)), equality.run(centred, feeds(model)))
