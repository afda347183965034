"""Einsum of one or two operands, written as transpositions, sums and a product of matrices."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from onnx import NodeProto

from oakmill.graph.rewriting import CannotRewriteError, Emitter, attributes

_MOST_BATCH_AXES = 2
"""Of a product of matrices; more of them are joined, as compilers know few dimensions."""


def einsum(node: NodeProto, emit: Emitter) -> None:
    """Letters of both operands and the result are batches, of both only are summed over, of one only rows or columns.

    An ellipsis, a letter twice in one operand, or three operands and more have no form here.
    """
    terms, result = _terms(attributes(node)["equation"])
    if len(terms) != len(node.input) or len(terms) > 2:
        raise CannotRewriteError("it has more than two operands")
    sizes: dict[str, int] = {}
    for term, name in zip(terms, node.input, strict=True):
        for letter, size in zip(term, emit.scope.fixed_shape(name), strict=True):
            if sizes.setdefault(letter, size) != size:
                raise CannotRewriteError(f"{letter} is {sizes[letter]} in one operand and {size} in another")
    summed = []
    for index, (name, term) in enumerate(zip(node.input, terms, strict=True)):
        others = "".join(terms[:index] + terms[index + 1 :])
        summed.append(_sum_alone(name, term, others + result, emit))
    if len(summed) == 1:
        (found,) = summed
        _moved(*found, result, emit, node.output[0])
    else:
        _product(*summed[0], *summed[1], result, sizes, emit, node.output[0])


def _terms(equation: str) -> tuple[list[str], str]:
    """The letters of each operand, and of the result, which stands for itself or follows from the others."""
    left, arrow, result = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if "." in equation:
        raise CannotRewriteError("it has an ellipsis")
    if any(len(set(term)) < len(term) for term in (*terms, result)):
        raise CannotRewriteError("it takes a diagonal")
    letters = "".join(terms)
    return terms, result if arrow else "".join(sorted(letter for letter in letters if letters.count(letter) == 1))


def _sum_alone(name: str, term: str, needed: str, emit: Emitter) -> tuple[str, str]:
    """An operand summed over the letters that nothing else has, and its letters then."""
    axes = [index for index, letter in enumerate(term) if letter not in needed]
    if not axes:
        return name, term
    kept = "".join(letter for letter in term if letter in needed)
    return emit.reduced("ReduceSum", name, axes, stay=False), kept


def _product(
    a: str, a_term: str, b: str, b_term: str, result: str, sizes: Mapping[str, int], emit: Emitter, out: str
) -> None:
    batch = [letter for letter in result if letter in a_term and letter in b_term]
    inner = [letter for letter in a_term if letter in b_term and letter not in result]
    rows = [letter for letter in a_term if letter not in b_term]
    columns = [letter for letter in b_term if letter not in a_term]
    stacks = [sizes[letter] for letter in batch]
    if len(batch) > _MOST_BATCH_AXES:
        stacks = [math.prod(stacks)]

    def matrices(name: str, term: str, *parts: list[str]) -> str:
        """An operand as a stack of matrices."""
        turned = _moved(name, term, "".join("".join(part) for part in (batch, *parts)), emit)
        shape = [*stacks, *(math.prod(sizes[letter] for letter in part) for part in parts)]
        same = len(stacks) == len(batch) and all(len(part) == 1 for part in parts)
        return turned if same else emit("Reshape", turned, shape)

    product = emit("MatMul", matrices(a, a_term, rows, inner), matrices(b, b_term, inner, columns))
    letters = [*batch, *rows, *columns]
    if len(stacks) < len(batch) or len(rows) != 1 or len(columns) != 1:
        product = emit("Reshape", product, np.array([sizes[letter] for letter in letters], np.int64))
    _moved(product, "".join(letters), result, emit, out)


def _moved(name: str, before: str, after: str, emit: Emitter, out: str = "") -> str:
    """A tensor with its letters in another order; one that is `out` is made in any case."""
    if before != after:
        return emit("Transpose", name, perm=[before.index(letter) for letter in after], out=out)
    if not out:
        return name
    if emit.nodes and emit.nodes[-1].output[0] == name:
        emit.nodes[-1].output[0] = out
        return out
    return emit("Identity", name, out=out)
