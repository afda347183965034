"""Recurrent layers unrolled over a fixed, short sequence into matrix products and activations.

Equations and the order of the gates are those of the ONNX operator reference (GRU-14, LSTM-14, RNN-14), layout 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import NodeProto

from oakmill.graph.rewriting import Array, CannotRewriteError, Emitter, argument, attributes
from oakmill.model.pruning import reads

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


State = tuple[str, ...]
"""The hidden state [1, batch, hidden], and the cell's of an LSTM behind it."""

Cell = Callable[[Emitter, Sequence[_Gate], int, State], State]
"""(emit, gates, step, state) -> the next state."""


def gru(node: NodeProto, emit: Emitter) -> None:
    """A GRU, either direction or both, with its default activations."""
    late = bool(attributes(node).get("linear_before_reset", 0))
    _unroll(node, emit, _gru_reset_late if late else _gru_reset_early, ["Sigmoid", "Tanh"])


def lstm(node: NodeProto, emit: Emitter) -> None:
    """An LSTM, either direction or both, with its default activations and no peepholes."""
    if argument(node, 7) or attributes(node).get("input_forget", 0):
        raise CannotRewriteError("it has peepholes, or couples its input and forget gates")
    _unroll(node, emit, _lstm_step, ["Sigmoid", "Tanh", "Tanh"], states=2)


def last_of_all(node: NodeProto, emit: Emitter) -> None:
    """A last state as the last step of all, where nothing reads these: RVC2's compiler drops the layer with them.

    Layers whose sequences have lengths of their own stay, and those of which the cell's state alone is read.
    """
    used = {name for other in emit.scope.graph.node for name in reads(other)}
    used |= {value.name for value in emit.scope.graph.output}
    every, hidden, *cell = (name if name in used else "" for name in node.output)
    if every or not hidden or argument(node, 4) or attributes(node).get("layout", 0):
        return
    direction = attributes(node).get("direction", "forward")
    steps, batch = emit.scope.fixed_shape(node.input[0])[:2]
    whole = NodeProto()
    whole.CopyFrom(node)
    whole.output[:] = [every := emit.scope.fresh(f"{hidden}/all"), "", *cell]
    emit.nodes.append(whole)
    last = [0] if direction == "reverse" else [steps - 1]
    if direction == "bidirectional":
        last = [steps - 1, 0]
    ends = [emit.cut(every, step, step + 1, 0) for step in last]
    if len(ends) > 1:
        ends = [emit.cut(end, place, place + 1, 1) for place, end in enumerate(ends)]
    rows = [emit("Reshape", end, [1, batch, -1]) for end in ends[:-1]]
    rows.append(emit("Reshape", ends[-1], [1, batch, -1], out=hidden if len(ends) == 1 else ""))
    if len(rows) > 1:
        emit("Concat", *rows, axis=0, out=hidden)


def rnn(node: NodeProto, emit: Emitter) -> None:
    """A plain recurrent layer, either direction or both, with tanh."""
    _unroll(node, emit, _rnn_step, ["Tanh"])


def _rnn_step(emit: Emitter, gates: Sequence[_Gate], step: int, state: State) -> State:
    """h' = tanh(x W + h R + b)."""
    return (emit("Tanh", gates[0].sum(emit, step, state[0])),)


def _lstm_step(emit: Emitter, gates: Sequence[_Gate], step: int, state: State) -> State:
    """c' = f c + i tanh(x W + h R + b), h' = o tanh(c')."""
    hidden, cell = state
    enter, leave, forget, new = (gate.sum(emit, step, hidden) for gate in gates)
    kept = emit("Mul", emit("Sigmoid", forget), cell)
    cell = emit("Add", kept, emit("Mul", emit("Sigmoid", enter), emit("Tanh", new)))
    return emit("Mul", emit("Sigmoid", leave), emit("Tanh", cell)), cell


def _gru_reset_late(emit: Emitter, gates: Sequence[_Gate], step: int, states: State) -> State:
    """n = tanh(x W + r (h R + b)), which is what PyTorch and Keras export."""
    update, reset, hidden = gates
    (state,) = states
    open_by = emit("Sigmoid", reset.sum(emit, step, state))
    held = emit("Mul", open_by, hidden.back(emit, state))
    new = emit("Tanh", emit("Add", hidden.forward(emit, step), held))
    return (_blend(emit, update.sum(emit, step, state), state, new),)


