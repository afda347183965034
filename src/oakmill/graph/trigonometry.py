"""Angles' functions by polynomials, for a compiler that has none of them: RVC2's knows no sine and no arc.

Each polynomial is of the square of an angle within one turn, a Chebyshev fit whose error lies below float32's own. It
stands beside the function's zeros as factors, so that nothing cancels near them in float16 either. What is lost there
is the angle itself: numbers of float16 lie 0.004 apart at a whole turn, and 0.06 at ten.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from onnx import NodeProto, helper

from oakmill.graph.rewriting import Emitter, Rewrite

_SINE = (3.14159265, -2.02612012, 0.52404378, -0.0752198125, 0.0069229605, -0.000441736012, 1.85994123e-05)
"""sin(pi u) / (u (1 - u^2)), by u^2 from 0 to 1; within 1e-10."""
_COSINE = (4.0, -3.73920876, 1.27801257, -0.2289935, 0.0253183448, -0.00188494393, 8.96207711e-05)
"""cos(pi u) / (1/4 - u^2), by u^2 from 0 to 1; within 5e-10."""
_ARC = (
    0.999999998, -0.333332823, 0.199982311, -0.142615773, 0.109402129,
    -0.0837209527, 0.0574639759, -0.0307178326, 0.0106808521, -0.00174372291,
)  # fmt: skip
"""atan(w) / w, by w^2 from 0 to 1; within 3e-9."""
_TURN = 6.28125
"""2 pi in 8 bits: whole multiples of it are exact in float16, up to eight turns, so that taking them off is, too."""


def sine(node: NodeProto, emit: Emitter) -> None:
    """Of the angle within half a turn to either side."""
    _sine(*_half_turns(node.input[0], emit), emit, node.output[0])


def cosine(node: NodeProto, emit: Emitter) -> None:
    """Of the angle within half a turn to either side."""
    _cosine(_half_turns(node.input[0], emit)[1], emit, node.output[0])


def tangent(node: NodeProto, emit: Emitter) -> None:
    """Sine by cosine."""
    u, square = _half_turns(node.input[0], emit)
    emit("Div", _sine(u, square, emit), _cosine(square, emit), out=node.output[0])


def arc_tangent(node: NodeProto, emit: Emitter) -> None:
    """Of what is not above 1; beyond, a quarter turn less that of 1 / x."""
    _arc_tangent(node.input[0], emit, node.output[0])


def arc_sine(node: NodeProto, emit: Emitter) -> None:
    """2 atan(x / (1 + sqrt(1 - x^2)))."""
    _arc_sine(node.input[0], emit, node.output[0])


def arc_cosine(node: NodeProto, emit: Emitter) -> None:
    """pi / 2 - asin(x)."""
    emit("Sub", emit.operand(math.pi / 2), _arc_sine(node.input[0], emit), out=node.output[0])


def _half_turns(x: str, emit: Emitter) -> tuple[str, str]:
    """The angle without whole turns, in half turns from -1 to 1, and its square.

    A turn is taken off in two parts (Cody and Waite, "Software Manual for the Elementary Functions", 1980).
    """
    turns = emit("Floor", emit("Add", emit("Mul", x, 0.5 / math.pi), 0.5))
    rest = emit("Sub", emit("Sub", x, emit("Mul", turns, _TURN)), emit("Mul", turns, 2 * math.pi - _TURN))
    u = emit("Mul", rest, 1 / math.pi)
    return u, emit("Mul", u, u)


def _sine(u: str, square: str, emit: Emitter, out: str = "") -> str:
    zeros = emit("Mul", u, emit("Sub", emit.operand(1.0), square))
    return emit("Mul", zeros, _polynomial(square, _SINE, emit), out=out)


def _cosine(square: str, emit: Emitter, out: str = "") -> str:
    zeros = emit("Sub", emit.operand(0.25), square)
    return emit("Mul", zeros, _polynomial(square, _COSINE, emit), out=out)


def _arc_sine(x: str, emit: Emitter, out: str = "") -> str:
    root = emit("Sqrt", emit("Sub", emit.operand(1.0), emit("Mul", x, x)))
    arc = _arc_tangent(emit("Div", x, emit("Add", root, 1.0)), emit)
    return emit("Mul", arc, 2.0, out=out)


def _arc_tangent(x: str, emit: Emitter, out: str = "") -> str:
    size = emit("Abs", x)
    part = emit("Div", emit("Min", size, 1.0), emit("Max", size, 1.0))  # the same of x and 1 / x
    arc = emit("Mul", part, _polynomial(emit("Mul", part, part), _ARC, emit))
    other = emit("Sub", emit.operand(math.pi / 2), emit("Mul", arc, 2.0))
    full = emit("Add", arc, emit("Mul", _truth(emit("Greater", size, 1.0), emit), other))
    signs = (_truth(emit(op, x, 0.0), emit) for op in ("Greater", "Less"))
    return emit("Mul", emit("Sub", *signs), full, out=out)


def _polynomial(x: str, coefficients: Sequence[float], emit: Emitter) -> str:
    """By Horner's rule; the first stands alone."""
    *rest, last = coefficients
    total = emit("Mul", x, last)
    for value in rest[:0:-1]:
        total = emit("Mul", x, emit("Add", total, value))
    return emit("Add", total, rest[0])


def _truth(x: str, emit: Emitter) -> str:
    """1 or 0, in the type of the node's first input."""
    return emit("Cast", x, to=helper.np_dtype_to_tensor_dtype(emit.scope.dtype(emit.node.input[0])))


POLYNOMIALS: Mapping[str, Rewrite] = {
    "Acos": arc_cosine,
    "Asin": arc_sine,
    "Atan": arc_tangent,
    "Cos": cosine,
    "Sin": sine,
    "Tan": tangent,
}
