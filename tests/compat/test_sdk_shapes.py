"""What real users of hubai-sdk send and its own suite does not: each gets what it asks for, or is told why not."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.compat import makers
from tests.compat.conftest import Sdk
from tests.compat.test_sdk_conversions import ask
from tests.compat.test_zoo import from_zoo
from tests.hub_servers import ServedHub

QUICK: dict[str, Any] = {"superblob": False, "number_of_shaves": 4}


@pytest.fixture(scope="module")
def answers(hub: ServedHub, sdk: Sdk, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What came of one user's day."""
    folder = tmp_path_factory.mktemp("day")
    dated, sizes = makers.dated(folder / "dated.onnx"), makers.open_sizes(folder / "sizes.onnx")
    plain = makers.tiny(folder / "plain.onnx")
    calls: list[tuple[str, dict[str, Any]]] = [
        ("RVC2", {"path": str(dated), "name": "Dated", **QUICK}),
        ("RVC2", {"path": str(sizes), "name": "Sizes", "input_shape": [1, 3, 64, 96], "is_deployable": False, **QUICK}),
        ("instances.list_instances", {"model_id": "dated"}),
        ("variants.list_variants", {"model_id": "default/dated"}),
        ("instances.list_instances", {"model_id": "no-such-model"}),
        ("instances.create_instance", {"name": "Source", "variant_id": "$3.0.id", "model_type": "ONNX"}),
        ("instances.upload_file", {"file_path": str(plain), "identifier": "$5.id"}),
        ("instances.get_config", {"identifier": "$5.id"}),
        ("models.create_model", {"name": "Stored"}),
        ("variants.create_variant", {"name": "Stored small", "model_id": "$8.id", "variant_version": "0.1.0"}),
        ("instances.create_instance", {"name": "Ready", "variant_id": "$9.id", "model_type": "RVC2"}),
        ("instances.upload_file", {"file_path": "$0.path", "identifier": "$10.id"}),
        ("instances.get_instance", {"identifier": "$10.id"}),
        ("instances.get_config", {"identifier": "$10.id"}),
        ("instances.create_instance", {"name": "Wrong", "variant_id": "$9.id", "model_type": "RVC4"}),
        ("instances.upload_file", {"file_path": "$0.path", "identifier": "$14.id"}),
    ]
    return ask(sdk, hub, folder, calls)


def input_of(answer: dict[str, Any]) -> dict[str, Any]:
    assert "error" not in answer, answer["error"]
    found: dict[str, Any] = answer["config"]["model"]["inputs"][0]
    return found


@pytest.mark.timeout(1900)
def test_an_open_batch_and_weights_among_the_inputs_make_no_other_model(answers: list[dict[str, Any]]) -> None:
    """The client calls the first layout CDEF, which was believed: the result took raw FP16 in RGB order.

    It lists every weight as an input, of which there are at most 64, and none is one: "no input 'Parameter5'".
    """
    found = input_of(answers[0])
    assert (found["name"], found["shape"], found["layout"]) == ("image", list(makers.SHAPE), "NCHW")
    assert (found["input_type"], found["preprocessing"]["dai_type"]) == ("image", "BGR888p")


@pytest.mark.timeout(1900)
def test_the_shape_that_the_user_states_is_the_results(answers: list[dict[str, Any]]) -> None:
    """It was stored with the instance, and the conversion failed for want of a shape."""
    assert input_of(answers[1])["shape"] == [1, 3, 64, 96]


@pytest.mark.timeout(1900)
def test_lists_are_narrowed_by_slugs(answers: list[dict[str, Any]]) -> None:
    """`hubai instance ls --model-id SLUG` was empty, and said nothing."""
    assert {row["model_type"] for row in answers[2]} == {"ONNX", "RVC2"}  # type: ignore[index]
    assert [row["variant_slug"] for row in answers[3]] == ["dated-32x48"]  # type: ignore[index]
    assert "no-such-model" in answers[4]["error"]


@pytest.mark.timeout(1900)
def test_a_source_without_an_archive_has_a_config_too(answers: list[dict[str, Any]]) -> None:
    """The client's own example asks for that of an ONNX, and got 404."""
    model = answers[7]["model"]
    assert [(item["name"], item["shape"], item["layout"]) for item in model["inputs"]] == [
        ("image", list(makers.SHAPE), "NCHW")
    ]
    assert [item["name"] for item in model["outputs"]] == ["scores"] and not model["heads"]


