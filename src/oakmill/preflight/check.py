"""Says before a conversion whether a model can go to a platform, node by node, by what was measured of its compiler.

Weights are not looked at: a model of 100 MB takes a fraction of a second.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from onnx import ModelProto, NodeProto

from oakmill.errors import UnsupportedModel
from oakmill.findings import Finding, Severity, worst_first
from oakmill.model.source import SourceFormat, SourceModel
from oakmill.model.tensors import weight_bytes
from oakmill.preflight import formats, room
from oakmill.preflight.beyond import why_beyond
from oakmill.preflight.doubts import doubt
from oakmill.preflight.findings import Code, Report, of_node
from oakmill.preflight.fused import REMEDY, is_fused
from oakmill.preflight.graph import STANDARD, Facts
from oakmill.preflight.inputs import Inputs
from oakmill.preflight.opsets import asked_opset
from oakmill.preflight.reach import refusal
from oakmill.preflight.rewritten import in_plain_numbers, is_quantized, rewritten
from oakmill.preflight.tables import MIXED, POOR, WRONG, Answer, Table, tables
from oakmill.preflight.variants import Variant, variant_of
from oakmill.preflight.written_out import as_prepared
from oakmill.spec import ConversionSpec, InputSpec, Precision, QuantizingSpec
from oakmill.spec.platforms import PLATFORMS

__all__ = ["Code", "Preflight", "Report", "mode_of", "require", "unread"]

_BYTES = {"fp16": 2, "ir": 2, "int8": 1}
_MEASURED_DOMAINS = ("com.microsoft",)
_NAMED = 3
_FORMATS = {
    SourceFormat.OPENVINO_IR: "an OpenVINO IR",
    SourceFormat.TFLITE: "a TFLite model",
    SourceFormat.TORCHSCRIPT: "a TorchScript module",
    SourceFormat.CHECKPOINT: "a checkpoint",
}
_OPS = (Code.UNSUPPORTED_OP, Code.MISREAD_OP, Code.UNKNOWN_DOMAIN)

_REMEDIES = {
    "NonMaxSuppression": "end the network before it ({cut}); DepthAI's parsers select boxes on the camera",
    "NonZero": "end the network before it ({cut}), or keep all values and a mask",
    "If": "export the model for one case: its condition depends on the data",
    "Loop": "export the model with the loop unrolled",
    "Scan": "export the model with the loop unrolled",
}
_REMEDY = "end the network before it ({cut}), or replace it in the model"


class Preflight:
    """One model, looked at once for all platforms.

    Args:
        model: with or without its weights; is not changed.
        asked: what is asked of its inputs, an NN Archive's values among them.
    """

    def __init__(self, model: ModelProto, asked: Sequence[InputSpec] = ()) -> None:
        self.model = model
        facts = Facts(model)
        self.inputs = Inputs(facts, asked)
        shapes = self.inputs.filled()
        changed = any(facts.shape(name) != shape for name, shape in shapes.items())
        self.facts = Facts(model, shapes) if changed else facts
        self._variants: list[tuple[NodeProto, Variant]] | None = None

    @property
    def variants(self) -> list[tuple[NodeProto, Variant]]:
        """The nodes that are computed on the device, and what they are."""
        if self._variants is None:
            facts = self.facts
            there = [node for node in facts.nodes if not _is_decided(node, facts)]
            self._variants = [(node, variant_of(as_prepared(node, facts), facts)) for node in there]
        return self._variants

    def report(self, platform: str, mode: str = "") -> Report:
        """All findings for a platform, in a mode of its table."""
        mode = mode or PLATFORMS[platform].limits.mode
        table = tables().get(platform)
        found = [*self.inputs.findings(platform), *self._model(platform, mode)]
        if table is None or mode not in table.modes:
            found.append(_not_measured(platform, mode))
        else:
            found += _together(self._nodes(table, mode))
        return Report(platform, mode, table.toolchain if table else "", worst_first(found))

    def _model(self, platform: str, mode: str) -> Iterator[Finding]:
        """What is said of the whole."""
        yield from room.of_nodes(self.facts)
        stored = weight_bytes(self.model) * _BYTES.get(mode, 2) // 4 >> 20
        facts = PLATFORMS[platform]
        largest = facts.limits.memory_mb
        if largest is not None and stored > largest:
            yield Finding(
                Code.WEIGHTS, Severity.ERROR,
                f"its weights take {stored} MB as {mode}, and {facts.title} holds {largest} MB",
                remedy=facts.limits.larger,
            )  # fmt: skip

        if self.facts.graph.output and not self.facts.nodes and not self._passes_on():
            severity = Severity.ERROR if facts.limits.no_constants else Severity.WARNING
            yield Finding(
                Code.CONSTANT, severity, "nothing that it gives depends on what comes in",
                remedy="take its values from the source model, once and for all",
            )  # fmt: skip
        for value in self.facts.graph.output:
            if given := self.facts.passed_on(value.name):
                yield Finding(
                    Code.PASSED_ON, Severity.WARNING,
                    f"output {value.name!r} is input {given!r}, passed on as it is: compilers make one port of both",
                    subject=value.name, remedy="leave it out (--outputs names those to keep), or use the input itself",
                )  # fmt: skip

    def _passes_on(self) -> bool:
        return any(self.facts.passed_on(value.name) for value in self.facts.graph.output)

    def _nodes(self, table: Table, mode: str) -> Iterator[Finding]:
        """What is said of each node."""
        functions = {(item.domain, item.name) for item in self.model.functions}
        opset = self.facts.opset
        plain = PLATFORMS[table.platform].limits.plain_numbers and not is_quantized(self.facts)
        for node, asked in self.variants:
            variant = in_plain_numbers(asked) if plain else asked
            if (node.domain, node.op_type) in functions or rewritten(table.platform, variant):
                continue
            if why := why_beyond(node):
                yield self._beyond(node, why)
                continue
            if is_fused(node) and not _is_known_good(variant, table, mode):
                yield self._fused(node)
                continue
            if node.domain not in (*STANDARD, *_MEASURED_DOMAINS):
                yield self._foreign(node)
                continue
            answer = table.ask(variant, asked_opset(node, opset, table), mode)
            yield from self._by_table(node, variant, answer, table, mode)

    def _by_table(
        self, node: NodeProto, variant: Variant, answer: Answer | None, table: Table, mode: str
    ) -> Iterator[Finding]:
        """What is said of a node by the table's answer, and by what is known besides."""
        name, why = self.facts.label(node), doubt(table.platform, node, variant, self.facts)
        if why and not (answer and answer.outcome.is_bad):
            message = f"{variant.words} {why}"
            yield of_node(Code.UNCERTAIN_OP, Severity.WARNING, message, name, node.op_type, self._remedy(node))
        elif answer is None:
            yield self._untried(node, variant, table)
        elif answer.outcome.is_bad:
            yield self._bad(node, variant, answer, table, mode)
        elif not answer.sure:
            yield self._unlike(node, variant, answer, table)
        elif answer.outcome.word == POOR and answer.exact:
            message = f"{variant.words}: {answer.outcome.reason} when it stands alone"
            remedy = "--quantizer-search finds what needs 16 bits"
            yield of_node(Code.POOR_IN_8_BITS, Severity.NOTE, message, name, node.op_type, remedy)

    def _beyond(self, node: NodeProto, why: str) -> Finding:
        remedy = "export the model for inference" if "training" in why else self._remedy(node)
        return of_node(
            Code.UNSUPPORTED_OP, Severity.ERROR, f"{node.op_type} {why}", self.facts.label(node), node.op_type, remedy
        )

    def _fused(self, node: NodeProto) -> Finding:
        return of_node(
            Code.UNKNOWN_DOMAIN, Severity.ERROR,
            f"{node.op_type} is no operator of ONNX: the model was optimised by onnxruntime, which put its own there",
            self.facts.label(node), node.op_type, REMEDY,
        )  # fmt: skip

    def _foreign(self, node: NodeProto) -> Finding:
        return of_node(
            Code.UNKNOWN_DOMAIN, Severity.ERROR,
            f"{node.op_type} is of the domain {node.domain!r}, whose operators nobody here can run",
            self.facts.label(node), node.op_type, self._remedy(node),
        )  # fmt: skip

    def _untried(self, node: NodeProto, variant: Variant, table: Table) -> Finding:
        return of_node(
            Code.UNCERTAIN_OP, Severity.WARNING, f"{variant.op} was never tried with {table.toolchain}",
            self.facts.label(node), node.op_type, "try the conversion: its compiler decides",
        )  # fmt: skip

    def _unlike(self, node: NodeProto, variant: Variant, answer: Answer, table: Table) -> Finding:
        message = f"{variant.words} was not tried with {table.toolchain}, only other forms of {variant.op}"
        if answer.outcome.word == MIXED:
            message = f"{variant.words} converts in some models and in others not: {answer.outcome.reason}"
        return of_node(
            Code.UNTRIED_OP, Severity.WARNING, message, self.facts.label(node), node.op_type,
            "try the conversion: its compiler decides",
        )  # fmt: skip

    def _bad(self, node: NodeProto, variant: Variant, answer: Answer, table: Table, mode: str) -> Finding:
        name, reason, remedy = self.facts.label(node), answer.outcome.reason, self._remedy(node)
        if not answer.exact:
            what = f"of {variant.op}, {answer.tried} variant{'s' * (answer.tried > 1)} much like it failed"
            message = f"{variant.words} was not tried with {table.toolchain}; {what}: {reason}"
            return of_node(Code.UNCERTAIN_OP, Severity.WARNING, message, name, node.op_type, remedy)
        if other := self._mode_that_works(variant, table, mode):
            remedy = f"--target-precision {other.upper()}, where it works; or {remedy}"
        if answer.outcome.word == WRONG:
            severity = Severity.WARNING if PLATFORMS[table.platform].limits.tells_wrong else Severity.ERROR
            message = f"{variant.words} compiles, but computes something else: {reason}"
            return of_node(Code.MISREAD_OP, severity, message, name, node.op_type, remedy)
        return of_node(Code.UNSUPPORTED_OP, Severity.ERROR, f"{variant.words}: {reason}", name, node.op_type, remedy)

    def _mode_that_works(self, variant: Variant, table: Table, mode: str) -> str:
        for other in table.modes:
            answer = table.ask(variant, self.facts.opset, other) if other != mode else None
            if answer is not None and answer.exact and not answer.outcome.is_bad:
                return other
        return ""

    def _remedy(self, node: NodeProto) -> str:
        computed = [name for name in node.input if name and not self.facts.is_constant(name)]
        inputs = {value.name for value in self.facts.inputs}
        cut = " ".join(f"--outputs {shlex.quote(name)}" for name in dict.fromkeys(computed) if name not in inputs)
        text = _REMEDIES.get(node.op_type, _REMEDY)
        return text.format(cut=cut) if cut else text.replace(" ({cut})", "")


