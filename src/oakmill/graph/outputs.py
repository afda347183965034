"""Gives each output of a graph a node that keeps its name through the compiler's own clean-up."""

from __future__ import annotations

from onnx import ModelProto, helper


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
