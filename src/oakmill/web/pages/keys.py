"""Keys: made once and shown once, revoked, with their last use; and the audit log of who did what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import Query
from fastapi.responses import Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from oakmill.errors import OakmillError, SpecError
from oakmill.registry import audit, keys, teams, users
from oakmill.registry.callers import SCOPES, Caller
from oakmill.registry.tables import Key, Model, Team
from oakmill.storage.database import now
from oakmill.web.forms.submitted import Fields, Form
from oakmill.web.once import Once
from oakmill.web.page_context import Known, PageContext, Reading, Ruling, Writing
from oakmill.web.routing import Id, page_router
from oakmill.web.views.addresses import address

pages = page_router()

ON_PAGE = 50
CHOICES = 200
"""Of so many models one is chosen in a list; a longer one helps nobody, and weighs."""
SPANS = {"7": "7 days", "30": "30 days", "90": "90 days", "365": "A year", "": "Never"}
KINDS = (
    "model",
    "variant",
    "version",
    "instance",
    "upload",
    "dataset",
    "job",
    "key",
    "user",
    "session",
    "login",
    "file",
    "toolchain",
    "webhook",
)
"""Of what the audit log tells."""
MEANINGS = {
    "read": "sees and downloads",
    "convert": "also uploads, converts and deletes",
    "admin": "also manages keys and toolchains",
}
_MADE = Once("made-key", "/keys")
Word = Annotated[str, Query(max_length=100)]


@dataclass(frozen=True)
class Log:
    """A page of the audit log, with what it was filtered by."""

    rows: list[Any]
    asked: Mapping[str, str]
    next_page: str | None


@pages.get("/keys")
def list_page(
    context: Known,
    session: Reading,
    of: Word = "",
    key: Word = "",
    subject: Word = "",
    before: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
) -> Response:
    """The team's keys, for its admins; who is none sees their own."""
    if not context.caller.may_for_whole_team("admin"):
        return context.page("keys_own.html", rows=keys.own(session, context.caller))
    made = _MADE.shown(context)
    response = _page(context, session, {"of": of, "key": key, "subject": subject}, before, made=made)
    if made is not None:
        _MADE.forget(response)
    return response


@pages.post("/keys")
def create(context: Ruling, session: Writing, form: Form) -> Response:
    """Make a key, and show it on the page that is gone to, so that a reload makes no other."""
    team = session.get_one(Team, context.caller.own_team())
    try:
        row, raw = keys.create(
            session,
            team,
            name=form.get("name").strip(),
            scopes=form.all("scope"),
            model_id=form.get("model_id") or None,
            expires=expiry(form.get("expires")),
            by=context.caller,
        )
    except SpecError as error:
        return _page(context, session, {}, wrong=error, given=form, status=422)
    return _MADE.go(context, name=row.name, raw=raw)


def expiry(days: str) -> datetime | None:
    """When a key that lasts so many days is over.

    Raises:
        SpecError: it is no number of days.
    """
    if not days:
        return None
    if not days.isdecimal() or not 1 <= int(days) <= 3650:
        raise SpecError(f"{days!r} is not a number of days.", remedy="Give 1 to 3650.")
    return now() + timedelta(days=int(days))


@pages.post("/keys/{key_id}/revoke")
def revoke(key_id: Id, context: Ruling, session: Writing) -> Response:
    """End a key's force."""
    keys.revoke(session, context.caller, key_id)
    return context.go("/keys")


@pages.post("/keys/{key_id}/end")
def end(key_id: Id, context: Known, session: Writing) -> Response:
    """End the force of one's own key."""
    keys.end_own(session, context.caller, key_id)
    return context.go("/keys")


@pages.post("/users/{user_id}/disable")
def disable(user_id: Id, context: Ruling, session: Writing) -> Response:
    """Shut a user out; the log below tells which keys of the team they made."""
    users.disable(session, context.caller, user_id)
    return context.go("/keys#people")


@pages.post("/users/{user_id}/enable")
def enable(user_id: Id, context: Ruling, session: Writing) -> Response:
    """Let a user sign in again."""
    users.enable(session, context.caller, user_id)
    return context.go("/keys#people")


def _page(
    context: PageContext,
    session: Session,
    asked: Mapping[str, str],
    before: int | None = None,
    *,
    made: dict[str, str] | None = None,
    wrong: OakmillError | None = None,
    given: Fields | None = None,
    status: int = 200,
) -> Response:
    rows = keys.listed(session, context.caller)
    team = session.get_one(Team, context.caller.own_team())
    own = select(Model.id, Model.name).where(Model.team_id == team.id, Model.trash_id.is_(None))
    models = session.execute(own.order_by(Model.updated.desc()).limit(CHOICES)).all()
    named = session.execute(own.where(Model.id.in_([row.model_id for row in rows if row.model_id]))).all()
    return context.page(
        "keys.html", status=status, rows=rows, live={row.id for row in rows if keys.is_live(row)}, made=made,
        wrong=wrong, given=given or Fields([]), team=team, used=teams.used_bytes(session, team.id), models=models,
        names={model.id: model.name for model in named}, log=_log(session, context.caller, asked, before),
        scopes=SCOPES, meanings=MEANINGS, spans=SPANS, kinds=KINDS, soon=now() + timedelta(days=7),
        counts=_counts(rows), choices=CHOICES, people=users.listed(session, context.caller),
    )  # fmt: skip


def _counts(rows: list[Key]) -> dict[str, int]:
    """How many keys are in force, over, and revoked."""
    revoked = sum(row.revoked is not None for row in rows)
    live = sum(keys.is_live(row) for row in rows)
    return {"live": live, "revoked": revoked, "expired": len(rows) - live - revoked}


def _log(session: Session, caller: Caller, asked: Mapping[str, str], before: int | None) -> Log:
    by = {"of": asked.get("of", ""), "key_id": asked.get("key", ""), "subject": asked.get("subject", "").strip()}
    found = audit.listed(session, caller, before=before, limit=ON_PAGE + 1, **by)
    shown = found[:ON_PAGE]
    more = f"{address('/keys', asked, before=shown[-1].id)}#audit" if len(found) > ON_PAGE else None
    return Log(shown, {"of": "", "key": "", "subject": "", **asked}, more)
