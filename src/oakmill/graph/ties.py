"""Choices among equals: which of two equal scores TopK or ArgMax takes is nobody's to say, and no difference.

A saturated heatmap has many scores of 1.0, and a step that makes them 0.99999994 changes which come first. So the
source is asked once more, with the other model's choices in the place of its own, once these are seen to be as good.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

from oakmill.graph import equality
from oakmill.graph.rewriting import STANDARD_DOMAINS, Array, CannotRewriteError, Scope, attributes
from oakmill.graph.skeleton import copy_of

_INDICES = {"TopK": 1, "ArgMax": 0, "ArgMin": 0}
"""Which output of an operator is its choice."""
FP16_STEP = 2.0**-10
"""How far two numbers are apart, relative to their size, that are the same or next to each other in FP16."""
_KEEPING_ORDER = ("Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze")


def answers(
    source: ModelProto,
    feeds: Mapping[str, Array],
    candidate: ModelProto,
    raw: Mapping[str, Array],
    given: Mapping[str, Array],
) -> dict[str, Array] | None:
    """The source's outputs where it chooses as the candidate did; None if there is no choice, or it is another.

    Args:
        source: the model to compare with, with fixed shapes.
        feeds: what it is fed.
        candidate: what was made of it; its tensors keep the source's names where they are still there.
        raw: what that is fed.
        given: its outputs, by the source's names.

    Raises:
        PreparationFailed: a model cannot be run.
    """
    try:
        choices = _choices(source, candidate, raw, given)
    except (CannotRewriteError, ValueError):  # a shape is open, or another than it was
        return None
    if not choices:
        return None
    nodes = {name: node for node in source.graph.node if (name := _choice(node)) in choices}
    own = {name: f"{name}/own" for name in choices}
    scores = [node.input[0] for node in nodes.values()]
    asked = equality.run(_told(source, own, scores), {**feeds, **choices})
    for name, node in nodes.items():
        if not _as_good(node, asked[node.input[0]], asked[own[name]], choices[name]):
            return None
    return {
        name: choices[name] if name in choices else asked[name]
        for name in (value.name for value in source.graph.output)
    }


class Choices:
    """The outputs of a model that say which scores TopK or ArgMax chose, or hold that in the same order.

    Args:
        source: with fixed shapes; is loaded when a choice differs, and kept.
    """

    def __init__(self, source: ModelProto) -> None:
        self._source = source
        outputs = {value.name for value in source.graph.output}
        nodes = [(node, name) for node in source.graph.node if (name := _choice(node))]
        self._nodes = {name: node for node, choice in nodes for name in _same_order(source, choice) if name in outputs}

    def settled(
        self, feeds: Mapping[str, Array], own: Mapping[str, Array], found: Mapping[str, Array]
    ) -> dict[str, Array]:
        """Another model's outputs, with the source's own choice wherever the other is of a score that FP16 calls equal.

        Args:
            feeds: what the source is fed.
            own: its outputs.
            found: the other's, by the source's names.

        Raises:
            PreparationFailed: the source cannot be run.
        """
        settled = dict(found)
        for name, node in self._nodes.items():
            if name in found and found[name].shape == own[name].shape and not np.array_equal(own[name], found[name]):
                scores = self._session.run(feeds, [node.input[0]])[node.input[0]]
                settled[name] = np.where(_equal(node, scores, own[name], found[name]), own[name], found[name])
        return settled

    @cached_property
    def _session(self) -> equality.Session:
        return equality.Session(_exposing(self._source, [node.input[0] for node in self._nodes.values()]))


def _equal(node: NodeProto, scores: Array, own: Array, found: Array) -> Array:
    """Where two choices are of scores that are one number in FP16."""
    axis = _axis(node, scores)
    shape = [-1 if place == axis else size for place, size in enumerate(scores.shape)]
    pair = [np.rint(each).astype(np.int64).reshape(shape) for each in (own, found)]
    inside = [np.clip(each, 0, scores.shape[axis] - 1) for each in pair]
    a, b = (np.take_along_axis(scores, each, axis).astype(np.float64) for each in inside)
    equal = (np.abs(a - b) <= FP16_STEP * np.abs(a)) & (pair[1] == inside[1])
    return np.asarray(equal.reshape(own.shape))


def _axis(node: NodeProto, scores: Array) -> int:
    axis: int = attributes(node).get("axis", -1 if node.op_type == "TopK" else 0)
    return axis % max(scores.ndim, 1)


def _choice(node: NodeProto) -> str:
    """The tensor in which a node says what it chose, if anything reads it."""
    place = _INDICES.get(node.op_type, len(node.output)) if node.domain in STANDARD_DOMAINS else len(node.output)
    return node.output[place] if place < len(node.output) else ""


def _choices(
    source: ModelProto, candidate: ModelProto, raw: Mapping[str, Array], given: Mapping[str, Array]
) -> dict[str, Array]:
    """What the candidate chose, where it still has the tensor, or one that holds the same in the same order."""
    scope = Scope(copy_of(source))
    inner = {name for node in candidate.graph.node for name in node.output}
    places: dict[str, str] = {}
    for name in filter(None, map(_choice, source.graph.node)):
        alike = list(_same_order(source, name))
        known = [other for other in alike if other in given] or [other for other in alike if other in inner]
        if known:
            places[name] = known[0]
    asked = sorted({place for place in places.values() if place not in given})
    found = {**given, **(equality.run(_exposing(candidate, asked), raw, asked) if asked else {})}
    return {
        name: np.rint(found[place]).astype(np.int64).reshape(scope.fixed_shape(name)) for name, place in places.items()
    }


def _same_order(source: ModelProto, name: str) -> Iterator[str]:
    """A tensor, and those that hold its values in its order."""
    yield name
    for node in source.graph.node:
        if node.op_type in _KEEPING_ORDER and node.input[0] == name:
            yield from _same_order(source, node.output[0])


def _exposing(model: ModelProto, names: list[str]) -> ModelProto:
    """A copy with more outputs, whose types onnxruntime works out."""
    model = copy_of(model)
    known = {value.name for value in model.graph.output}
    model.graph.output.extend(ValueInfoProto(name=name) for name in dict.fromkeys(names) if name not in known)
    return model


def _told(source: ModelProto, own: Mapping[str, str], scores: list[str]) -> ModelProto:
    """A copy in which choices are inputs; its outputs are also what each node would choose itself, and of what."""
    told = _exposing(source, [*own.values(), *(name for name in scores if name not in own)])
    for node in told.graph.node:
        for place, name in enumerate(node.output):
            node.output[place] = own.get(name, name)
    told.graph.input.extend(helper.make_tensor_value_info(name, TensorProto.INT64, None) for name in own)
    kept = [value for value in told.graph.output if value.name not in own]
    del told.graph.output[:]
    told.graph.output.extend(kept)
    return told


def _as_good(node: NodeProto, scores: Array, own: Array, choice: Array) -> bool:
    """Whether the scores chosen are those that the node itself would choose, and none is chosen twice."""
    given, axis = attributes(node), _axis(node, scores)
    if not given.get("keepdims", 1):
        own, choice = np.expand_dims(own, axis), np.expand_dims(choice, axis)
    if choice.shape != own.shape or choice.min(initial=0) < 0 or choice.max(initial=0) >= scores.shape[axis]:
        return False
    ordered = np.sort(choice, axis)
    if np.any(np.diff(ordered, axis=axis) == 0):
        return False
    wanted, found = (np.take_along_axis(scores, indices, axis) for indices in (own, choice))
    if scores.dtype.kind != "f":
        return bool(np.array_equal(wanted, found))
    return equality.compare({"scores": wanted}, {"scores": found})[0].passed
