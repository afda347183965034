"""Known failures of conversions: what each is called, why it happens and what helps, by the book that explains jobs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Query
from fastapi.responses import Response
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from oakmill.conversion.failures import Rule, rules
from oakmill.hub import visibility
from oakmill.jobs.tables import Job, JobStatus
from oakmill.registry.callers import Caller
from oakmill.web.page_context import Open, Reading
from oakmill.web.routing import page_router
from oakmill.web.views.filters import plain

pages = page_router()

RECENT = 500
_BLANK = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Entry:
    """A rule as people read it, and how often it was the reason lately."""

    rule: Rule
    cause: str
    remedies: tuple[tuple[str, str], ...]
    count: int

    @property
    def words(self) -> str:
        """What a search reads."""
        rule = self.rule
        said = [rule.id, rule.title, self.cause, *rule.code, *rule.ops, *rule.platform, *map(" ".join, self.remedies)]
        return " ".join(said).lower()


@pages.get("/troubleshooting")
def troubleshooting(
    context: Open, session: Reading, text: Annotated[str, Query(max_length=255)] = "", platform: str = ""
) -> Response:
    """All entries, or those that match."""
    counts = _counts(session, context.caller)
    entries = [_entry(rule, counts.get(rule.id, 0)) for rule in rules()]
    found = [entry for entry in entries if _matches(entry, text.lower().split(), platform)]
    return context.page(
        "troubleshooting.html",
        entries=found,
        total=len(entries),
        asked={"text": text, "platform": platform},
        seen=sorted((entry for entry in entries if entry.count), key=lambda entry: -entry.count)[:6],
    )


def _entry(rule: Rule, count: int) -> Entry:
    remedies = tuple((_shown(item.text), " ".join(_edits(item.edit))) for item in rule.remedies)
    return Entry(rule, _shown(rule.cause), remedies, count)


def _edits(edit: dict[str, object]) -> Iterator[str]:
    for place, value in edit.items():
        yield f"{_shown(place)} {_value(value)}"


def _value(value: object) -> str:
    """What an edit writes: a value, the default, one that is computed, or a list without some of its items."""
    if isinstance(value, Mapping):
        return f"without {_shown(str(value['without']))}"
    if isinstance(value, str) and value.startswith("$"):
        return "= …"
    return f"= {'the default' if value is None else _shown(plain(value))}"


def _shown(template: str) -> str:
    """A template's blanks as blanks: what stands there is told by the failure itself."""
    if template == "{remedy}":
        return "What helps depends on the case: the failed job says it."
    return _BLANK.sub(r"‹\1›", template)


def _matches(entry: Entry, words: list[str], platform: str) -> bool:
    allowed = entry.rule.platform
    return all(word in entry.words for word in words) and (not platform or not allowed or platform in allowed)


def _counts(session: Session, caller: Caller) -> dict[str, int]:
    """How many of the latest failed jobs that one sees were explained by each rule."""
    if not caller.is_known:
        return {}
    rule = Job.failure["rule"].as_string()
    failed = select(Job.id).where(visibility.jobs(caller), Job.status == JobStatus.FAILED)
    latest = failed.order_by(Job.number.desc()).limit(RECENT)
    rows = session.execute(select(rule, func.count()).where(Job.id.in_(latest)).group_by(rule))
    return {str(name): count for name, count in rows.all()}
