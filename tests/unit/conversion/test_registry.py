"""A platform is there everywhere once its row is: command line, API, pages, checks, other people's words, and docs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import pytest
from click.testing import CliRunner, Result
from sqlalchemy.orm import Session

from oakmill.cli.main import cli
from oakmill.conversion import registry
from oakmill.conversion.cache import identity
from oakmill.conversion.recipe import read
from oakmill.hub.state import Hub
from oakmill.jobs import submit
from oakmill.registry import callers, instances, keys, models, teams, variants
from oakmill.registry.tables import InstanceStatus
from oakmill.server.app import create
from oakmill.settings import Settings, current
from oakmill.spec.platforms import PLATFORMS
from oakmill.spec.yaml_config import translate
from oakmill.toolchains import catalog
from tests import fakes
from tests.api.conftest import TestClient
from tests.conftest import PROJECT

NAMES = ["rvc2", "rvc3", "rvc4", "toy"]


@pytest.fixture
def home(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """The toy's home is everybody's, whatever a test before has read."""
    monkeypatch.setenv("OAKMILL_HOME", str(settings.home))
    current.cache_clear()
    yield settings
    current.cache_clear()


def oakmill(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, list(map(str, arguments)), standalone_mode=False)


def test_a_row_is_whole(toy: None) -> None:
    assert list(registry.ROWS) == list(PLATFORMS) == NAMES
    for name, row in registry.ROWS.items():
        assert (row.facts.name, row.load().name) == (name, name)
        assert row.facts is PLATFORMS[name]
        assert catalog.find(name, Settings()).name.startswith(f"{name}/")
        assert set(row.arguments(Settings())) == {
            field for field in row.facts.spec.model_fields if field.endswith("_args") and name != "toy"
        }
        assert set(row.facts.own_tools) <= set(Settings.model_fields)
        if row.facts.tools:
            assert row.facts.tools.field in row.facts.spec.model_fields
            assert catalog.find(name, Settings()).name.startswith(row.facts.tools.prefix)


def test_it_is_gone_with_its_row() -> None:
    assert list(PLATFORMS) == list(registry.ROWS) == NAMES[:-1]


def test_the_command_line_has_its_name_and_its_options(toy: None) -> None:
    command = cli.get_command(click.Context(cli), "convert")
    assert command is not None
    shown = command.get_help(click.Context(command))
    assert "[rvc2|rvc3|rvc4|toy]" in shown
    assert "[TOY] The copier's version. [default: 1.0]" in " ".join(shown.split())
    assert "[RVC3, RVC4, TOY] Number format" in " ".join(shown.split())


def test_the_command_line_converts_to_it(home: Settings, model: Path, tmp_path: Path) -> None:
    asked = ("convert", model, "--to", "toy", "--paint", "4", "-o", tmp_path / "out", "--json")
    made = oakmill(*asked)
    assert made.exception is None, made.output
    assert json.loads(made.stdout.splitlines()[-1])["result"]["cache"] == {"hit": False}
    assert (tmp_path / "out" / "small.toy.tar.xz").is_file()
    again = json.loads(oakmill(*asked, "--overwrite").stdout.splitlines()[-1])
    assert again["result"]["cache"]["hit"] is True
    assert oakmill("convert", model, "--to", "toy", "--shaves", "4").exception is not None


def test_check_speaks_of_it(toy: None, model: Path) -> None:
    answer = json.loads(oakmill("check", model, "--json").stdout)
    assert [report["platform"] for report in answer["platforms"]] == NAMES
    assert answer["platforms"][-1]["mode"] == "copy"
    assert oakmill("check", model, "--to", "toy").stdout.splitlines()[1].startswith("TOY")


def test_its_recipe_is_read_and_replayed(home: Settings, model: Path, tmp_path: Path) -> None:
    assert oakmill("convert", model, "--to", "toy", "--paint", "2", "-o", tmp_path / "out").exception is None
    recipe = tmp_path / "out" / "small.toy.recipe.yaml"
    assert isinstance(read.read(recipe, home).spec, fakes.ToySpec)
    replayed = oakmill("replay", recipe, "--source", model, "-o", tmp_path / "again")
    assert replayed.exception is None, replayed.output
    assert "same bytes" in replayed.output + replayed.stderr


def test_a_configuration_may_have_its_block(toy: None, tmp_path: Path) -> None:
    document = {"input_model": "small.onnx", "toy": {}, "calibration": {"path": "photos"}}
    asked = translate(document, "toy", lambda key, path: tmp_path / path)
    assert asked.values["quantization_data"] == str(tmp_path / "photos")


def test_the_users_own_tools_are_known_by_its_settings(toy: None, tmp_path: Path) -> None:
    own = Settings(home=tmp_path, qairt_root=tmp_path)
    assert [name for name in NAMES if identity.uses_own_tools(PLATFORMS[name].spec(), own)] == ["rvc4"]


def test_a_request_of_the_hub_may_ask_for_it(toy: None) -> None:
    assert submit.parse({"platform": "TOY", "paint": "3"}) == fakes.ToySpec(paint=3)


@pytest.fixture
def hub(home: Settings) -> Iterator[TestClient]:
    """A hub with one source, of which a caller with the key may do everything."""
    with TestClient(create(home)) as client:
        at: Hub = client.app.state.hub  # type: ignore[attr-defined]
        with at.db.session() as session:
            client.headers["Authorization"] = f"Bearer {_furnished(session)}"
            client.headers["Origin"] = str(client.base_url)
        yield client


def _furnished(session: Session) -> str:
    team = teams.create(session, name="Ours")
    by = callers.of_team(team.id, team.slug)
    version = variants.add_version(session, by, models.create(session, by, name="net", visibility="team").id, name="s")
    row = instances.create(session, by, version.id, name="small", model_type="ONNX")
    row.id, row.status = "aimi_source", InstanceStatus.AVAILABLE
    known = {"scale_values": [255.0], "encoding_from": "RGB", "encoding_to": "BGR"}
    row.facts = {
        "inputs": [{"name": "image", "shape": [1, 3, 8, 8], "dtype": "float32"}],
        "recognised": {"input": known},
    }
    return keys.create(session, team, name="me", scopes=["admin", "convert", "read"])[1]


def test_the_api_describes_it(hub: TestClient) -> None:
    found = hub.get("/api/v1/specs/toy").json()
    assert found["json_schema"]["properties"]["paint"]["description"].startswith("The copy's colour")
    assert found["defaults"]["toy_version"] == "1.0"
    described = hub.get("/api/v1/openapi.json").json()
    parameters = described["paths"]["/api/v1/specs/{platform}"]["get"]["parameters"]
    assert parameters[0]["schema"]["enum"] == NAMES
    refused = hub.get("/api/v1/specs/hailo")
    assert refused.status_code == 422
    assert "rvc2, rvc3, rvc4, toy" in refused.text


def test_what_a_recognised_network_takes_is_filled_in(hub: TestClient) -> None:
    """A YOLO's form was empty, and asked for scale and colours that its conversion knew."""
    said = hub.get("/api/v1/specs/toy", params={"instance_id": "aimi_source"}).json()
    assert (said["inputs"][0]["scale_values"], said["origins"]["image.scale_values"]) == ([255.0], "recognised")
    form = hub.get("/instances/aimi_source/convert/toy").text
    assert "as such networks take it" in form
    assert 'value="255"' in form


