"""Vectors: scores of classes, embeddings, and numbers of a regression."""

from __future__ import annotations

from functools import partial

from onnx import ModelProto, NodeProto

from oakmill.heads.families.base import Evidence, Sure
from oakmill.heads.families.described import MOVES, Described, Graph, Output, counted, sure_of
from oakmill.heads.families.logits import Logits

CLASSIFICATION, EMBEDDING, REGRESSION = "classification", "embedding", "regression"
IMAGENET = (1000, 1001, 21841, 21843)
"""Numbers of classes that no regression and no embedding has."""
FEWEST_GUESSED = 5
"""Numbers of a vector that is taken for scores by its shape: three may be angles, four a box."""
LENGTHS = (64, 128, 256, 512, 768, 1024, 2048)
"""Of vectors that are no scores, nearly always: embeddings have powers of two."""
_SCORES = ("logit", "prob", "probability", "softmax", "class", "cls", "label", "category")
_OTHERS = (
    "embedding", "embed", "feature", "feat", "descriptor", "landmark", "keypoint", "kps", "pose", "angle", "gaze",
    "box", "bbox", "loc", "coord", "age", "regression", "offset",
)  # fmt: skip
_ADDS = ("Add", "Gemm", "MatMul", "Conv", "GlobalAveragePool", "ReduceMean", "AveragePool", "BatchNormalization")


def find_classification(model: ModelProto, evidence: Evidence) -> Described | None:
    """Scores of classes [1, K], or [1, K, 1, 1], as a model's only output."""
    output = Graph(model).only
    if evidence.size is None or output is None or not output.is_float or output.length < 2:
        return None
    names = _characters(evidence, output.length) or _fitting(evidence.names, output.length)
    sure, seen = _scores(output, evidence, named=bool(names))
    if sure is None and evidence.wanted != CLASSIFICATION:
        return None
    kind = partial(Logits, function="Sigmoid") if output.ends_in("Sigmoid") else Described
    return kind(
        CLASSIFICATION, f"a classifier of {counted(output.length, 'class')}", seen,
        sure_of(evidence, CLASSIFICATION, sure or Sure.GUESS), (output.name,), "ClassificationParser",
        {"is_softmax": output.ends_in("Softmax")}, output.length, names,
    )  # fmt: skip


def _scores(output: Output, evidence: Evidence, *, named: bool) -> tuple[Sure | None, str]:
    """How sure it is that a vector is scores of classes, and why; none where something speaks against it."""
    length, computed = output.length, output.ends_in(*_ADDS)
    if output.is_called(*_OTHERS) and not (named or output.ends_in("Softmax")):
        return None, ""
    signs = (
        (named, Sure.CERTAIN, "the file names as many classes"),
        (evidence.named == length, Sure.CERTAIN, "--classes names as many"),
        (output.ends_in("Softmax"), Sure.CERTAIN, "a Softmax over a vector"),
        (output.ends_in("Sigmoid"), Sure.LIKELY, "a Sigmoid over a vector"),
        (computed and length in IMAGENET, Sure.LIKELY, f"a vector of ImageNet's number of classes, {length}"),
        (computed and output.is_called(*_SCORES), Sure.LIKELY, f"a vector that is called {output.name!r}"),
        (computed and length >= FEWEST_GUESSED and length not in LENGTHS, Sure.GUESS, f"a vector of {length} numbers"),
    )
    return next(((sure, words) for sign, sure, words in signs if sign), (None, ""))


def _fitting(names: tuple[str, ...], length: int) -> tuple[str, ...]:
    """The names, where there are as many as numbers."""
    return names if len(names) == length else ()


def _characters(evidence: Evidence, length: int) -> tuple[str, ...]:
    """Names of classes as models of PaddleX carry them: one a line under `character`."""
    names = tuple(evidence.metadata.get("character", "").splitlines())
    return names if len(names) == length else ()


def find_embedding(model: ModelProto, evidence: Evidence) -> Described | None:
    """A vector that stands for what is seen, [1, K]."""
    output = Graph(model).only
    if evidence.size is None or output is None or not output.is_float or output.length < 2:
        return None
    sure, seen = _embedded(output)
    if sure is None and evidence.wanted != EMBEDDING:
        return None
    return Described(
        EMBEDDING, f"an embedding of {output.length} numbers", seen, sure_of(evidence, EMBEDDING, sure or Sure.GUESS),
        (output.name,), "EmbeddingsParser",
    )  # fmt: skip


def _embedded(output: Output) -> tuple[Sure | None, str]:
    if output.ends_in("LpNormalization") or _divided_by_length(output):
        return Sure.CERTAIN, "a vector divided by its length"
    if output.is_called("embedding", "embed"):
        return Sure.CERTAIN, f"a vector that is called {output.name!r}"
    if output.is_called("feature", "feat", "descriptor"):
        return Sure.LIKELY, f"a vector that is called {output.name!r}"
    guessed = output.ends_in(*_ADDS) and output.length in LENGTHS and not output.is_called(*_SCORES)
    return (Sure.GUESS, f"a vector of {output.length} numbers") if guessed else (None, "")


def _divided_by_length(output: Output) -> bool:
    """Whether the vector is divided by the root of the sum of its squares."""
    node, graph = output.last, output.graph
    if node is None or node.op_type != "Div":
        return False
    norm = graph.maker(node.input[1], *MOVES, "Expand", "Clip", "Max", "Add")
    if norm is not None and norm.op_type == "Sqrt":
        norm = graph.maker(norm.input[0], *MOVES, "Add", "Clip", "Max")
        return norm is not None and (norm.op_type == "ReduceSumSquare" or _sums_squares(norm, graph))
    return norm is not None and norm.op_type == "ReduceL2"


def _sums_squares(node: NodeProto, graph: Graph) -> bool:
    inner = graph.maker(node.input[0]) if node.op_type == "ReduceSum" else None
    return inner is not None and inner.op_type in ("Pow", "Mul")


def find_regression(model: ModelProto, evidence: Evidence) -> Described | None:
    """Numbers [1, K] for an application to read; nothing in a graph shows them, so that the user has to say so."""
    output = Graph(model).only
    if evidence.wanted != REGRESSION or output is None or not output.is_float or not output.length:
        return None
    return Described(
        REGRESSION, f"a regression of {counted(output.length, 'number')}", "--head says so", Sure.CERTAIN,
        (output.name,), "RegressionParser",
    )  # fmt: skip