def _is_known_good(variant: Variant, table: Table, mode: str) -> bool:
    answer = table.ask(variant, table.last_opset, mode)
    return answer is not None and not answer.outcome.is_bad


def _is_decided(node: NodeProto, facts: Facts) -> bool:
    """Whether a node is an If whose case shapes and constants decide: simplified, there is that case in its place."""
    return node.op_type == "If" and facts.is_constant(node.input[0])


def _together(found: Iterator[Finding]) -> list[Finding]:
    """One finding for all nodes of which the same is said."""
    kept: dict[tuple[str, ...], Finding] = {}
    for item in found:
        key = (item.code, item.severity, item.message)
        first = kept.setdefault(key, item)
        if first is not item:
            kept[key] = replace(first, others=(*first.others, item.subject))
    return list(kept.values())


def unread(source: SourceModel, platform: str, operations: Mapping[str, str] | None = None) -> Report:
    """What can be said of a source that is not ONNX: of its operations by their names alone, if these are given.

    Args:
        source: the model.
        platform: its name.
        operations: as `formats.operations_of` gives them; the report warns where there are none.
    """
    mode, table = PLATFORMS[platform].limits.mode, tables().get(platform)
    if error := refusal(source, platform):
        found = [Finding(Code.FORMAT, Severity.ERROR, error.message, remedy=error.remedy)]
    elif operations and table is not None:
        found = list(formats.findings(operations, table, mode, direct=source.format is SourceFormat.OPENVINO_IR))
        found.append(
            Finding(
                Code.FORMAT, Severity.NOTE,
                f"the operations of {_FORMATS[source.format]} are looked at by their names, not by their forms",
            )
        )  # fmt: skip
        return Report(platform, mode, table.toolchain, worst_first(found))
    else:
        found = [
            Finding(
                Code.FORMAT, Severity.WARNING, f"the operators of {_FORMATS[source.format]} are not looked at",
                remedy="try the conversion: its compiler decides",
            )
        ]  # fmt: skip
    return Report(platform, mode, "", tuple(found))


