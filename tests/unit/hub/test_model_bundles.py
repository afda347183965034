"""A bundle that is whole may still lie: a hub looks at each file, and of a model all comes in, or nothing."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from sqlalchemy import func, select

from oakmill.errors import BadBundle, Conflict, Forbidden, NotAModel, OakmillError, SpecError, TooLarge
from oakmill.hub.model_bundles import making, taking
from oakmill.hub.state import Hub
from oakmill.hub.wire_bundle import BundleTaken
from oakmill.jobs import ingest
from oakmill.registry import aliases, callers, datasets, instances, models, teams, variants
from oakmill.registry.callers import Caller
from oakmill.registry.tables import Alias, Dataset, Instance, InstanceFile, Model, Role, Team, Variant, Version
from oakmill.settings import Settings
from oakmill.spec.bundle import FILES, MANIFEST, FileRole
from oakmill.spec.bundle_file import opened
from tests.conftest import PROJECT
from tests.conversion.makers import conv_model
from tests.web.team import scenes

Change = Callable[[dict[str, Any], "Files"], object]


class Files(dict[str, bytes]):
    """The bytes of a bundle's files by their sha256."""

    def add(self, data: bytes) -> dict[str, Any]:
        sha256 = hashlib.sha256(data).hexdigest()
        self[sha256] = data
        return {"sha256": sha256, "size": len(data)}


def opened_hub(home: Path, quota: int | None = None) -> tuple[Hub, Caller]:
    """A hub with one team, and who acts for it."""
    at = Hub.open(Settings(home=home))
    with at.db.session() as session:
        team = session.scalars(select(Team)).first() or teams.create(session, name="Default", quota_bytes=quota)
        return at, callers.of_team(team.id, team.slug)


CAMERA = {"device": {"product": "OAK4-S", "firmware": "OS 1.6"}, "when": "2026-11-30T10:00:00+00:00", "job": "aij_1"}
SPEED = {**CAMERA, "fps": 61.5, "latency_ms": 16.2, "latency_p95_ms": 18.0, "frames": 600, "method": "10 s"}
PROOF = {
    **CAMERA, "verdict": "ok", "reasons": ["none"], "images": 8, "sha256": "0" * 64,
    "accuracy": {
        "key": "top1", "words": "top-1", "value": 0.99, "text": "99 %", "method": "camera", "images": 8, "unit": "%",
    },
}  # fmt: skip
IMPORTED = {
    "kind": "hf", "address": "hf:a/b/net.onnx@1", "name": "a/b", "url": "https://example.com/a/b", "by": "hub",
    "fetched": "2026-11-30T10:00:00Z", "files": [], "revision": "1", "licence": "mit",
}  # fmt: skip


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a model with two versions, one made of the other, an alias and a calibration set."""
    folder = tmp_path_factory.mktemp("origin")
    at, caller = opened_hub(folder)
    with closing(at):
        zip_of_images = at.blobs.put_bytes(scenes(3, seed=1))
        with at.db.session() as session:
            at.blobs.record(session, zip_of_images)
            made = datasets.create(
                session, caller, name="Gate", sha256=zip_of_images.sha256, size=zip_of_images.size, count=3
            )
            set_id = made.id
        parent = None
        for opset, number in ((13, "0.1.0"), (12, "0.2.0")):
            stored = at.blobs.put_bytes(conv_model(opset=opset).SerializeToString())
            with at.db.session() as session:
                model = session.scalars(select(Model)).first() or models.create(session, caller, name="Gate Net")
                version = variants.add_version(session, caller, model.id, name="Small", version=number)
                row = instances.create(
                    session, caller, version.id, name=f"net {number}", model_type="ONNX", parent_id=parent,
                    quantization_data=f"dataset:{set_id}" if parent else None,
                )  # fmt: skip
                row_id = row.id
                if parent is None:
                    aliases.move(session, caller, version.id, "prod")
            ingest.receive(
                at.db, at.blobs, at.isolated, row_id, name=f"{opset}.onnx", stored=stored, settings=at.settings
            )
            parent = row_id
        with at.db.session() as session:
            row = session.get_one(Instance, row_id)
            row.facts, row.imported = {**row.facts, "measured": {"speed": SPEED, "proof": PROOF}}, IMPORTED
        with at.db.session() as session:
            written = making.manifest(session, caller, at, ["gate-net"], with_datasets=True, url="http://here")
        path = folder / "gate.oakbundle"
        path.write_bytes(b"".join(making.pieces(at, written)))
        return path


def changed(bundle: Path, folder: Path, change: Change) -> Path:
    """The bundle with another manifest and other files, packed so that all of it agrees."""
    with zipfile.ZipFile(bundle) as archive:
        plain = json.loads(archive.read(MANIFEST))
        files = Files({name.removeprefix(FILES): archive.read(name) for name in archive.namelist()[1:]})
    change(plain, files)
    named = {file["sha256"] for item in of_instances(plain) for file in item["files"]} | {
        item["sha256"] for item in plain["datasets"]
    }
    plain["files"] = {sha256: len(files[sha256]) for sha256 in named}
    path = folder / "changed.oakbundle"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(MANIFEST, json.dumps(plain))
        for sha256 in named:
            archive.writestr(FILES + sha256, files[sha256])
    return path


def of_instances(plain: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        item
        for model in plain["models"]
        for variant in model["variants"]
        for version in variant["versions"]
        for item in version["instances"]
    ]


def variant_of(plain: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = plain["models"][0]["variants"][0]
    return found


def beside(role: str, data: bytes, name: str = "it") -> Change:
    """Another file beside the last instance's model: nothing of it has come in when it is met."""
    return lambda plain, files: of_instances(plain)[-1]["files"].append(
        {"name": f"{name}.{role}", "role": role, **files.add(data)}
    )