@pytest.mark.timeout(1900)
def test_what_was_compiled_elsewhere_is_stored_and_the_zoo_gives_it(
    answers: list[dict[str, Any]], hub: ServedHub, tmp_path: Path
) -> None:
    """An instance for RVC2 could be made, and refused every file that is one."""
    stored = answers[12]
    assert (stored["status"], stored["model_type"], stored["is_nn_archive"]) == ("available", "RVC2", True)
    assert (stored["model_class"], stored["exportable_to"]) == ("EXPORTED", [])
    assert answers[13]["model"]["metadata"]["path"].endswith(".blob")
    assert "RVC4" in answers[15]["error"] and "RVC2" in answers[15]["error"]
    done = from_zoo(hub, "default/stored:stored-small", "RVC2", tmp_path, hub.key)
    assert done.returncode == 0, done.stdout + done.stderr
    other = from_zoo(hub, "default/stored", "RVC4", tmp_path, hub.key)
    assert other.returncode != 0 and "it has RVC2" in other.stdout + other.stderr
    with hub.client(path="") as client:
        for page in ("", "/passport", "/recipe", "/parameters", "/lineage"):
            assert client.get(f"/instances/{stored['id']}{page}", headers={"Accept": "text/html"}).status_code < 500


@pytest.mark.timeout(1900)
def test_an_alias_leads_the_client_and_the_zoo_to_its_version(
    answers: list[dict[str, Any]], hub: ServedHub, sdk: Sdk, tmp_path: Path
) -> None:
    """The client takes a row of a list only where its slug is the very one that was asked for."""
    with hub.client() as client:
        client.put(f"/versions/{answers[9]['id']}/aliases/prod", json={"why": "signed off"}).raise_for_status()
    calls: list[tuple[str, dict[str, Any]]] = [
        ("variants.get_variant", {"identifier": "default/stored:stored-small@prod"}),
        ("variants.get_variant", {"identifier": "default/stored@prod"}),
        ("instances.list_instances", {"variant_id": "default/stored:stored-small@prod"}),
    ]
    one, other, instances = ask(sdk, hub, tmp_path, calls)
    assert one["id"] == other["id"] == answers[9]["id"], (one, other)
    assert answers[12]["id"] in {row["id"] for row in instances}  # type: ignore[index]
    done = from_zoo(hub, "default/stored:stored-small@prod", "RVC2", tmp_path, hub.key)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(1900)
def test_nobody_is_told_what_another_calls_the_same_model(
    answers: list[dict[str, Any]], hub: ServedHub, sdk: Sdk, tmp_path: Path
) -> None:
    """The second key got the first one's archive, with the private model's name in it, in metadata.name and recipe."""
    with hub.client() as client:
        key = client.post("/keys", json={"name": "second", "scopes": ["convert"]}).raise_for_status().json()["key"]
    path = makers.dated(tmp_path / "dated.onnx")
    (mine,) = ask(sdk, hub, tmp_path, [("RVC2", {"path": str(path), "name": "Acorn", **QUICK})], key)
    assert "error" not in mine, mine["error"]
    assert Path(mine["path"]).name.startswith("acorn-32x48-")
    with tarfile.open(mine["path"]) as archive:
        names = " ".join(archive.getnames())
        texts = [archive.extractfile(name) for name in ("config.json", "buildinfo.json", "recipe.yaml")]
        said = names + "".join(text.read().decode() for text in texts if text)
    assert "acorn-32x48" in said and "dated-32x48" not in said and "Dated" not in said


@pytest.mark.timeout(1900)
def test_the_command_line_gets_what_it_asks_for(hub: ServedHub, sdk: Sdk, tmp_path: Path) -> None:
    """It sends quantization data to every target, and --no-is-deployable as False: both were refused."""
    path = makers.tiny(tmp_path / "line.onnx")
    makers.calibration_images(tmp_path / "own.zip")
    words = (
        "convert",
        "rvc2",
        "--path",
        path,
        "--name",
        "Line",
        "--quantization-data",
        "own.zip",
        "--no-is-deployable",
    )
    done = sdk.run(hub, tmp_path, "-m", "hubai_sdk", *words)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert list(tmp_path.glob("line-32x48-rvc2-*/line-32x48-*.rvc2.tar.xz"))
    listed = sdk.run(hub, tmp_path, "-m", "hubai_sdk", "instance", "ls", "--model-id", "line")
    assert "RVC2" in listed.stdout and "ONNX" in listed.stdout
