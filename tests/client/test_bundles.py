"""A model with what was made of it goes from one hub to another as one file: the same addresses, bytes, passports."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from oakmill.client import Hub, Instance
from oakmill.errors import NoKey
from oakmill.files import file_sha256
from oakmill.spec import Rvc2Spec
from oakmill.spec.imported import Imported, ImportedFile
from tests.client.conftest import Shell
from tests.client.test_whole_way import upload
from tests.compat.test_zoo import from_zoo
from tests.conversion.makers import conv_model, saved
from tests.hub_servers import (  # noqa: F401 - fixtures
    ServedHub,
    postgres_server,
    postgres_url,
    s3_server,
    s3_store,
)

SMALL = Rvc2Spec(blob=True, number_of_shaves=4)
TELLING = ("model_type", "name", "slug", "origin", "sha256", "precision", "tool_version", "input_shape", "verdict",
           "parameters", "is_nn_archive", "created", "status", "imported")  # fmt: skip


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHub]:
    """A hub without tools, that converts nothing."""
    with ServedHub(tmp_path_factory.mktemp("far")) as found:
        yield found


@pytest.fixture(scope="module")
def made(serving: ServedHub, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The slug of a model with two versions, of which one was converted, and an alias."""
    folder = tmp_path_factory.mktemp("made")
    with Hub(serving.url, serving.key) as hub:
        source = upload(hub, "Gate Net", saved(conv_model(opset=13), folder / "gate.onnx"))
        hub.jobs.wait(hub.convert(hub.instances.get(source), SMALL)).require_success()
        model = hub.models.get(hub.instances.get(source).model_id)
        hub.models.change(model.id, card="# Gate", summary="Counts who passes.", tags=["yard"], license="MIT")
        (first,) = hub.models.versions(model.id)
        second = hub.models.create_version(model.id, "default", "0.2.0", changelog="More lorries.")
        later = saved(conv_model(opset=12), folder / "later.onnx")
        hub.instances.create(second.id, [later], imported=origin(later))
        hub.aliases.move(first.id, "prod", why="it is proved")
        return model.slug


def origin(path: Path) -> Imported:
    """Where a source was fetched from."""
    file = ImportedFile(name=path.name, size=path.stat().st_size, sha256=file_sha256(path), checked="sha256")
    return Imported(
        kind="hf", address="hf:acme/net/later.onnx@abc", name="acme/net", url="https://example.com/acme/net",
        revision="abc", licence="mit", fetched=datetime(2026, 11, 30, tzinfo=UTC), files=(file,),
    )  # fmt: skip


def below(hub: Hub, slug: str) -> dict[str, Instance]:
    """The model's instances by what each is."""
    (model,) = hub.models.list(slug=slug)
    found = [hub.instances.get(item.id) for item in hub.instances.list(model_id=model.id)]
    return {f"{item.model_type} {item.sha256}": item for item in found}


def told(instance: Instance) -> dict[str, Any]:
    files = [(file.name, file.role, file.sha256, file.size) for file in instance.files]
    facts = dict(instance.facts)
    archive = facts.pop("config", None) or facts.pop("archive", None)  # read again, so what it leaves out is named
    heads = {"heads": archive["model"]["heads"]} if archive else {}
    return {name: getattr(instance, name) for name in TELLING} | {"files": files, "facts": facts} | heads


def environment(hub: ServedHub) -> dict[str, str]:
    return {"OAKMILL_HUB_URL": hub.url, "OAKMILL_KEY": hub.key}


