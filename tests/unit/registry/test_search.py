from __future__ import annotations

import base64
import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from oakmill.errors import SpecError
from oakmill.registry import models, search
from oakmill.registry.pages import Page
from oakmill.registry.search import Query
from oakmill.registry.tables import Instance, Model, Visibility
from oakmill.storage.database import Database
from tests.unit.registry.conftest import People, a_model, a_version, an_instance

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def names(page: Page[Model]) -> list[str]:
    return [row.name for row in page.items]


@pytest.fixture
def twelve(session: Session, people: People) -> list[Model]:
    """Models of all visibilities, of which groups of three came at the same moment."""
    rows = [a_model(session, people.mine, f"net {n:02}", list(Visibility)[n % 3]) for n in range(12)]
    session.flush()
    for number, row in enumerate(rows):
        row.created = row.updated = NOON + timedelta(hours=number // 3)
        row.downloads = number % 4
    return rows


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("sort", ["updated", "created", "name", "downloads"])
def test_pages_give_each_row_once_in_order(
    session: Session, people: People, twelve: list[Model], sort: str, descending: bool
) -> None:
    for limit in (1, 5, 12):
        found: list[Model] = []
        cursor = None
        while True:
            query = Query(sort=sort, descending=descending, limit=limit, cursor=cursor)
            page = search.models(session, people.mine, query)
            found += page.items
            cursor = page.next_cursor
            if cursor is None:
                break
        expected = sorted(twelve, key=lambda row: (getattr(row, sort), row.id), reverse=descending)
        assert [row.id for row in found] == [row.id for row in expected]


def test_a_page_goes_on_rightly_while_rows_come_and_go(session: Session, people: People, twelve: list[Model]) -> None:
    query = Query(sort="name", descending=False, limit=4)
    first = search.models(session, people.mine, query)
    a_model(session, people.mine, "a new one")
    models.delete(session, people.mine, twelve[1].id)
    after = search.models(session, people.mine, Query(sort="name", descending=False, limit=4, cursor=first.next_cursor))
    assert names(after) == ["net 04", "net 05", "net 06", "net 07"]


def test_a_cursor_of_another_list_or_a_broken_one_is_refused(
    session: Session, people: People, twelve: list[Model]
) -> None:
    """A moment that UTC does not have was an error of the hub's own."""
    cursor = search.models(session, people.mine, Query(limit=1)).next_cursor
    plain = base64.urlsafe_b64decode(str(cursor) + "==")
    early = re.sub(rb"\d{4}-[^\"]*", b"0001-01-01T00:00:00+14:00", plain)
    broken = [
        "",
        "x",
        "ö",
        "W10",
        "MTI",
        "bnVsbA",
        str(cursor)[:-4],
        "A" * 5000,
        base64.urlsafe_b64encode(early).decode(),
    ]
    for query in [
        Query(cursor=cursor, sort="name"),
        Query(cursor=cursor, descending=False),
        *(Query(cursor=c) for c in broken),
    ]:
        with pytest.raises(SpecError, match="does not belong"):
            search.models(session, people.mine, query)
    with pytest.raises(SpecError, match="does not belong"):
        search.instances(session, people.mine, Query(cursor=cursor))


def test_what_a_list_does_not_know_is_refused(session: Session, people: People) -> None:
    for query in (Query(sort="card"), Query(limit=0), Query(limit=1001)):
        with pytest.raises(SpecError):
            search.models(session, people.mine, query)
    with pytest.raises(SpecError, match="zero byte"):
        Query(text="a\0b")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (Query(text="YOLO"), {"Yolo 50% off", "Pose"}),
        (Query(text="yolo off"), {"Yolo 50% off"}),
        (Query(text="50%"), {"Yolo 50% off"}),
        (Query(text="0_o"), set()),
        (Query(text="Čest"), {"Pose"}),
        (Query(tasks=("REGRESSION", "DENOISING")), {"Yolo 50% off"}),
        (Query(tags=("Edge čest",)), {"Pose"}),
        (Query(license="MIT"), {"Pose"}),
        (Query(platforms=("RVC2",)), {"Pose"}),
        (Query(platforms=("RVC2", "ONNX")), {"Pose", "Yolo 50% off"}),
        (Query(platforms=("RVC4",)), set()),
        (Query(hash="cdcdcd"), {"Pose"}),
        (Query(slug="pose"), {"Pose"}),
        (Query(name="Pose"), {"Pose"}),
        (Query(visibility=(Visibility.PUBLIC,)), {"Pose"}),
    ],
)
def test_models_are_found_by_what_they_say_and_by_what_stands_below(
    session: Session, people: People, query: Query, found: set[str]
) -> None:
    yolo = models.create(session, people.mine, name="Yolo 50% off", tasks=["REGRESSION"])
    tags = ["Edge čest"]
    pose = models.create(
        session, people.mine, name="Pose", summary="no YOLO here", tags=tags, license="MIT", visibility="public"
    )
    an_instance(session, people.mine, a_version(session, people.mine, yolo))
    version = a_version(session, people.mine, pose)
    source = an_instance(session, people.mine, version)
    an_instance(session, people.mine, version, "RVC2", source, "cd" * 32)
    pending = an_instance(session, people.mine, version, "RVC4", source)
    pending.status = "failed"
    assert {row.name for row in search.models(session, people.mine, query).items} == found


