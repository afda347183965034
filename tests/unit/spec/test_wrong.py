"""What pydantic finds wrong is told as a person would."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from oakmill.spec import InputSpec, Rvc2Spec, wrong


@pytest.mark.parametrize(
    ("model", "values", "said"),
    [
        (InputSpec, {"shape": "1,3,x"}, ("shape", "'1,3,x' is no list")),
        (InputSpec, {"shape": [1, 3, "many", 64]}, ("shape.2", "'many' is no whole number")),
        (InputSpec, {"shape": [0]}, ("shape.0", "0 has to be 1 or more")),
        (InputSpec, {"mean_values": ["x"]}, ("mean_values.0", "'x' is no number")),
        (InputSpec, {"scale_values": [0]}, ("", "scale values divide, so none may be 0")),
        (InputSpec, {"encoding_from": "CMYK"}, ("encoding_from", "'CMYK' is not 'RGB', 'BGR', 'GRAY' or 'NONE'")),
        (InputSpec, {"layout": "nchw"}, ("layout", "'nchw' is not of the form ^[A-Z]{1,6}$")),
        (InputSpec, {"colour": "RGB"}, ("colour", "there is no such field")),
        (Rvc2Spec, {"number_of_shaves": 17}, ("number_of_shaves", "17 has to be 16 or less")),
    ],
)
def test_a_persons_words(model: type[BaseModel], values: dict[str, Any], said: tuple[str, str]) -> None:
    """The form said "Input should be a valid integer, unable to parse string as an integer"."""
    with pytest.raises(ValidationError) as caught:
        model.model_validate(values)
    assert wrong.first_of(caught.value.errors()) == said


def test_long_values_are_cut() -> None:
    with pytest.raises(ValidationError) as caught:
        InputSpec.model_validate({"encoding_from": "x" * 5000})
    assert len(wrong.first_of(caught.value.errors())[1]) < 300