def test_what_was_made_on_one_hub_opens_on_another(
    serving: ServedHub, hub: Hub, far: ServedHub, made: str, shell: Shell
) -> None:
    written = json.loads(shell.run("bundle", made, "-o", "gate.oakbundle", "--json", env=environment(serving)).stdout)
    assert written["instances"] == 3 and written["models"] == ["gate-net"]
    words = ("unbundle", "gate.oakbundle", "--sha256", written["sha256"])
    would = shell.run(*words, "--dry-run", env=environment(far))
    assert "new" in would.stdout and "would come in" in would.stderr
    with Hub(far.url, far.key) as there:
        assert not list(there.models.list(slug=made))
        taken = json.loads(shell.run(*words, "--json", env=environment(far)).stdout)
        assert [(item["state"], item["coming"]) for item in taken["models"]] == [("new", 3)]

        here, now = below(hub, made), below(there, made)
        assert {key: told(item) for key, item in now.items()} == {key: told(item) for key, item in here.items()}
        for key, item in now.items():
            assert item.id != here[key].id and item.job_id is None
            assert item.from_bundle and item.from_bundle.sha256 == written["sha256"]
            assert item.from_bundle.hub == serving.url and item.from_bundle.instance == here[key].id
        _require_same_result(hub, there, here, now)
        _require_same_model(there, made)
        for address in ("gate-net", "default/gate-net:default", "gate-net@prod", "gate-net:default:0.1.0"):
            assert there.instances.resolve(address, "RVC2").sha256 == hub.instances.resolve(address, "RVC2").sha256

        again = json.loads(shell.run(*words, "--json", env=environment(far)).stdout)
        assert [(item["state"], item["coming"]) for item in again["models"]] == [("there", 0)]
        assert below(there, made).keys() == now.keys()
        changed = shell.run("unbundle", "gate.oakbundle", "--sha256", "0" * 64, code=10, env=environment(far)).stderr
        assert "another bundle" in changed


def _require_same_result(hub: Hub, there: Hub, here: dict[str, Instance], now: dict[str, Instance]) -> None:
    """With its passport, its recipe and its parent, which is the one here."""
    (key,) = (key for key, item in now.items() if item.model_type == "RVC2")
    parent = there.instances.get(now[key].parent_id or "")
    assert parent.sha256 == hub.instances.get(here[key].parent_id or "").sha256
    assert there.instances.passport(now[key].id) == hub.instances.passport(here[key].id)
    assert now[key].verdict == "ok" and now[key].facts["accuracy"]


def _require_same_model(there: Hub, slug: str) -> None:
    (row,) = there.models.list(slug=slug)
    model = there.models.get(row.id)
    assert (model.name, model.card, model.summary) == ("Gate Net", "# Gate", "Counts who passes.")
    assert (model.tags, model.license) == (("yard",), "MIT")
    assert [version.version for version in there.models.versions(model.id)] == ["0.2.0", "0.1.0"]
    assert [(alias.name, alias.version) for alias in there.aliases.list(model.id)] == [("prod", "0.1.0")]


def test_depthai_gets_the_same_bytes_from_either_hub(
    serving: ServedHub, far: ServedHub, made: str, shell: Shell, tmp_path: Path
) -> None:
    bring(serving, far, made, shell)
    got = []
    for number, one in enumerate((serving, far)):
        done = from_zoo(one, f"default/{made}:default", "RVC2", tmp_path / str(number), one.key)
        assert done.returncode == 0, done.stdout + done.stderr
        got.append(Path(json.loads(done.stdout.splitlines()[-1])["path"]).read_bytes())
    assert got[0] == got[1]


def test_a_later_bundle_of_the_same_model_brings_what_is_new(
    serving: ServedHub, hub: Hub, far: ServedHub, shell: Shell, tmp_path: Path
) -> None:
    source = hub.instances.get(upload(hub, "Grows", saved(conv_model(opset=11), tmp_path / "grows.onnx")))
    bring(serving, far, "grows", shell)
    version = hub.models.create_version(source.model_id, "default", "0.2.0")
    hub.instances.create(version.id, [saved(conv_model(opset=10), tmp_path / "more.onnx")])
    hub.aliases.move(version.id, "prod")
    (told_,) = bring(serving, far, "grows", shell)
    assert (told_["state"], told_["coming"], told_["instances"]) == ("adds", 1, 2)
    with Hub(far.url, far.key) as there:
        (model,) = there.models.list(slug="grows")
        assert (model.versions, model.instances) == (2, 2)
        (alias,) = there.aliases.list(model.id)
        assert alias.version == "0.2.0"