def test_instances_and_versions_are_found_by_their_own_words(session: Session, people: People) -> None:
    model = models.create(session, people.mine, name="Pose", tasks=["REGRESSION"])
    low, high = (a_version(session, people.mine, model, name) for name in ("small", "large"))
    source = an_instance(session, people.mine, low)
    blob = an_instance(session, people.mine, low, "RVC2", source, "cd" * 32)
    dlc = an_instance(session, people.mine, high, "RVC4", source, "ef" * 32)
    blob.precision, dlc.precision, dlc.tool_version, dlc.verdict = "FP16", "INT8", "2.41.0", "ok"
    blob.verdict = "pass"  # as an earlier Oakmill wrote it
    cases = {
        Query(platforms=("RVC2", "RVC4")): {blob.id, dlc.id},
        Query(platforms=("RVC2", "RVC4"), sort="name"): {blob.id, dlc.id},
        Query(precision="INT8"): {dlc.id},
        Query(tool_version="2.41.0", verdict="ok"): {dlc.id},
        Query(verdict="ok"): {blob.id, dlc.id},
        Query(verdict="green"): {blob.id, dlc.id},
        Query(verdict="warning"): set(),
        Query(verdict="no word"): set(),
        Query(hash="CDCDCDC"): {blob.id},
        Query(parent_id=source.id): {blob.id, dlc.id},
        Query(origin="source"): {source.id},
        Query(model_id=model.id, variant_slug="large"): {dlc.id},
        Query(version_id=low.id, version="0.1.0"): {source.id, blob.id},
        Query(version_id=low.id, version="0.2.0"): set(),
        Query(text="rvc4 FILE"): {dlc.id},
        Query(tasks=("REGRESSION",), status="available", platforms=("ONNX",)): {source.id},
        Query(tasks=("DENOISING",)): set(),
        Query(slug=blob.slug): {blob.id},
        Query(team_id=people.theirs.id): set(),
    }
    for query, expected in cases.items():
        page = search.instances(session, people.mine, query)
        assert {row.id for row in page.items} == expected, query
        assert search.count(session, people.mine, Instance, query) == len(expected), query
    session.flush()
    session.expire(blob)
    assert blob.verdict == "ok"
    found = search.instances(session, people.mine, Query(hash="cd")).items[0]
    assert (found.model.name, found.variant.name, found.version.version) == ("Pose", "small", "0.1.0")
    assert [file.name for file in found.files] == ["net.onnx"]
    versions = search.versions(session, people.mine, Query(platforms=("RVC4",))).items
    assert [row.variant.name for row in versions] == ["large"]
    assert not search.versions(session, people.mine, Query(name="small", version="9")).items


def test_many_models_of_a_task_are_met_on_the_way(
    session: Session, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "_FEW", 1)
    for name, task in (("A", "REGRESSION"), ("B", "REGRESSION"), ("C", "DENOISING")):
        model = models.create(session, people.mine, name=name, tasks=[task])
        an_instance(session, people.mine, a_version(session, people.mine, model))
    found = search.instances(session, people.mine, Query(tasks=("REGRESSION",), sort="created", descending=False))
    assert [row.model.name for row in found.items] == ["A", "B"]
    assert [row.variant.name for row in search.versions(session, people.mine, Query(text="c")).items] == ["288x512"]


def test_a_list_is_read_from_an_index_in_its_order(db: Database, people: People, session: Session) -> None:
    """Sorting all that a caller sees, or walking a list to find one hash, is what 100,000 rows would make slow."""
    if not db.is_sqlite:
        pytest.skip("SQLite's planner goes by the indexes alone, PostgreSQL's by how many rows there are")
    for query in (Query(), Query(sort="name"), Query(platforms=("RVC2", "RVC4"))):
        for part in search._parts(session, people.mine, Instance, query):
            plan = explained(session, query, part)
            assert "USING COVERING INDEX instances_of_" in plan and "B-TREE" not in plan, plan
    for query, index in (
        (Query(hash="abc"), "sha256"),
        (Query(version_id="v"), "version_id"),
        (Query(model_id="m"), "of_model"),
    ):
        (part,) = search._parts(session, people.mine, Instance, query)
        assert index in explained(session, query, part), query


def explained(session: Session, query: Query, part: object) -> str:
    from sqlalchemy.dialects import sqlite

    from oakmill.registry.pages import Order

    statement = Order(Instance, query.sort, True, 50).first_of(part)  # type: ignore[arg-type]
    plain = statement.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
    return " ".join(str(row) for row in session.execute(text(f"explain query plan {plain}")))
