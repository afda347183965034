from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import event, func, select
from sqlalchemy.orm import Session

from oakmill.errors import Conflict, SpecError
from oakmill.jobs.tables import Job
from oakmill.registry import audit, deletion, instances, models, teams, variants
from oakmill.registry.identifiers import new_id
from oakmill.registry.tables import Instance, InstanceFile, InstanceStatus, Model, Variant, Version, Visibility
from oakmill.storage.database import now
from oakmill.storage.tables import Upload, UploadStatus
from tests.unit.registry.conftest import People, a_model, a_version, an_instance


def test_a_name_is_taken_within_a_team_and_free_in_another(session: Session, people: People) -> None:
    a_model(session, people.mine, "My Net")
    with pytest.raises(Conflict, match="'my-net' already"):
        a_model(session, people.mine, "my net")
    a_model(session, people.stranger, "My Net")


@pytest.mark.parametrize(
    "card",
    [
        {"license": "WTFPL"},
        {"tasks": ["FLYING"]},
        {"visibility": "secret"},
        {"summary": "x" * 256},
        {"links": [{"a": "b"}]},
        {"links": [{"name": "nowhere", "link": ""}]},
        {"links": [{"link": "https://" + "x" * 2000}]},
    ],
)
def test_a_card_takes_words_that_are_known(session: Session, people: People, card: models.Card) -> None:
    with pytest.raises(SpecError):
        models.create(session, people.mine, name="My Net", **card)


def test_a_link_without_words_is_called_as_it_is(session: Session, people: People) -> None:
    """The API took any two texts for a link, and the page of the model, which reads its address, was an error then."""
    model = models.create(session, people.mine, name="My Net", links=[{"link": "https://a.b"}])
    assert model.links == [{"name": "https://a.b", "link": "https://a.b"}]


def test_a_card_changes_and_the_log_says_who_did_it(session: Session, people: People) -> None:
    model = models.create(session, people.mine, name="My Net", license="MIT", tasks=["REGRESSION"])
    models.update_card(session, people.colleague, model.id, name="Your Net", card="# Hello", tags=["edge"])
    assert (model.name, model.slug, model.license, model.card) == ("Your Net", "my-net", "MIT", "# Hello")
    entry = audit.listed(session, people.admin)[0]
    assert (entry.action, entry.key_id, entry.subject) == ("model.update", people.colleague.key_id, model.id)
    assert entry.detail == {"changed": ["card", "name", "tags"]}


def test_versions_count_up_and_a_variant_goes_with_its_last(session: Session, people: People) -> None:
    model = a_model(session, people.mine)
    numbers = [a_version(session, people.mine, model).version for _ in range(2)]
    third = a_version(session, people.mine, model, number="2.0")
    numbers += [third.version, a_version(session, people.mine, model).version]
    assert numbers == ["0.1.0", "0.1.1", "2.0", "2.0.1"]
    with pytest.raises(Conflict, match=r"version 2\.0 already"):
        a_version(session, people.mine, model, number="2.0")
    with pytest.raises(SpecError, match="not a version"):
        a_version(session, people.mine, model, number="newest")
    assert [row.version for row in variants.versions_of(session, people.mine, model.id)] == [
        "2.0.1",
        "2.0",
        "0.1.1",
        "0.1.0",
    ]
    for row in variants.versions_of(session, people.mine, model.id):
        assert session.scalar(select(func.count()).select_from(Variant)) == 1
        variants.delete_version(session, people.mine, row.id)
    assert session.scalar(select(func.count()).select_from(Variant)) == 0


def test_an_instance_is_named_by_its_hash_when_its_file_has_come(session: Session, people: People) -> None:
    version = a_version(session, people.mine, a_model(session, people.mine))
    row = instances.create(session, people.mine, version.id, name="base", model_type="ONNX", input_shape=[[1, 3, 8, 8]])
    assert row.status == InstanceStatus.PENDING and row.slug.startswith("288x512-onnx-")
    with pytest.raises(SpecError, match="has no file"):
        instances.set_available(session, row)
    instances.add_file(session, row, name="net.onnx", sha256="12" * 32, size=7)
    instances.set_available(session, row, precision="FP32", facts={"opset": 17})
    assert (row.slug, row.status, row.size) == ("288x512-onnx-1212121", InstanceStatus.AVAILABLE, 7)
    found = instances.instance(session, people.reader, row.id)
    assert [file.name for file in found.files] == ["net.onnx"]


def test_lineage_leads_to_the_source(session: Session, people: People) -> None:
    version = a_version(session, people.mine, a_model(session, people.mine))
    source = an_instance(session, people.mine, version)
    middle = an_instance(session, people.mine, version, "IR", source)
    last = an_instance(session, people.mine, version, "RVC3", middle)
    assert [row.id for row in instances.lineage(session, last)] == [middle.id, source.id]
    assert [row.id for row in instances.children(session, source)] == [middle.id]
    other = a_version(session, people.mine, a_model(session, people.mine, "Other"))
    with pytest.raises(SpecError, match="another model"):
        instances.create(session, people.mine, other.id, name="x", model_type="RVC2", parent_id=source.id)