def test_the_pages_offer_it_and_draw_its_form(hub: TestClient) -> None:
    choice = hub.get("/instances/aimi_source/convert").text
    assert "toys. A copy of the graph." in choice
    form = hub.get("/instances/aimi_source/convert/toy")
    assert form.status_code == 200
    assert 'name="paint"' in form.text
    assert "1.0 – installed" in form.text
    assert "0.9 – needs a copier of yours" in form.text
    checked = hub.post("/instances/aimi_source/convert/toy/check", data={"paint": "12"}).text
    assert "has to be 9 or less" in checked
    assert "--to toy" in checked
    assert "A copy." in hub.get("/toolchains").text


@pytest.fixture
def generate(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(PROJECT / "docs"))
    import generate  # type: ignore[import-not-found]

    found: ModuleType = generate
    return found


def test_the_docs_describe_it(toy: None, generate: ModuleType) -> None:
    page = generate.convert_page()
    assert "--to rvc2|rvc3|rvc4|toy" in page
    assert [line for line in page.splitlines() if line.startswith("## To ")] == [
        f"## To {name.upper()}" for name in NAMES
    ]
    assert "| `--paint` | The copy's colour" in page


@pytest.mark.heavy
def test_a_process_of_its_own_knows_it_too(home: Settings, model: Path, tmp_path: Path) -> None:
    done = subprocess.run(  # noqa: TID251 - the test is the user
        [sys.executable, "-m", "tests.fakes", "convert", str(model), "--to", "toy", "-o", str(tmp_path / "out")],
        capture_output=True, text=True, cwd=PROJECT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "small.toy.tar.xz").is_file()
