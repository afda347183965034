"""What hubai-sdk's users are told speaks of its parameters, with values; what only an operator can do says so."""

from __future__ import annotations

import re
from typing import Any

import pytest

from oakmill.compat import advice
from oakmill.compat.wire import in_words
from oakmill.conversion.failures import explain, rules
from oakmill.errors import SpecError, ToolchainMissing
from oakmill.spec import Rvc4Spec


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("convert with --target-precision FP16_STANDARD", "convert with quantization_mode=FP16_STANDARD"),
        ("give --shape image=1,3,8,8", 'give opts["shape"] image=1,3,8,8'),
        ("write --shape 1,3,H,W", 'write opts["shape"]=1,3,H,W'),
        ("omit --classes", "omit yolo_class_names"),
        ("use --keep-outputs.", "use the hub's own parameter keep_outputs."),
        ("add --shaves 4", "add number_of_shaves=4"),
        ("the argument --float_bitwidth 16 stays", "the argument --float_bitwidth 16 stays"),
    ],
)
def test_options_become_parameters(text: str, said: str) -> None:
    assert advice.translated(text) == said


def remedies(error: Exception, spec: Any = None) -> list[str]:
    return list(advice.remedies(explain(error, "compile", spec).model_dump(mode="json")))


def test_what_an_operator_does_is_said_to_be_the_operators() -> None:
    """An SDK's user was told "Try:. Install it"."""
    found = remedies(ToolchainMissing("the toolchain rvc4/qairt-2.51 is not installed"))
    assert found == ["Try: the hub's operator can: oakmill toolchains install rvc4/qairt-2.51"]


def test_a_remedy_has_its_value() -> None:
    missing = SpecError("x")
    missing.message = "the calibration set food is not installed"
    failure = {"remedies": [{"text": "Quantize nothing.", "edit": {"target_precision": "FP16_STANDARD"}}]}
    assert list(advice.remedies(failure)) == ["Try: Quantize nothing. (quantization_mode='FP16_STANDARD')"]
    failure = {"remedies": [{"text": "Fix it.", "edit": {"inputs.image.shape": [1, 3, 8, 8]}}]}
    assert list(advice.remedies(failure)) == ['Try: Fix it. (opts["shape"]=[1, 3, 8, 8] of the input image)']
    assert remedies(missing, Rvc4Spec()) == []


def test_no_rule_of_the_book_tells_a_clients_user_of_the_command_line() -> None:
    for rule in rules():
        found = {"remedies": [{"text": item.text, "command": item.command} for item in rule.remedies]}
        for line in advice.remedies(found):
            alone = re.search(
                r"(?<![\w'])--(?!tensor|input|scale|compress|out_node|float|optimization)[a-z][a-z-]+", line
            )
            assert "operator can" in line or not alone, (rule.id, line)


def test_a_refusal_is_in_the_clients_words() -> None:
    said = in_words("it does not fit", "use --mean-values 1,2,3")
    assert said == 'it does not fit. use opts["mean_values"]=1,2,3'