def test_what_depends_is_told_before_it_goes(session: Session, people: People) -> None:
    version = a_version(session, people.mine, a_model(session, people.mine))
    source = an_instance(session, people.mine, version)
    blob = an_instance(session, people.mine, version, "RVC2", source)
    session.add(
        Job(id=new_id("aij"), number=1, name="j", team_id=source.team_id, source_id=source.id, status="running")
    )
    session.add(Job(id=new_id("aij"), number=2, name="j", team_id=source.team_id, source_id=source.id, status="failed"))
    session.flush()
    assert deletion.dependants(session, source) == deletion.Dependants(sources=0, converted=1, jobs=1)
    with pytest.raises(Conflict, match="1 converted instance, 1 job under way would go"):
        instances.delete(session, people.mine, source.id)
    instances.delete(session, people.mine, blob.id)
    instances.delete(session, people.mine, source.id, force=True)
    assert session.scalar(select(func.count()).select_from(Job)) == 0


def test_a_deleted_model_leaves_nothing_behind(session: Session, people: People) -> None:
    model = a_model(session, people.mine)
    source = an_instance(session, people.mine, a_version(session, people.mine, model))
    an_instance(session, people.mine, a_version(session, people.mine, model), "RVC4", source)
    with pytest.raises(Conflict, match="1 uploaded instance, 1 converted instance"):
        models.delete(session, people.mine, model.id)
    models.delete(session, people.mine, model.id, force=True)
    for kind in (Model, Variant, Version, Instance, InstanceFile):
        assert session.scalar(select(func.count()).select_from(kind)) == 0, kind


def test_a_page_of_models_is_counted_in_one_query(session: Session, people: People) -> None:
    first, second = a_model(session, people.mine, "A"), a_model(session, people.mine, "B")
    version = a_version(session, people.mine, first)
    a_version(session, people.mine, first, "big")
    a_version(session, people.mine, first, "big")
    source = an_instance(session, people.mine, version)
    an_instance(session, people.mine, version, "RVC2", source)
    instances.create(session, people.mine, version.id, name="x", model_type="RVC4", parent_id=source.id)
    session.flush()
    asked: list[str] = []
    event.listen(session.get_bind(), "before_cursor_execute", lambda *args: asked.append(args[2]))
    counts = models.counts(session, [first.id, second.id])
    assert len(asked) == 1
    assert counts[second.id] == models.Counts()
    assert (counts[first.id].variants, counts[first.id].versions, counts[first.id].available) == (
        2,
        3,
        ["ONNX", "RVC2"],
    )
    assert counts[first.id].instances["RVC4", "pending"] == 1


def test_downloads_are_counted_without_a_change(session: Session, people: People) -> None:
    model = a_model(session, people.mine)
    row = an_instance(session, people.mine, a_version(session, people.mine, model))
    session.flush()
    before = model.updated, row.updated
    models.count_download(session, model.id, row.id)
    session.refresh(model)
    session.refresh(row)
    assert (model.downloads, row.downloads) == (1, 1) and (model.updated, row.updated) == before


def test_the_same_bytes_count_once_against_a_quota(session: Session, people: People) -> None:
    version = a_version(session, people.mine, a_model(session, people.mine))
    an_instance(session, people.mine, version)
    an_instance(session, people.mine, version)
    an_instance(session, people.mine, version, digest="cd" * 32)
    assert teams.used_bytes(session, people.ours.id) == 200
    assert teams.quota_left(session, people.ours.id) is None
    people.ours.quota_bytes = 150
    assert teams.quota_left(session, people.ours.id) == 0


def test_what_is_on_its_way_counts_against_a_quota(session: Session, people: People) -> None:
    people.ours.quota_bytes = 100
    rows = {
        "announced": {"size": 40, "purpose": {"kind": "instance"}},
        "without a size": {"offset": 10, "purpose": {"kind": "dataset"}},
        "kept": {"size": 20, "status": UploadStatus.COMPLETE, "purpose": {"kind": "file"}},
        "an instance by now": {"size": 50, "status": UploadStatus.COMPLETE, "purpose": {"kind": "instance"}},
        "refused": {"size": 50, "status": UploadStatus.FAILED, "purpose": {"kind": "file"}},
    }
    for name, row in rows.items():
        session.add(Upload(id=name, team_id=people.ours.id, name=name, max_size=100, expires=now(), **row))
    session.flush()
    assert teams.coming_bytes(session, people.ours.id) == 70
    assert teams.quota_left(session, people.ours.id, alone=True) == 30


def test_a_quick_model_takes_nobodys_name_until_it_is_kept(session: Session, people: People) -> None:
    a_model(session, people.mine, "My Net")
    quick = [models.create_quick(session, people.mine, name="My Net") for _ in range(2)]
    assert {row.name for row in quick} == {"My Net"}
    assert len({row.slug for row in quick}) == 2
    instance = an_instance(session, people.mine, a_version(session, people.mine, quick[0]))
    with pytest.raises(Conflict, match="'my-net' already"):
        models.keep(session, people.mine, quick[0].id, name="My Net")
    kept = models.keep(session, people.mine, quick[0].id, name="Our Net")
    session.refresh(instance)
    assert (kept.slug, kept.visibility, instance.visibility) == ("our-net", Visibility.TEAM, Visibility.TEAM)
    with pytest.raises(Conflict, match="kept already"):
        models.keep(session, people.mine, quick[0].id, name="Again")


def test_quick_models_that_rested_go_and_others_stay(session: Session, people: People) -> None:
    old, _, kept = (models.create_quick(session, people.mine, name=name) for name in ("old", "new", "kept"))
    models.keep(session, people.mine, kept.id, name="kept")
    for row in (old, kept):
        row.updated = now() - timedelta(days=8)
    session.flush()
    assert not models.expire_quick(session, 0)
    assert not models.expire_quick(session, 7)
    assert {row.name for row in session.scalars(select(Model))} == {"new", "kept"}
