"""The form that asks for several conversions: what is ticked, and what each platform says of the shared fields."""

from __future__ import annotations

import pytest

from oakmill.errors import SpecError
from oakmill.settings import Settings
from oakmill.web.forms import batch
from oakmill.web.forms.submitted import Fields
from tests.unit.web.forms.test_fields import NOTHING, of_inputs


def form(*ticked: str, **fields: str) -> Fields:
    return Fields([*(("wanted", value) for value in ticked), *fields.items()])


def test_each_tick_is_a_conversion_of_its_platform() -> None:
    found = batch.read(
        form("rvc2", "rvc4:INT8_STANDARD", "rvc4:FP16_STANDARD", "rvc2", quantization_data="random"),
        of_inputs([NOTHING]),
        Settings(),
    )
    assert [(item.tick.platform, item.suffix) for item in found] == [("rvc2", ""), ("rvc4", ".int8"), ("rvc4", ".fp16")]
    assert [item.checked.errors for item in found] == [{}, {}, {}]
    specs = [item.checked.spec for item in found]
    assert [str(getattr(spec, "target_precision", "")) for spec in specs] == ["", "INT8_STANDARD", "FP16_STANDARD"]
    assert "quantization_data" not in found[0].checked.values


def test_what_is_no_tick_is_refused_and_nothing_ticked_is_told() -> None:
    with pytest.raises(SpecError, match="rvc9"):
        batch.wanted(form("rvc9:INT8"))
    with pytest.raises(SpecError):
        batch.wanted(form("rvc2:INT8_STANDARD"))
    assert batch.together(batch.read(form(), of_inputs([NOTHING]), Settings())).errors == {"": batch.NO_TICK}


def test_what_one_platform_alone_says_is_told_with_its_name() -> None:
    asked = batch.read(
        form("rvc2", "rvc4:INT8_STANDARD", **{"inputs.0.shape": "none", "max_quantization_images": "0"}),
        of_inputs([NOTHING]),
        Settings(),
    )
    errors = batch.together(asked).errors
    assert not errors["inputs.0.shape"].startswith("RVC")
    assert errors["max_quantization_images"].startswith("RVC4: ")


def test_a_platform_that_quantizes_nothing_has_one_tick() -> None:
    (only,) = batch.ticks("rvc2", ["rvc2"])
    assert (only.value, only.label, only.on, only.needs_images) == ("rvc2", "FP16", True, False)
    words = {tick.label: tick.needs_images for tick in batch.ticks("rvc4", ())}
    assert words["AUTO"] and words["INT8"] and not words["FP16"]


def test_ones_own_images_test_what_they_do_not_calibrate() -> None:
    """FP16 beside INT8 was judged on generated images, on which a detector finds nothing, and 80 photos lay there."""
    ticked = ("rvc2", "rvc4:INT8_STANDARD", "rvc4:FP16_STANDARD")
    found = batch.read(form(*ticked, quantization_data="hands"), of_inputs([NOTHING]), Settings())
    assert [item.checked.values.get("verification_images") for item in found] == ["hands", None, "hands"]
    for fields in ({"quantization_data": "random"}, {}, {"quantization_data": "hands", "verification_images": "feet"}):
        found = batch.read(form(*ticked, **fields), of_inputs([NOTHING]), Settings())
        assert {item.checked.values.get("verification_images") for item in found} == {fields.get("verification_images")}