def _not_measured(platform: str, mode: str) -> Finding:
    return Finding(
        Code.NOT_MEASURED, Severity.WARNING,
        f"which operators {PLATFORMS[platform].title} takes in {mode} was not measured here",
        remedy="try the conversion: its compiler decides",
    )  # fmt: skip


def mode_of(spec: ConversionSpec, toolchains: Sequence[str]) -> str | None:
    """The mode whose table speaks of a conversion by these toolchains; None where another compiler has the word."""
    table = tables().get(spec.platform)
    if table is None or list(toolchains[:1]) != [table.toolchain] or getattr(spec, "mo_args", False):
        return None
    if len(table.modes) == 1:
        return table.modes[0]
    if not isinstance(spec, QuantizingSpec) or spec.target_precision.is_float:
        return "fp16"
    precision = spec.target_precision
    if precision is Precision.AUTO:
        return "fp16"  # what 8 bits refuse, AUTO does without them
    return "int8" if (precision.activation_bits, precision.weight_bits) == (8, 8) else None


def require_room(model: ModelProto, asked: Sequence[InputSpec]) -> None:
    """Refuse a model with an input or a tensor that no camera has room for, before anything computes with it.

    Raises:
        UnsupportedModel: names the first.
    """
    looked_at = Preflight(model, asked)
    for name, shape in looked_at.inputs.filled().items():
        room.require(room.of_input(name, shape))
    room.require(room.of_nodes(looked_at.facts))


