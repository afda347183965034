"""Recurrent layers unrolled over a fixed, short sequence into matrix products and activations.

Equations and the order of the gates are those of the ONNX operator reference (GRU-14, RNN-14), layout 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import NodeProto

from oakmill.graph.rewriting import Array, CannotRewriteError, Emitter, argument, attributes

MAX_STEPS = 64
"""The longest sequence that is unrolled: a GRU of as many steps is about 800 nodes."""


@dataclass(frozen=True)
class _Gate:
    """One gate of one direction: x W + b of the whole sequence [steps, batch, hidden], and its recurrent half.

    Each gate has its own products: with one product for all, cut apart, the RVC2 compiler fails on an assertion.
    """

    ahead: str
    recurrence: Array
    bias: Array

    def forward(self, emit: Emitter, step: int) -> str:
        """x W + b of one step, [1, batch, hidden]."""
        return emit.cut(self.ahead, step, step + 1, 0)

    def back(self, emit: Emitter, state: str) -> str:
        """h R + b."""
        return emit("Add", emit("MatMul", state, self.recurrence.T), self.bias)

    def sum(self, emit: Emitter, step: int, state: str) -> str:
        """What an activation is applied to."""
        return emit("Add", self.forward(emit, step), self.back(emit, state))


Cell = Callable[[Emitter, Sequence[_Gate], int, str], str]
"""(emit, gates, step, state) -> the next state."""


def gru(node: NodeProto, emit: Emitter) -> None:
    """A GRU, either direction or both, with its default activations."""
    late = bool(attributes(node).get("linear_before_reset", 0))
    _unroll(node, emit, _gru_reset_late if late else _gru_reset_early, ["Sigmoid", "Tanh"])


def rnn(node: NodeProto, emit: Emitter) -> None:
    """A plain recurrent layer, either direction or both, with tanh."""
    _unroll(node, emit, _rnn_step, ["Tanh"])


def _rnn_step(emit: Emitter, gates: Sequence[_Gate], step: int, state: str) -> str:
    """h' = tanh(x W + h R + b)."""
    return emit("Tanh", gates[0].sum(emit, step, state))


def _gru_reset_late(emit: Emitter, gates: Sequence[_Gate], step: int, state: str) -> str:
    """n = tanh(x W + r (h R + b)), which is what PyTorch and Keras export."""
    update, reset, hidden = gates
    open_by = emit("Sigmoid", reset.sum(emit, step, state))
    held = emit("Mul", open_by, hidden.back(emit, state))
    new = emit("Tanh", emit("Add", hidden.forward(emit, step), held))
    return _blend(emit, update.sum(emit, step, state), state, new)


def _gru_reset_early(emit: Emitter, gates: Sequence[_Gate], step: int, state: str) -> str:
    """n = tanh(x W + (r h) R + b)."""
    update, reset, hidden = gates
    kept = emit("Mul", emit("Sigmoid", reset.sum(emit, step, state)), state)
    new = emit("Tanh", hidden.sum(emit, step, kept))
    return _blend(emit, update.sum(emit, step, state), state, new)


def _blend(emit: Emitter, update: str, state: str, new: str) -> str:
    """h' = (1 - z) n + z h, written as n + z (h - n)."""
    return emit("Add", new, emit("Mul", emit("Sigmoid", update), emit("Sub", state, new)))


def _unroll(node: NodeProto, emit: Emitter, cell: Cell, activations: Sequence[str]) -> None:
    given = attributes(node)
    _check(node, given, activations, emit)
    direction = given.get("direction", "forward")
    backward = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[direction]
    runs = [_run(node, emit, cell, index, back) for index, back in enumerate(backward)]
    if node.output[0]:
        steps, batch = emit.scope.fixed_shape(node.input[0])[:2]
        layers = [emit("Concat", *states, axis=0) for states, _ in runs]
        rows = [emit("Reshape", layer, [steps, 1, batch, -1]) for layer in layers]
        emit("Concat", *rows, axis=1, out=node.output[0])
    if len(node.output) > 1 and node.output[1]:
        emit("Concat", *(last for _, last in runs), axis=0, out=node.output[1])


def _check(node: NodeProto, given: dict[str, Any], activations: Sequence[str], emit: Emitter) -> None:
    steps = emit.scope.fixed_shape(node.input[0])[0]
    if steps > MAX_STEPS:
        raise CannotRewriteError(f"its sequence has {steps} steps; up to {MAX_STEPS} are unrolled")
    named = [item.decode() for item in given.get("activations", [])]
    plain = not named or all(named[i] == activations[i % len(activations)] for i in range(len(named)))
    if not plain or "clip" in given or given.get("layout", 0) or argument(node, 4):
        raise CannotRewriteError("it has other activations, a clip, another layout or sequence lengths")


def _run(node: NodeProto, emit: Emitter, cell: Cell, index: int, back: bool) -> tuple[list[str], str]:
    """One direction: the states [1, batch, hidden] in the order of the sequence, and the last one computed."""
    steps, batch = emit.scope.fixed_shape(node.input[0])[:2]
    gates = list(_gates(node, emit, index))
    if argument(node, 5):
        state = emit.cut(node.input[5], index, index + 1, 0)
    else:
        state = emit.operand(np.zeros([1, batch, gates[0].bias.size]))
    states = []
    for step in reversed(range(steps)) if back else range(steps):
        state = cell(emit, gates, step, state)
        states.append(state)
    return (states[::-1] if back else states), state


def _gates(node: NodeProto, emit: Emitter, index: int) -> Iterator[_Gate]:
    weights, recurrence = (emit.scope.constant(node.input[i])[index] for i in (1, 2))
    bias = emit.scope.constant(node.input[3])[index] if argument(node, 3) else np.zeros(2 * len(weights))
    count = len(weights) // recurrence.shape[1]
    halves = (np.split(half, count) for half in np.split(bias, 2))
    for w, r, b, c in zip(np.split(weights, count), np.split(recurrence, count), *halves, strict=True):
        yield _Gate(emit("Add", emit("MatMul", node.input[0], w.T), b), r, c)