def instead(data: bytes) -> Change:
    return lambda plain, files: of_instances(plain)[-1]["files"][0].update(files.add(data))


def take(at: Hub, caller: Caller, path: Path, **asked: Any) -> BundleTaken:
    with opened(path) as found:
        return taking.take(at, caller, found, **asked)


def count(at: Hub, *kinds: Any) -> list[int]:
    with at.db.reading() as session:
        return [session.scalar(select(func.count()).select_from(kind)) or 0 for kind in kinds]


EVERYTHING = (Model, Variant, Version, Instance, InstanceFile, Alias, Dataset)


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hub, Caller]]:
    at, caller = opened_hub(tmp_path_factory.mktemp("elsewhere"))
    with closing(at):
        yield at, caller


LIES: dict[str, tuple[Change, type[OakmillError], str]] = {
    "no model": (instead(b"no model at all"), OakmillError, "is text"),
    "another type": (
        lambda plain, files: of_instances(plain)[-1].update(model_type="TFLITE"), NotAModel, "says that 12.onnx is"
    ),
    "a platform that it is not for": (
        lambda plain, files: of_instances(plain)[-1].update(model_type="RVC4"), NotAModel, "the instance is for"
    ),
    "a type that is none": (
        lambda plain, files: of_instances(plain)[-1].update(model_type="ELF"), BadBundle, "'ELF' is no type"
    ),
    "a recipe that is none": (beside("recipe", b"a: b", "x.recipe.yaml"), OakmillError, "recipe"),
    "a passport that is none": (beside("passport", b'{"passport_version": 3}'), BadBundle, "its passport is none"),
    "a passport without end": (beside("passport", b"[" * 100_000), BadBundle, "its passport is none"),
    "a face that is a page": (beside("face", b"<html><script>"), BadBundle, "the small image of it is none"),
    "a name that leads outside": (beside("part", b"x", "../../x"), BadBundle, "is no name of a file"),
    "a name of control characters": (beside("part", b"x", "a\nb"), BadBundle, "cannot be taken in"),
    "a slug that none is": (lambda plain, files: plain["models"][0].update(slug="Gate Net"), BadBundle, "Gate Net"),
    "a slug with a way": (lambda plain, files: variant_of(plain).update(slug="a/b"), BadBundle, "holds '/'"),
    "a version that is none": (
        lambda plain, files: variant_of(plain)["versions"][1].update(version="next"), BadBundle, "is not a version"
    ),
    "a version twice": (
        lambda plain, files: variant_of(plain)["versions"][1].update(version="0.1.0"), BadBundle, "comes twice"
    ),
    "an alias that is none": (
        lambda plain, files: variant_of(plain)["versions"][1].update(aliases=["Prod!"]), BadBundle, "no name of an"
    ),
    "a passport with half a character": (
        beside("passport", json.dumps(
            {"passport_version": 3, "platform": "\ud800", "images": {"source": "x"}, "checks": []}
        ).encode()),
        BadBundle, "its passport is none",
    ),
    "a link without an address": (
        lambda plain, files: plain["models"][0].update(links=[{"a": "b"}]), BadBundle, "a name and an address"
    ),
    "a file that is a folder": (
        lambda plain, files: [beside("part", b"x", name)(plain, files) for name in ("a", "a.part/b", "a/c")],
        BadBundle, "'a.part' is a file and a folder",
    ),
    "a moment before all years": (
        lambda plain, files: of_instances(plain)[-1].update(created="0001-01-01T00:00:00+14:00"),
        BadBundle, "outside the years",
    ),
    "a licence that is none": (
        lambda plain, files: plain["models"][0].update(license="mine"), BadBundle, "license cannot be 'mine'"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_a_bundle_that_lies_brings_nothing(
    name: str, bundle: Path, elsewhere: tuple[Hub, Caller], tmp_path: Path
) -> None:
    at, caller = elsewhere
    change, kind, words = LIES[name]
    path = changed(bundle, tmp_path, change)
    before = count(at, *EVERYTHING)
    with pytest.raises(kind, match=words):
        take(at, caller, path)
    assert count(at, *EVERYTHING) == before == [0] * len(EVERYTHING)


def test_all_of_it_comes_in_and_what_is_here_is_left(bundle: Path, tmp_path: Path) -> None:
    at, caller = opened_hub(tmp_path)
    with closing(at):
        (taken,) = take(at, caller, bundle).models
        assert (taken.state, taken.coming, taken.address) == ("new", 2, "default/gate-net")
        everything = [1, 1, 2, 2, 2, 1, 1]
        assert count(at, *EVERYTHING) == everything
        with at.db.reading() as session:
            first, second = session.scalars(select(Instance).order_by(Instance.created))
            (own,) = datasets.listed(session, caller)
            assert second.parent_id == first.id and second.quantization_data == own.id and own.name == "Gate"
            assert first.from_bundle and first.from_bundle["hub"] == "http://here"
            assert first.facts["inputs"][0]["name"] == "image"
            assert second.facts["measured"] == {"speed": {**SPEED, "job": ""}, "proof": {**PROOF, "job": ""}}
            assert second.imported == {**IMPORTED, "by": "client"}  # this hub has not fetched it
        (again,) = take(at, caller, bundle).models
        assert (again.state, again.coming) == ("there", 0)
        assert count(at, *EVERYTHING) == everything


def test_the_same_bundle_several_times_at_once_comes_in_once(bundle: Path, tmp_path: Path) -> None:
    """All but the first were refused: there was a calibration set of that name, which was the bundle's own."""
    at, caller = opened_hub(tmp_path)
    with closing(at):
        with ThreadPoolExecutor(3) as pool:
            taken = [one.models[0].state for one in pool.map(lambda _: take(at, caller, bundle), range(3))]
        assert len(taken) == 3
        assert count(at, *EVERYTHING) == [1, 1, 2, 2, 2, 1, 1]


def test_a_set_of_the_same_images_is_the_bundles_own_however_its_name_is_written(bundle: Path, tmp_path: Path) -> None:
    """A set "gate" stood in the way of the bundle's "Gate" with the same images: their addresses are the same."""
    at, caller = opened_hub(tmp_path)
    with closing(at):
        take(at, caller, bundle)
        with at.db.session() as session:
            (own,) = datasets.listed(session, caller)
            own.name = "gate"
        assert take(at, caller, bundle).datasets[0].state == "there"
        assert count(at, Dataset) == [1]


def test_another_models_name_a_full_quota_and_a_narrow_key_are_told_first(bundle: Path, tmp_path: Path) -> None:
    """Nothing is copied into the store for what cannot come in."""
    at, caller = opened_hub(tmp_path, quota=100)
    with closing(at):
        with pytest.raises(TooLarge, match="the team's quota leaves 100"):
            take(at, caller, bundle)
        with pytest.raises(Forbidden, match="for the model"):
            take(at, replace(caller, model_id="aim_1"), bundle)
        with pytest.raises(SpecError, match="has no model 'net'"):
            take(at, caller, bundle, names={"net": "other"})
        with at.db.session() as session:
            models.create(session, caller, name="Gate net")
        with pytest.raises(Conflict, match="another model 'gate-net'"):
            take(at, caller, bundle)
        assert not list((at.settings.hub / "blobs").glob("*/*/*"))
        with at.db.session() as session:
            teams.change(session, "default", quota_bytes=1 << 30)
        (taken,) = take(at, caller, bundle, names={"gate-net": "Their gate"}).models
        assert taken.address == "default/their-gate"


KILLED = """
import os, signal, sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from oakmill.hub.model_bundles import taking
from oakmill.registry import callers, faces, teams
from oakmill.settings import Settings
from oakmill.hub.state import Hub
from oakmill.spec.bundle_file import opened

def die(*args, **named):
    os.kill(os.getpid(), signal.SIGKILL)

home, path, where = sys.argv[1:]
module, name = {"looking": (taking, "look"), "writing": (faces, "choose")}[where]
setattr(module, name, die)
with closing(Hub.open(Settings(home=Path(home)))) as at, opened(Path(path)) as bundle:
    with at.db.session() as session:
        team = teams.named(session, "default")
        caller = callers.of_team(team.id, team.slug)
    taking.take(at, caller, bundle)
"""


@pytest.mark.heavy
@pytest.mark.parametrize("where", ["looking", "writing"])
def test_a_hub_that_is_killed_meanwhile_shows_nothing_half_made(where: str, bundle: Path, tmp_path: Path) -> None:
    """The bytes are in the store by then; no row names them, and the next try goes on with them."""
    at, caller = opened_hub(tmp_path)
    with closing(at):
        command = [sys.executable, "-c", KILLED, str(tmp_path), str(bundle), where]
        assert subprocess.run(command, cwd=PROJECT).returncode == -signal.SIGKILL  # noqa: TID251, PLW1510
        assert count(at, *EVERYTHING[:-1]) == [0] * len(EVERYTHING[:-1])  # sets are things of their own
        assert list((at.settings.hub / "blobs").glob("*/*/*"))
        assert take(at, caller, bundle).models[0].state == "new"
        assert count(at, *EVERYTHING) == [1, 1, 2, 2, 2, 1, 1]


def test_every_role_of_a_file_is_bundled_or_left_out() -> None:
    """A file measured on a camera had a role that bundles did not know, and its model could not be bundled."""
    assert set(Role) == set(get_args(FileRole)) | making.LEFT_OUT


def test_more_than_a_hub_takes_in_at_once_is_told_on_both_sides(
    bundle: Path, elsewhere: tuple[Hub, Caller], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model comes in in one transaction: one of thousands of instances kept all other writers of SQLite waiting for
    longer than they wait. And names were compared each with each other: ten thousand of them took a minute."""
    at, caller = elsewhere
    many = [f"{number}" for number in range(4000)]
    path = changed(bundle, tmp_path, lambda plain, files: [beside("part", b"x", name)(plain, files) for name in many])
    began = time.process_time()
    with opened(path) as found, at.db.reading() as session:
        assert taking.preview(session, caller, found).models[0].coming == 2
    assert time.process_time() - began < 5
    monkeypatch.setattr("oakmill.spec.bundle.LARGEST_MODEL", 4000)
    with pytest.raises(BadBundle, match="has 4007 versions, aliases, instances and files"), opened(path):
        pass
    monkeypatch.setattr("oakmill.spec.bundle.LARGEST_BUNDLE", 6)
    origin, caller = opened_hub(bundle.parent)
    with closing(origin), origin.db.reading() as session, pytest.raises(TooLarge, match="its models have 7"):
        making.manifest(session, caller, origin, ["gate-net"])
