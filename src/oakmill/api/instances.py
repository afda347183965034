"""Instances over HTTP: searched, made, changed, deleted, and their lineage."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Response

from oakmill.api import answers
from oakmill.api.bodies import Cursor, InstanceChanges, InstanceIn, Limit, stated
from oakmill.api.models import Several, Sort, Word, Words
from oakmill.hub.auth import Anyone, Converter, Reading, TheHub, Writing
from oakmill.hub.removal import remove
from oakmill.hub.routing import Id, router
from oakmill.hub.wire import Instance, Listed
from oakmill.registry import access, instances, search, tables
from oakmill.registry.states import InstanceStatus, Origin, Visibility
from oakmill.spec.imported import told

routes = router("instances")


@routes.get("/instances")
def list_instances(  # noqa: PLR0913 - a filter each
    session: Reading,
    caller: Anyone,
    *,
    text: Words = "",
    platform: Several = (),
    precision: Word = None,
    tool_version: Word = None,
    hash: Word = None,
    verdict: Word = None,
    status: InstanceStatus | None = None,
    origin: Origin | None = None,
    model_id: Word = None,
    variant_id: Word = None,
    version_id: Word = None,
    parent_id: Word = None,
    job_id: Word = None,
    team_id: Word = None,
    visibility: Annotated[tuple[Visibility, ...], Query(max_length=4)] = (),
    sort: Sort = "updated",
    descending: bool = True,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Listed[Instance]:
    """The instances that the caller sees; an NN Archive's config is told by the instance alone."""
    query = search.Query(
        text=text, platforms=platform, precision=precision, tool_version=tool_version, hash=hash, verdict=verdict,
        status=status, origin=origin, model_id=model_id, variant_id=variant_id, version_id=version_id,
        parent_id=parent_id, job_id=job_id, team_id=team_id, visibility=visibility or None,
        sort=sort, descending=descending, limit=limit, cursor=cursor,
    )  # fmt: skip
    page = search.instances(session, caller, query)
    return Listed(items=tuple(map(answers.listed_instance, page.items)), next_cursor=page.next_cursor)


@routes.post("/instances", status_code=201)
def create_instance(body: InstanceIn, session: Writing, caller: Converter, response: Response) -> Instance:
    """A new source instance, pending until its files have come and were inspected."""
    facts = stated(body, "version_id", "name", "model_type", "imported")
    if body.imported:
        facts["imported"] = told(body.imported)
    row = instances.create(session, caller, body.version_id, name=body.name, model_type=body.model_type, **facts)
    response.headers["Location"] = f"/api/v1/instances/{row.id}"
    return Instance.model_validate(instances.instance(session, caller, row.id))


@routes.get("/instances/{instance_id}")
def get_instance(instance_id: Id, session: Reading, caller: Anyone) -> Instance:
    """An instance with its files."""
    return Instance.model_validate(instances.instance(session, caller, instance_id))


@routes.get("/instances/{instance_id}/lineage")
def get_lineage(instance_id: Id, session: Reading, caller: Anyone) -> Listed[Instance]:
    """From what it was made: its parent, its parent's parent, to the source."""
    row = instances.instance(session, caller, instance_id)
    above = [instances.instance(session, caller, parent.id) for parent in instances.lineage(session, row)]
    return Listed(items=tuple(map(answers.listed_instance, above)))


@routes.patch("/instances/{instance_id}")
def change_instance(instance_id: Id, body: InstanceChanges, session: Writing, caller: Converter) -> Instance:
    """Change what is given."""
    instances.update(session, access.changeable(session, caller, tables.Instance, instance_id), **stated(body))
    return Instance.model_validate(instances.instance(session, caller, instance_id))


@routes.delete("/instances/{instance_id}", status_code=204)
def delete_instance(instance_id: Id, session: Writing, caller: Converter, at: TheHub, force: bool = False) -> None:
    """Put the instance into the trash with what was made from it; `force` where something was."""
    remove(at, session, caller, "instances", instance_id, force=force)
