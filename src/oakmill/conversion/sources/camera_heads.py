"""Gives what is recognised its head and class names, ended where DepthAI's parser reads it, and proves it the same.

An export that decodes its own boxes gives an archive that no parser of the camera understands. What is certain is
applied (`heads.families` says how sure it is): both networks run, and must say the same; else the source stays as it
is. What is likely, or a guess, is told with how to accept it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, ValueInfoProto, helper

from oakmill.conversion.inputs import guess_layout
from oakmill.errors import OakmillError, SpecError
from oakmill.findings import Finding, Severity
from oakmill.graph import equality
from oakmill.graph.skeleton import infer_shapes
from oakmill.heads import families, preprocessing
from oakmill.heads.decoders import Outputs, Size
from oakmill.heads.families.base import Evidence, Found, Reading, Sure
from oakmill.model.source import SourceFormat, SourceModel
from oakmill.model.structure import graph_inputs
from oakmill.preflight.inputs import shapes_of, stated
from oakmill.spec import Encoding, InputSpec

PROOFS = 2
"""Images of noise on which the network before and after the cut must say the same."""
CLOSE = 1e-5
"""How far corners, in parts of the image, and scores may be apart: sums of 16 float32 numbers in another order."""

CLOSE_HALF = 2e-3
"""The same of networks in float16, four of whose steps of 2^-11 this is; half a cell of 8 in 1280 pixels is 3e-3."""
LARGEST_IMAGE = 1 << 28
"""Numbers of an image that a proof makes, 1 GB: of 9,000 pixels square with three channels."""
PIXEL = 255
"""The largest value of noise for an input of integers."""

_KNOWN = "preprocessing_of_family"
_WRITTEN = (SourceFormat.TFLITE, SourceFormat.TORCHSCRIPT)
_SHOWN = 12
"""Outputs that are listed where a family is none of theirs."""

Keep = Callable[[ModelProto, object, Callable[[], str]], str]
"""Gives what a proof found: of the same network and the same question before, or now."""


def prove_anew(network: ModelProto, asked: object, prove: Callable[[], str]) -> str:
    """Keep nothing."""
    return prove()


@dataclass(frozen=True)
class Original:
    """The source as its makers left it, where the conversion ends it elsewhere, and how its own outputs are read."""

    network: ModelProto
    read: Callable[[Outputs], Reading]


@dataclass(frozen=True)
class Applied:
    """The network as it is converted, its source with the head, what is told, and the source where it was cut."""

    network: Any
    source: SourceModel
    findings: tuple[Finding, ...] = ()
    original: Original | None = None


@dataclass(frozen=True)
class Wanted:
    """What decides how a head is applied: the platform, the family that the user names, how many classes the user
    names, and the seed of the proof."""

    platform: str
    family: str = ""
    seed: int = 0
    named: int = 0


def preprocessed(
    asked: Sequence[InputSpec], source: SourceModel, family: str = ""
) -> tuple[tuple[InputSpec, ...], tuple[Finding, ...]]:
    """The inputs with what networks of a recognised family are trained on, where nobody said anything of it.

    An archive's words and the user's count as said; a value is never replaced. A `family` that the user names counts
    as certain.
    """
    item = asked[0] if len(asked) == 1 and not source.archive else None
    if item is None or any((item.mean_values, item.scale_values, item.encoding_from, item.encoding_to)):
        return tuple(asked), ()
    graph = onnx.load(source.graph, load_external_data=False) if source.graph.suffix == ".onnx" else None
    values = preprocessing.of(graph, source, family)
    if not values:
        return tuple(asked), ()
    spec = InputSpec.model_validate({**item.model_dump(exclude_none=True), **values})
    return (spec,), (_told(spec),)


def exported(
    inputs: Sequence[InputSpec], findings: Sequence[Finding], source: SourceModel, family: str = ""
) -> tuple[tuple[InputSpec, ...], tuple[Finding, ...]]:
    """The same once another format is written as ONNX, whose graph shows a family; a checkpoint's tells its channels:
    grey images have no order of colours."""
    recognised = any(item.code == _KNOWN for item in findings)
    if source.format in _WRITTEN and not recognised:
        inputs, told = preprocessed(inputs, source, family)
        return inputs, (*findings, *told)
    if source.format is not SourceFormat.CHECKPOINT or not recognised or source.inputs[0].shape[1:2] != (1,):
        return tuple(inputs), tuple(findings)
    grey = inputs[0].model_copy(update={"encoding_from": Encoding.GRAY, "encoding_to": Encoding.GRAY})
    return (grey,), tuple(_told(grey) if item.code == _KNOWN else item for item in findings)


def _told(spec: InputSpec) -> Finding:
    options = preprocessing.as_options(spec)
    return Finding(
        _KNOWN, Severity.NOTE,
        f"input {spec.name!r} takes {preprocessing.in_words(spec)}, as networks of this kind do: {options}",
        "preprocessing is known", subject=spec.name or "",
        remedy="give --scale-values and --encoding-from yourself where it was trained otherwise",
    )  # fmt: skip


def applied(
    network: Any, source: SourceModel, asked: Sequence[InputSpec], wanted: Wanted, keep: Keep = prove_anew
) -> Applied:
    """Apply what is certain, or what the user names, unless an archive has said already what its outputs are.

    Args:
        network: the source's graph, with all its outputs; anything but ONNX is given back as it is.
        source: where it comes from; its `metadata` are the file's.
        asked: what is asked of the inputs; their shapes count.
        wanted: how it is applied.
        keep: has what earlier proofs found.

    Raises:
        SpecError: the family that the user names is none, or the network is not of it.
    """
    if why := _unasked(network, source):
        if wanted.family:
            raise _refused(wanted.family, why)
        return Applied(network, source)
    evidence = Evidence(source.metadata, size_of(network, asked), wanted.family, wanted.named)
    found = families.recognise(network, evidence)
    if found is None and wanted.family:
        raise _not_of(wanted.family, network, evidence)
    if found is None:
        told = _left("its graph has another form than the known ones", "") if evidence.expects_head else None
        return Applied(network, source, (told,) if told else ())
    if found.sure is not Sure.CERTAIN and not wanted.family:
        return Applied(network, source, (_suggested(found),))
    if evidence.size is None:
        return Applied(network, source)  # an open shape is refused with its own words
    if problem := found.problem():
        return _kept(network, source, found, problem, wanted)
    return _apply(network, source, found, asked, wanted, keep)


def _unasked(network: Any, source: SourceModel) -> str:
    """Why no head is looked for; empty where one is."""
    if not isinstance(network, ModelProto):
        return "heads are recognised in ONNX graphs, and this source is none"
    if ((source.archive or {}).get("model") or {}).get("heads"):
        return "the NN Archive declares its heads, which count"
    inputs = len(graph_inputs(network.graph))
    return f"the network has {inputs} inputs, and a head is that of one image" if inputs != 1 else ""


def _not_of(family: str, network: ModelProto, evidence: Evidence) -> SpecError:
    """What is missing, beside what there is."""
    row = next((row for row in families.ROWS if row.name == family), None)
    if row is None:
        return _refused(family, "no such family is known")
    ends = ", ".join(f"{value.name!r} {_sides(value)}" for value in network.graph.output[:_SHOWN])
    more = f" and {len(network.graph.output) - _SHOWN} more" if len(network.graph.output) > _SHOWN else ""
    image = "" if evidence.size else ", and its input is no image of known size"
    return _refused(family, f"it needs {row.needs or row.words}; the network's outputs are {ends}{more}{image}")


def _sides(value: ValueInfoProto) -> str:
    return f"[{', '.join('?' if side is None else str(side) for side in stated(value))}]"


def _refused(family: str, why: str) -> SpecError:
    known = ", ".join(row.name for row in families.ROWS)
    return SpecError(f"--head {family}: {why}", subject="head", remedy=f"omit it, or take one of {known}")


def _kept(network: ModelProto, source: SourceModel, found: Found, why: str, wanted: Wanted) -> Applied:
    """The source as it is, with the reason; an error where the user named the family.

    Raises:
        SpecError: the user did.
    """
    if wanted.family:
        raise _refused(wanted.family, why)
    return Applied(network, source, (_left(why, found.words),))


def _apply(
    network: ModelProto, source: SourceModel, found: Found, asked: Sequence[InputSpec], wanted: Wanted, keep: Keep
) -> Applied:
    ended = found.cut(network, wanted.platform)
    if ended is not network:
        if wrong := _proved(network, ended, found, asked, wanted, keep):
            return _kept(network, source, found, wrong, wanted)
        ended = infer_shapes(ended)
    names, told = _names(found)
    model = (source.archive or {}).get("model") or {"inputs": []}
    archive = {**(source.archive or {}), "model": {**model, "heads": [*found.heads(names)]}}
    cut = ended is not network
    original = Original(network, found.before) if cut else None
    return Applied(ended, replace(source, archive=archive), (_seen(found, cut=cut), *told), original)


def _proved(
    network: ModelProto, ended: ModelProto, found: Found, asked: Sequence[InputSpec], wanted: Wanted, keep: Keep
) -> str:
    """Why the network cannot be ended there; that a proof did not run, as for a full disk, is not kept."""
    question = [repr(found), wanted.platform, wanted.seed, PROOFS, CLOSE, CLOSE_HALF, _image(network, asked)]
    try:
        return keep(network, question, lambda: _difference(network, ended, found, asked, wanted.seed))
    except OakmillError as error:
        return f"the network with other ends cannot be run: {error.message}"


def _seen(found: Found, *, cut: bool) -> Finding:
    outputs = ", ".join(map(repr, found.outputs))
    ends = f"the network ends at {', '.join(found.ends)}, which DepthAI's parser reads, with a head"
    proved = f"; both say the same of {PROOFS} images"
    return Finding(
        "head_recognised", Severity.NOTE,
        f"output {outputs} is of {found.words} ({found.seen}): "
        + (ends + proved if cut else "a head says so, which DepthAI's parser reads"),
        "outputs are recognised", subject=found.outputs[0],
        remedy="--keep-outputs keeps the source's own outputs" if cut else "",
    )  # fmt: skip


def _suggested(found: Found) -> Finding:
    return Finding(
        "head_suggested", Severity.NOTE,
        f"output {', '.join(map(repr, found.outputs))} may be of {found.words} ({found.sure}: {found.seen}); no head "
        f"is written, as that is not certain: --head {found.family} says that it is", "outputs may be recognised",
        subject=found.outputs[0], remedy=f"--head {found.family} where that is what it is",
    )  # fmt: skip


def _names(found: Found) -> tuple[tuple[str, ...], tuple[Finding, ...]]:
    """The classes' names; where there are not as many as classes, numbers stand for them, which is told."""
    if len(found.names) == found.classes:
        return found.names, ()
    told = Finding(
        "class_names_missing", Severity.NOTE,
        f"the file names {len(found.names)} classes and its network has {found.classes}: they are numbered",
        "classes without names", subject=found.outputs[0],
    )  # fmt: skip
    return tuple(f"class {number}" for number in range(found.classes)), (told,)