def test_another_model_of_that_name_stays_and_the_bundles_is_given_one(
    serving: ServedHub, hub: Hub, far: ServedHub, shell: Shell, tmp_path: Path
) -> None:
    upload(hub, "Same name", saved(conv_model(opset=11), tmp_path / "one.onnx"))
    with Hub(far.url, far.key) as there:
        mine = there.instances.get(upload(there, "Same name", saved(conv_model(opset=12), tmp_path / "other.onnx")))
        shell.run("bundle", "same-name", "-o", "same.oakbundle", env=environment(serving))
        refused = shell.run("unbundle", "same.oakbundle", code=10, env=environment(far)).stderr
        assert "another model 'same-name'" in refused and "--as same-name=NAME" in refused
        shell.run("unbundle", "same.oakbundle", "--as", "Their gate", env=environment(far))
        assert there.instances.resolve("their-gate").sha256 == hub.instances.resolve("same-name").sha256
        assert there.instances.resolve("same-name").sha256 == mine.sha256
        shell.run("unbundle", "same.oakbundle", "--into", "others", code=10, env=environment(far))


def test_the_operator_makes_and_takes_bundles_without_a_server(
    serving: ServedHub, hub: Hub, made: str, shell: Shell, tmp_path: Path
) -> None:
    new = tmp_path / "new"
    said = shell.run("bundle", f"default/{made}", "-o", "own.oakbundle", "--local", home=serving.home).stdout
    assert said.startswith("own.oakbundle: gate-net; 3 instances, ")
    shell.run("bundle", made, "-o", "own.oakbundle", "--local", code=9, home=serving.home)
    shell.run("bundle", "none", "-o", "no.oakbundle", "--local", code=10, home=serving.home)
    assert not (shell.folder / "no.oakbundle").exists()
    shell.run("keys", "add-team", "Yard", home=new)
    assert "yard/gate-net" in shell.run("unbundle", "own.oakbundle", "--local", "--into", "yard", home=new).stdout
    key = shell.run("keys", "create", "me", "--team", "yard", home=new).stdout.strip()
    with ServedHub(new, key=key) as other, Hub(other.url, key) as there:
        assert there.instances.resolve("yard/gate-net", "RVC2").sha256 == hub.instances.resolve(made, "RVC2").sha256


def test_a_key_has_to_be_allowed_to(serving: ServedHub, far: ServedHub, made: str, shell: Shell) -> None:
    shell.run("bundle", made, "-o", "gate.oakbundle", env=environment(serving))
    with Hub(far.url, far.key) as there, Hub(serving.url, serving.key) as here:
        reads = {"OAKMILL_HUB_URL": far.url, "OAKMILL_KEY": there.keys.create("reads", ["read"]).key}
        one = here.keys.create("one", ["convert"], model_id=here.instances.resolve(made).model_id).key
    assert "does not allow convert" in shell.run("unbundle", "gate.oakbundle", code=10, env=reads).stderr
    narrow = {"OAKMILL_HUB_URL": serving.url, "OAKMILL_KEY": one}
    assert "for the model" in shell.run("unbundle", "gate.oakbundle", code=10, env=narrow).stderr
    with pytest.raises(NoKey), Hub(serving.url) as nobody:
        nobody.bundles.make([made], shell.folder / "nobody.oakbundle")


def bring(serving: ServedHub, far: ServedHub, slug: str, shell: Shell) -> list[dict[str, Any]]:
    """Take a model from one hub to the other; what came of it."""
    shell.run("bundle", slug, "-o", f"{slug}.oakbundle", "--overwrite", env=environment(serving))
    said = json.loads(shell.run("unbundle", f"{slug}.oakbundle", "--json", env=environment(far)).stdout)
    found: list[dict[str, Any]] = said["models"]
    return found


@pytest.mark.slow
@pytest.mark.heavy
def test_a_hub_on_postgresql_and_s3_takes_in_and_hands_on(
    serving: ServedHub,
    made: str,
    shell: Shell,
    tmp_path: Path,
    postgres_url: str,  # noqa: F811
    s3_store: dict[str, object],  # noqa: F811
) -> None:
    """There a bundle lies in a bucket, and a column of JSON is asked in another way."""
    variables = {
        "OAKMILL_DATABASE": postgres_url,
        "OAKMILL_STORE": str(s3_store["store"]),
        "OAKMILL_STORE_OPTIONS": json.dumps(s3_store["store_options"]),
    }
    with ServedHub(tmp_path / "cloud", variables=variables) as cloud:
        (told_,) = bring(serving, cloud, made, shell)
        assert (told_["state"], told_["coming"]) == ("new", 3)
        (again,) = bring(serving, cloud, made, shell)
        assert again["state"] == "there"
        words = shell.run("bundle", made, "-o", "on.oakbundle", env=environment(cloud)).stdout
        assert "3 instances" in words
