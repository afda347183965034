"""What LiteRT says when it refuses a model becomes one sentence, not one for each of its tensors."""

from __future__ import annotations

from oakmill.conversion.sources.tflite import _refused
from oakmill.toolchains.door import RunnerError


def refusal(message: str) -> str:
    error = RunnerError(message, kind="interpreter", details={}, log="")
    return _refused(error, "some.tflite").message


def test_sentences_that_are_glued_together_are_told_apart() -> None:
    """14 tensors, 14 times the same sentence, without a space between them."""
    glued = "".join(
        f"quantized_dimension must be in range [0, 1). Was 3.Tensor {place} has invalid quantization parameters."
        for place in range(14)
    )
    assert refusal(glued) == "LiteRT cannot run some.tflite: quantized_dimension must be in range [0, 1). Was 3."


def test_a_refusal_without_words_says_so() -> None:
    assert refusal(" \n") == "LiteRT cannot run some.tflite: no reason given"
