"""What OpenVINO 2022.2 refuses or computes wrongly comes out right on its CPU plugin."""

from __future__ import annotations

from pathlib import Path

import onnx.parser
from onnx import ModelProto

from tests.conversion.conftest import Convert
from tests.conversion.makers import saved

AWKWARD = """<ir_version: 8, opset_import: ["": 13]> awkward (float[3,2,8] x, bool[2,2] mask) => (float[3,2,8] y)
<float e = {0.1}, float two = {2}, int64[2] parts = {8, 0}, float low = {-inf}, float zero = {0},
 float up = {0.5}, float down = {-0.25}> {
  m = ReduceMean<axes=[-1]>(x)  square = Mul(x, x)  m2 = ReduceMean<axes=[-1]>(square)  mm = Mul(m, m)
  variance = Sub(m2, mm)  more = Add(variance, e)  deviation = Sqrt(more)  off = Sub(x, m)  normal = Div(off, deviation)
  turned, rest = Split<axis=2>(normal, parts)  sine = Tanh(turned)  rotated = Concat<axis=2>(sine, rest)
  keys = Transpose<perm=[0,2,1]>(rotated)  scores = MatMul(rotated, keys)  bias = Where(mask, zero, low)
  masked = Add(scores, bias)  shares = Softmax<axis=-1>(masked)  best = ReduceMax<axes=[-1]>(bias)
  nothing = Equal(best, low)  safe = Where(nothing, zero, shares)  mixed = MatMul(safe, rotated)
  clipped = Clip(x, up, down)  shifted = Mul(clipped, two)  y = Add(mixed, shifted)
}"""


def awkward() -> ModelProto:
    """A norm of a batch of 3 with a large epsilon, a rotary's empty part, rows masked as a whole, crossed bounds."""
    return onnx.parser.parse_model(AWKWARD)


def test_what_openvino_misreads_is_right_in_the_finished_file(tmp_path: Path, convert: Convert) -> None:
    """Each was refused: norms without epsilon from the second row on, NaN of a masked row, a Split of nothing."""
    answer = convert(saved(awkward(), tmp_path / "awkward.onnx"), "--blob", "-o", tmp_path / "out")
    assert answer.exit_code == 0, (answer.error, answer.stderr)
    proof, half = answer.result["passport"]["checks"]
    assert proof["outputs"][0]["snr_db"] > 100
    assert half["outputs"][0]["snr_db"] > 45
