"""What a job left is read with care: its process may have written anything."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from oakmill.conversion.recipe.read import LARGEST, BadRecipe
from oakmill.conversion.rvc3.methods import NOT_COMPILED
from oakmill.jobs import publish


@pytest.mark.parametrize(
    "text",
    ["a: &a [x, x]\nb: [*a, *a]\n", "[" * 5000 + "]" * 5000, "[1, 2]", "recipe_version: 1\n", "x" * (LARGEST + 1)],
    ids=["references", "nested", "a list", "half a recipe", "too large"],
)
def test_arecipe_in_that_is_none_ends_the_job_in_words(tmp_path: Path, text: str) -> None:
    """It was loaded whole, with all that its references describe, in the worker that all jobs share."""
    path = tmp_path / "m.recipe.yaml"
    path.write_text(text)
    with pytest.raises(BadRecipe, match=r"m\.recipe\.yaml"):
        publish.recipe_in([path])


def test_what_still_needs_a_compiler_is_noted() -> None:
    """The page showed the program for a camera below the words that no camera runs the file."""
    found = json.loads(json.dumps({"passport": {"findings": [asdict(NOT_COMPILED)]}}))
    assert publish._not_compiled(found).startswith("No camera runs this file: no public package has a compiler")
    assert not publish._not_compiled({"passport": {"findings": []}})
    assert not publish._not_compiled({})


def test_a_version_is_noted_as_clients_ask_for_it() -> None:
    """OpenVINO out of an archive stands for its series, 2022.3; HubAI's clients call that 2022.3.0."""
    words = {"rvc2/openvino-2022.3": "2022.3.0", "rvc2/openvino-2022.2.0": "2022.2.0", "rvc4/qairt-2.51": "2.51"}
    assert {name: publish.version_of(name) for name in words} == words
