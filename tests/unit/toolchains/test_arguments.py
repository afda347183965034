"""Raw tool arguments pass an exact list of those that are safe, or are refused by name."""

from __future__ import annotations

import pytest

from oakmill.errors import ArgumentRefused
from oakmill.toolchains.arguments import flag, option, parse, refused

KNOWN = {
    "--scale": option(r"\d+(\.\d+)?", "a number"),
    "--silent": flag(),
    "--extensions": refused("it runs code"),
    "--key": option(r"\w+=\w+", repeats=True),
}


def test_values_come_after_a_space_or_an_equals_sign() -> None:
    assert parse("tool", ["--scale", "2.5", "--silent"], KNOWN) == [("--scale", "2.5"), ("--silent", None)]
    assert parse("tool", ["--scale=3"], KNOWN) == [("--scale", "3")]


def test_only_options_that_may_repeat_do() -> None:
    assert len(parse("tool", ["--key", "a=1", "--key", "b=2"], KNOWN)) == 2
    with pytest.raises(ArgumentRefused, match="given twice"):
        parse("tool", ["--scale=1", "--scale=2"], KNOWN)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--extensions", "/tmp"], "it runs code"),
        (["--ext", "/tmp"], "not one that can be passed on"),  # tools take abbreviations; we do not
        (["--scal=1"], "not one that can be passed on"),
        (["--scale"], "needs a value"),
        (["--scale", "--silent"], "needs a value"),
        (["--scale", "1;rm"], "cannot have the value"),
        (["--silent=1"], "takes no value"),
        (["model.onnx"], "does not belong to an option"),
        (["--scale", "9" * 3000], "cannot have the value"),
    ],
)
def test_all_else_is_refused_by_name(arguments: list[str], words: str) -> None:
    with pytest.raises(ArgumentRefused, match=words):
        parse("tool", arguments, KNOWN)
