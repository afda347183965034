"""Inputs that are no image were tried with [0, 1) and 0 alone, where much wrong computing looks right."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from oakmill.conversion.images.numbers import LARGE, numbers
from oakmill.conversion.images.samples import SampleSet
from oakmill.conversion.inputs import resolve
from oakmill.model.source import Tensor
from oakmill.spec import Encoding, InputSpec


def drawn(shape: tuple[int, ...], count: int = 8) -> list[np.ndarray]:
    samples = numbers(shape, "float32", None, count, 0)
    return [samples.read(index) for index in range(count)]


@pytest.mark.parametrize(("shape", "count"), [((4, 16), 2), ((1, 16), 8), ((2, 3, 5), 2), ((1, 1, 1, 9), 8)])
def test_there_are_signs_large_values_and_rows_of_zeros(shape: tuple[int, ...], count: int) -> None:
    """A softmax that overflows, a norm of nothing, a root of less than nothing: none showed between 0 and 1."""
    rows = np.concatenate([values.reshape(-1, shape[-1]) for values in drawn(shape, count)])
    assert (rows < 0).any()
    assert (np.abs(rows) > LARGE / 2).any()
    assert (rows == 0).all(axis=1).any()
    assert ((rows >= 0) & (rows < 1) & (rows > 0)).any()


def test_one_sample_of_eight_is_all_zeros() -> None:
    """RVC2's norm of a column of zeros is no number: a row of zeros did not show it, and the file was green."""
    assert [index for index, values in enumerate(drawn((4, 16))) if not values.any()] == [7]


def test_half_precision_holds_each_value_exactly() -> None:
    """What is off is then computed wrongly, and was not only rounded on its way in."""
    for values in drawn((4, 32)):
        assert values.dtype == np.float32
        assert (values.astype(np.float16).astype(np.float32) == values).all()


def test_a_single_number_has_samples_too() -> None:
    assert [values.shape for values in drawn((), 2)] == [(), ()]


@pytest.mark.parametrize(("limits", "low", "high"), [((0, 50), 0, 49), ((-4, 4), -4, 3), (None, 0, 1)])
def test_whole_numbers_stay_within_what_is_valid(limits: tuple[int, int] | None, low: int, high: int) -> None:
    samples = numbers((40, 40), "int64", limits, 3, 0)
    drawn = np.stack([samples.read(index) for index in range(3)])
    assert drawn.dtype == np.int64
    assert (drawn.min(), drawn.max()) == (low, high)


def test_where_nothing_is_known_the_first_sample_is_zero() -> None:
    """An index into a table of one row is as valid as it can be."""
    assert not numbers((40,), "int32", None, 1, 0).read(0).any()


def test_truth_values_are_of_both_kinds_at_once() -> None:
    """A mask of which all is masked says nothing of masking."""
    values = numbers((40,), "bool", (0, 2), 1, 0).read(0)
    assert values.dtype == np.bool_
    assert values.any()
    assert not values.all()


def test_the_bytes_are_the_same_on_every_machine() -> None:
    """Recipes name samples by their digests."""
    digests = numbers((4, 16), "float32", None, 4, 3).sha256
    assert digests == tuple(hashlib.sha256(values.tobytes()).hexdigest() for values in
                            [numbers((4, 16), "float32", None, 9, 3).read(index) for index in range(4)])  # fmt: skip
    assert len(set(digests)) == 4


def test_only_inputs_that_are_no_image_get_them() -> None:
    image = resolve(InputSpec(name="image"), Tensor("image", (1, 3, 16, 16), "float32"))
    plain = resolve(InputSpec(name="x", encoding_from=Encoding.NONE), Tensor("x", (1, 3, 16, 16), "float32"))
    samples = SampleSet.generated([image, plain], 2, 0)
    assert samples[1]["image"].min() >= 0
    assert samples[1]["image"].max() > 100
    assert samples[1]["x"].min() < 0