def require(model: ModelProto, platform: str, mode: str | None, asked: Sequence[InputSpec] = ()) -> tuple[Finding, ...]:
    """Refuse a model with operators that were measured, in this very variant, to fail; returns what is uncertain.

    Args:
        model: as it is to be converted: cut where it ends.
        platform: its name.
        mode: of the platform's table; None asks none.
        asked: what is asked of the inputs; their shapes count.

    Raises:
        UnsupportedModel: names the first such node, and the others; or an input of text.
    """
    looked_at = Preflight(model, asked)
    for item in looked_at.inputs.findings(platform):
        if item.severity is Severity.ERROR and item.code == Code.PORT_TYPE:
            raise UnsupportedModel(item.message, subject=item.subject, remedy=item.remedy)
    if mode is None:
        return ()
    report = looked_at.report(platform, mode)
    certain = [item for item in report.at(Severity.ERROR) if item.code in _OPS]
    if not certain:
        return tuple(item for item in report.at(Severity.WARNING) if item.code == Code.UNCERTAIN_OP)
    first = certain[0]
    nodes = [(name, item.evidence["op"]) for item in certain for name in (item.subject, *item.others)][1:]
    others = ", ".join(f"{name!r} ({op})" for name, op in nodes[:_NAMED])
    more = f" and {len(nodes) - _NAMED} more" if len(nodes) > _NAMED else ""
    words = f". So do {others}{more}" if nodes else ""
    raise UnsupportedModel(
        f"{platform.upper()} cannot run the node {first.subject!r} ({first.evidence['op']}): {first.message}{words}",
        subject=first.subject,
        remedy=first.remedy,
    )
