"""The sidebar: where one can go from every page, and how much is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.orm import Session

from oakmill.hub import visibility
from oakmill.hub.state import Hub
from oakmill.jobs.tables import LIVE, Job
from oakmill.registry import datasets, search
from oakmill.registry.callers import Caller
from oakmill.registry.tables import Model


@dataclass(frozen=True)
class Item:
    """An entry of the sidebar."""

    href: str
    label: str
    icon: str
    current: bool = False
    count: int | None = None


_Count = Callable[[Session, Caller], int | None]


def _models(session: Session, caller: Caller) -> int | None:
    return search.count(session, caller, Model)


def _live_jobs(session: Session, caller: Caller) -> int | None:
    return session.query(Job.id).where(visibility.jobs(caller), Job.status.in_(LIVE)).count()


def _own_sets(session: Session, caller: Caller) -> int | None:
    return len(datasets.listed(session, caller)) if caller.is_known else None


def _none(session: Session, caller: Caller) -> int | None:
    return None


PLACES: tuple[tuple[str, str, str, _Count], ...] = (
    ("/quick", "Quick conversion", "quick", _none),
    ("/models", "Models", "models", _models),
    ("/conversions", "Conversions", "jobs", _live_jobs),
    ("/datasets", "Calibration sets", "datasets", _own_sets),
    ("/toolchains", "Toolchains", "toolchains", _none),
    ("/keys", "Keys", "key", _none),
)


def navigation(at: Hub, caller: Caller, path: str) -> list[Item]:
    """All entries, with what is there for the caller; that of the page at `path` is marked."""
    with at.db.reading() as session:
        return [
            Item(href, label, icon, _holds(href, path), count(session, caller)) for href, label, icon, count in PLACES
        ]


def uncounted(path: str) -> list[Item]:
    """All entries, for a page that tells an error: nothing is asked of a database that may be the reason."""
    return [Item(href, label, icon, _holds(href, path)) for href, label, icon, _ in PLACES]


_BELOW = {
    "/models": ("/instances/", "/compare", "/trash"),
    "/conversions": ("/jobs/", "/troubleshooting", "/workers"),
    "/keys": (
        "/webhooks",
        "/storage",
    ),
}
"""Pages that belong to an entry although their address does not begin with its."""


def _holds(href: str, path: str) -> bool:
    return path == href or path.startswith((f"{href}/", *_BELOW.get(href, ())))
