"""Every rule explains a failure that really happened: the examples are errors of real tools, recorded as they came."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from oakmill.conversion.failures import Failure, Problem, SourceFacts, apply, explain, rules
from oakmill.conversion.failures.facts import SourceNode
from oakmill.spec import ConversionSpec, Rvc2Spec, Rvc3Spec, Rvc4Spec

EXAMPLES = sorted((Path(__file__).parent / "examples").glob("*.json"))
SPECS: dict[str, type[ConversionSpec]] = {"rvc2": Rvc2Spec, "rvc3": Rvc3Spec, "rvc4": Rvc4Spec}


@dataclass
class Example:
    """A failure that was provoked, with what was asked and what the source's names were."""

    rule: str
    platform: str
    problem: Problem
    spec: ConversionSpec | None
    facts: SourceFacts

    @classmethod
    def read(cls, path: Path) -> Example:
        said: dict[str, Any] = json.loads(path.read_text())
        nodes = {name: SourceNode(op, tuple(reads)) for name, (op, *reads) in said["nodes"].items()}
        inputs = {name: tuple(shape) for name, shape in said["inputs"].items()}
        facts = SourceFacts(inputs, said["outputs"], nodes, said["tensors"])
        # A spec that could not be read is empty; so is one that asks for nothing.
        asked_in_vain = said["problem"]["stage"] == "ask" and not said["spec"]
        spec = None if asked_in_vain else SPECS[said["platform"]].model_validate(said["spec"])
        return cls(said["rule"], said["platform"], Problem(**said["problem"]), spec, facts)

    def explained(self) -> Failure:
        return explain(self.problem, spec=self.spec, facts=self.facts, platform=self.platform)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_real_failure_is_explained_by_its_rule(path: Path) -> None:
    example = Example.read(path)
    failure = example.explained()
    assert failure.rule == example.rule
    assert failure.known
    for words in (failure.title, failure.sentence, failure.cause, *(item.text for item in failure.remedies)):
        assert words
        assert not re.search(r"\{\w*\}|  | \.$|''", words), words  # no template is left unfilled
        assert "\n" not in words
    assert Failure.model_validate_json(failure.model_dump_json()) == failure


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_its_edits_can_be_applied_and_change_something(path: Path) -> None:
    example = Example.read(path)
    for remedy in example.explained().remedies:
        if remedy.edit:
            assert example.spec is not None
            assert apply(remedy.edit, example.spec) != example.spec
            assert remedy.options or remedy.without


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_names_no_folder_of_a_machine(path: Path) -> None:
    assert not re.search(r"(?<![\w>])/(?:root|home|tmp|work)/", path.read_text())


def test_each_rule_has_an_example_and_a_name_of_its_own() -> None:
    ids = [rule.id for rule in rules()]
    assert len(ids) == len(set(ids)) >= 30
    assert {Example.read(path).rule for path in EXAMPLES} == set(ids)


def test_rules_are_tried_in_the_order_of_the_book() -> None:
    """An empty file is "not a model" too, but the rule that says more comes first."""
    assert explain(Problem("NotAModel", "m.onnx is empty")).rule == "empty-file"
    assert explain(Problem("NotAModel", "m.onnx is text")).rule == "not-a-model"