def _left(why: str, words: str) -> Finding:
    return Finding(
        "head_unknown", Severity.NOTE,
        f"{words or 'an export'} keeps its own outputs, which DepthAI's parser does not read: {why}",
        "no head is written", remedy="an NN Archive of the source can declare its heads",
    )  # fmt: skip


def size_of(model: ModelProto, asked: Sequence[InputSpec]) -> Size | None:
    """Height and width of the one image input; None where they are open."""
    shape, layout = _image(model, asked)
    if len(shape) != 4 or not {"H", "W"} <= set(layout):
        return None
    height, width = shape[layout.index("H")], shape[layout.index("W")]
    return (height, width) if min(height, width) > 0 else None


def _image(model: ModelProto, asked: Sequence[InputSpec]) -> tuple[tuple[int, ...], str]:
    """The shape of the one input, 0 where it is open, and its layout: as asked, or as guessed."""
    (value,) = graph_inputs(model.graph)
    shape = shapes_of([value], asked).get(value.name) or tuple(side or 0 for side in stated(value))
    said = next((item.layout for item in asked if item.layout and item.name in (None, "", value.name)), None)
    layout = said or guess_layout(shape)
    return shape, layout if len(layout) == len(shape) else ""


def _difference(whole: ModelProto, ended: ModelProto, found: Found, asked: Sequence[InputSpec], seed: int) -> str:
    """How what the two networks say differs; empty where it does not.

    Raises:
        OakmillError: one of them cannot be run, here and now.
    """
    before, after = equality.Session(whole), equality.Session(ended)
    random, (value,) = np.random.default_rng(seed), graph_inputs(whole.graph)
    shape, layout = _image(whole, asked)
    sides = [side or (3 if letter == "C" else 1) for side, letter in zip(shape, layout, strict=True)]
    if math.prod(sides) > LARGEST_IMAGE:
        return f"an input of {' x '.join(map(str, sides))} numbers is too large to be tried"
    kind = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
    most = PIXEL if np.issubdtype(kind, np.integer) else 1
    close = CLOSE_HALF if kind == np.float16 else CLOSE
    for _ in range(PROOFS):
        image = {value.name: (random.random(sides, dtype=np.float32) * most).astype(kind)}
        wanted, ours = before.run(image), after.run(image)
        try:
            off = found.apart(wanted, ours)
        except (LookupError, ValueError) as error:
            return f"its outputs have other shapes than the file says ({error})"
        if off > close:
            return f"boxes or scores would be {off:.2g} apart" if np.isfinite(off) else "it would find other boxes"
    return ""