def _gru_reset_early(emit: Emitter, gates: Sequence[_Gate], step: int, states: State) -> State:
    """n = tanh(x W + (r h) R + b)."""
    update, reset, hidden = gates
    (state,) = states
    kept = emit("Mul", emit("Sigmoid", reset.sum(emit, step, state)), state)
    new = emit("Tanh", hidden.sum(emit, step, kept))
    return (_blend(emit, update.sum(emit, step, state), state, new),)


def _blend(emit: Emitter, update: str, state: str, new: str) -> str:
    """h' = (1 - z) n + z h, written as n + z (h - n)."""
    return emit("Add", new, emit("Mul", emit("Sigmoid", update), emit("Sub", state, new)))


def _unroll(node: NodeProto, emit: Emitter, cell: Cell, activations: Sequence[str], states: int = 1) -> None:
    given = attributes(node)
    _check(node, given, activations, emit)
    direction = given.get("direction", "forward")
    backward = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[direction]
    runs = [_run(node, emit, cell, index, back, states) for index, back in enumerate(backward)]
    if node.output[0]:
        steps, batch = emit.scope.fixed_shape(node.input[0])[:2]
        layers = [emit("Concat", *hidden, axis=0) for hidden, _ in runs]
        rows = [emit("Reshape", layer, [steps, 1, batch, -1]) for layer in layers]
        emit("Concat", *rows, axis=1, out=node.output[0])
    for place, name in enumerate(node.output[1:]):
        if name:
            emit("Concat", *(last[place] for _, last in runs), axis=0, out=name)


def _check(node: NodeProto, given: dict[str, Any], activations: Sequence[str], emit: Emitter) -> None:
    steps = emit.scope.fixed_shape(node.input[0])[0]
    if steps > MAX_STEPS:
        raise CannotRewriteError(f"its sequence has {steps} steps; up to {MAX_STEPS} are unrolled")
    named = [item.decode() for item in given.get("activations", [])]
    plain = not named or all(named[i] == activations[i % len(activations)] for i in range(len(named)))
    if not plain or "clip" in given or given.get("layout", 0) or argument(node, 4):
        raise CannotRewriteError("it has other activations, a clip, another layout or sequence lengths")


def _run(node: NodeProto, emit: Emitter, cell: Cell, index: int, back: bool, states: int) -> tuple[list[str], State]:
    """One direction: the hidden states [1, batch, hidden] in the sequence's order, and the last state computed."""
    steps = emit.scope.fixed_shape(node.input[0])[0]
    gates = list(_gates(node, emit, index))
    state = tuple(_initial(node, emit, 5 + place, index, gates[0]) for place in range(states))
    hidden = []
    for step in reversed(range(steps)) if back else range(steps):
        state = cell(emit, gates, step, state)
        hidden.append(state[0])
    return (hidden[::-1] if back else hidden), state


def _initial(node: NodeProto, emit: Emitter, place: int, index: int, gate: _Gate) -> str:
    """A state to begin with, [1, batch, hidden]: the node's own, else zeros."""
    if argument(node, place):
        return emit.cut(node.input[place], index, index + 1, 0)
    return emit.operand(np.zeros([1, emit.scope.fixed_shape(node.input[0])[1], gate.bias.size]))


def _gates(node: NodeProto, emit: Emitter, index: int) -> Iterator[_Gate]:
    weights, recurrence = (emit.scope.constant(node.input[i])[index] for i in (1, 2))
    bias = emit.scope.constant(node.input[3])[index] if argument(node, 3) else np.zeros(2 * len(weights))
    count = len(weights) // recurrence.shape[1]
    halves = (np.split(half, count) for half in np.split(bias, 2))
    for w, r, b, c in zip(np.split(weights, count), np.split(recurrence, count), *halves, strict=True):
        yield _Gate(emit("Add", emit("MatMul", node.input[0], w.T), b), r, c)
