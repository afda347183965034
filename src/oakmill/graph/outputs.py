"""What a graph ends at: outputs that keep their names through the compiler's own clean-up, or others than its own."""

from __future__ import annotations

from collections.abc import Collection, MutableSequence, Sequence

from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto, helper

from oakmill.errors import SpecError, UnsupportedModel
from oakmill.graph.rewriting import Scope
from oakmill.graph.skeleton import copy_of, dimensions, infer_shapes
from oakmill.model.pruning import drop_unneeded, reads

_FINDING = {"NonZero", "Unique", "Compress", "NonMaxSuppression"}
"""Operators that return as much as they find."""

_DRAWN = {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}


def require_fixed(model: ModelProto) -> None:
    """Refuse a model whose outputs' sizes depend on the data, for tools that compile it and then cannot run it.

    Raises:
        UnsupportedModel: an output's size is open, and a node returns as much as it finds.
    """
    sizes = {value.name: dimensions(value.type.tensor_type) or () for value in model.graph.output}
    found = next((name for name, shape in sizes.items() if None in shape), None)
    node = next((node for node in model.graph.node if node.op_type in _FINDING), None)
    if found and node:
        raise UnsupportedModel(
            f"node {node.name!r} ({node.op_type}) returns as much as it finds, so output {found!r} has no fixed size",
            subject=node.name,
            remedy="end the network before it (--outputs), and do this step on the host",
        )


def keep_names(model: ModelProto) -> ModelProto:
    """Replace each Identity that makes an output by a Cast to the type that it has; in place.

    OpenVINO's reader drops Identity nodes, and calls the output by the name of what stood before them; of two
    outputs that are the same tensor only one is left. It keeps a Cast, which costs no stage in the blob.
    """
    types = {value.name: value.type.tensor_type.elem_type for value in model.graph.output}
    for index, node in enumerate(model.graph.node):
        name = node.output[0] if node.output else ""
        if node.op_type == "Identity" and name in types and types[name]:
            cast = helper.make_node("Cast", [node.input[0]], [name], node.name or name, to=types[name])
            model.graph.node[index].CopyFrom(cast)
    return model


def own_nodes(model: ModelProto) -> ModelProto:
    """Give each output a node that it shares neither with another output nor its name: a copy, if there is need.

    OpenVINO's own format names outputs after nodes. Those of a Split or TopK get the name of its last one and a
    number, so a Cast to its own type goes behind each; and a name that an earlier node has gets a number too.
    """
    by_name = {value.name: value for value in model.graph.output}
    shared = [name for node in model.graph.node if len(node.output) > 1 for name in node.output if name in by_name]
    if not shared and not any(_has_name_of_another(node, by_name) for node in model.graph.node):
        return model
    model = copy_of(model)
    scope = Scope(model)
    for name in shared:
        inner = scope.fresh(f"{name}/shared")
        for node in model.graph.node:
            _rename(node.input, name, inner)
            _rename(node.output, name, inner)
        kind = by_name[name].type.tensor_type.elem_type
        model.graph.node.append(helper.make_node("Cast", [inner], [name], name, to=kind))
    for node in model.graph.node:
        if _has_name_of_another(node, by_name):
            node.name = scope.fresh(f"{node.name}/node")
    return infer_shapes(model)


def _has_name_of_another(node: NodeProto, outputs: Collection[str]) -> bool:
    return node.name in outputs and node.name not in node.output


def _rename(names: MutableSequence[str], old: str, new: str) -> None:
    for index, name in enumerate(names):
        if name == old:
            names[index] = new


def without_constants(model: ModelProto) -> tuple[ModelProto, list[str]]:
    """A copy without the outputs that are the same whatever comes in, and their names; the same model if none are.

    All of them stay where there are no others.
    """
    known = _constant(infer_shapes(model))
    dropped = [value.name for value in model.graph.output if value.name in known]
    if not dropped or len(dropped) == len(model.graph.output):
        return model, []
    model = copy_of(model)
    kept = [value for value in model.graph.output if value.name not in dropped]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    drop_unneeded(model.graph)
    return model, dropped


def _constant(model: ModelProto) -> set[str]:
    """The tensors that depend on no input: constants, shapes that are fixed, and what is computed of these."""
    values = (*model.graph.input, *model.graph.value_info, *model.graph.output)
    fixed = {value.name for value in values if None not in (dimensions(value.type.tensor_type) or (None,))}
    known = {tensor.name for tensor in model.graph.initializer} | {""}
    for node in model.graph.node:
        is_shape = node.op_type in ("Shape", "Size") and node.input[0] in fixed
        if is_shape or (node.op_type not in _DRAWN and all(name in known for name in reads(node))):
            known.update(node.output)
    return known - {""}


def cut_at(model: ModelProto, names: Sequence[str]) -> ModelProto:
    """Make these tensors the model's outputs, in this order, and drop what only others need; in place.

    A name is that of a tensor, or of a node, which stands for its first output.

    Raises:
        SpecError: the model computes nothing of that name, or something whose type is not known; or one comes twice.
    """
    infer_shapes(model)
    chosen = [_find(model.graph, name) for name in names]
    for value in chosen:
        if chosen.count(value) > 1:
            raise SpecError(f"The network cannot end at {value.name!r} twice.", subject=value.name)
    del model.graph.output[:]
    model.graph.output.extend(chosen)
    drop_unneeded(model.graph)
    return model


def _find(graph: GraphProto, name: str) -> ValueInfoProto:
    computed = {output: output for node in graph.node for output in node.output}
    by_node = {node.name: node.output[0] for node in graph.node if node.name and node.output}
    tensor = (by_node | computed).get(name)
    if not tensor:
        raise SpecError(
            f"The network cannot end at {name!r}: no tensor or node has that name.",
            subject=name,
            remedy=f"Its outputs are {', '.join(value.name for value in graph.output)}; a viewer shows the others.",
        )
    known = {value.name: value for value in (*graph.value_info, *graph.output)}
    if tensor not in known:
        raise SpecError(f"The network cannot end at {name!r}: the type of its values is not known.", subject=name)
    found = ValueInfoProto()
    found.CopyFrom(known[tensor])
    return found
