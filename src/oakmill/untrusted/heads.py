"""Says what an uploaded model's outputs are taken for, and which of its nodes a conversion would cut off."""

from __future__ import annotations

import onnx
from onnx import ModelProto, NodeProto

from oakmill.conversion.sources import camera_heads, unused_inputs
from oakmill.heads import families, preprocessing
from oakmill.heads.families.base import Evidence, Found, Sure
from oakmill.model import merge_inputs, open_source, prefill
from oakmill.model.source import SourceFormat
from oakmill.model.structure import graph_inputs
from oakmill.untrusted.folder import Place
from oakmill.untrusted.questions import CutNode, HeadFacts, RecogniseHead


def recognise(asked: RecogniseHead, place: Place) -> HeadFacts:
    """What the outputs are, and what a conversion to the platform would do with them; its proof is not tried here.

    Raises:
        OakmillError: the model cannot be read.
    """
    source = open_source(place.files / asked.model, place.scratch / "source", place.settings)
    inputs = merge_inputs(asked.inputs, prefill(source.archive, source.inputs)).inputs
    inputs, told = camera_heads.preprocessed(inputs, source, asked.family)
    facts = HeadFacts(format=source.format.value, preprocessing=preprocessing.in_words(inputs[0]) if told else "")
    declared = (source.archive or {}).get("model", {}).get("heads") or []
    if declared:
        return facts.model_copy(update={"declared": tuple(str(head.get("parser", "?")) for head in declared)})
    if source.format is not SourceFormat.ONNX:
        names = Evidence(source.metadata).names
        return facts.model_copy(update={"classes": len(names), "names": names})
    graph, _ = unused_inputs.without(onnx.load(source.graph, load_external_data=False), inputs)
    if not isinstance(graph, ModelProto) or len(graph_inputs(graph.graph)) != 1:
        return facts
    evidence = Evidence(source.metadata, camera_heads.size_of(graph, inputs), asked.family, asked.named)
    found = families.recognise(graph, evidence)
    return _of(found, graph, asked, facts) if found else facts


def _of(found: Found, graph: ModelProto, asked: RecogniseHead, facts: HeadFacts) -> HeadFacts:
    problem = found.problem()
    ended = graph if problem else found.cut(graph, asked.platform)
    before, after = _makers(graph), _makers(ended)
    gone = {id(node): node for output, node in before.items() if output not in after}
    return facts.model_copy(
        update={
            "family": found.family,
            "words": found.words,
            "seen": found.seen,
            "sure": found.sure.value,
            "outputs": found.outputs,
            "ends": found.ends,
            "classes": found.classes,
            "names": found.names,
            "problem": problem,
            "is_applied": not problem and (found.sure is Sure.CERTAIN or bool(asked.family)),
            "gone": tuple(CutNode(name=node.name, op=node.op_type) for node in gone.values()),
            "stay": len(graph.graph.node) - len(gone),
            "added": len({id(node) for output, node in after.items() if output not in before}),
        }
    )


def _makers(model: ModelProto) -> dict[str, NodeProto]:
    """What makes each tensor."""
    return {output: node for node in model.graph.node for output in node.output if output}
