"""Turns what a hub refuses back into the error that it raised, by name; and other answers into the nearest one."""

from __future__ import annotations

from typing import Any

import httpx

from oakmill import errors
from oakmill.errors import (
    Conflict,
    Forbidden,
    HubError,
    HubUnreachable,
    NoKey,
    NotFound,
    OakmillError,
    SpecError,
    TooLarge,
    TooManyTries,
    Unavailable,
)

_BY_STATUS: dict[int, type[OakmillError]] = {
    401: NoKey,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: TooLarge,
    422: SpecError,
    429: TooManyTries,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}
"""What a code that is no error's name means; a proxy before the hub answers so, too."""


def error_of(answer: httpx.Response) -> OakmillError:
    """The error that an answer is, whose body has been read."""
    problem = _problem(answer)
    kind = _kind(str(problem.get("code", "")), answer.status_code)
    return kind(
        str(problem.get("detail") or f"The hub answers {answer.status_code} {answer.reason_phrase}."),
        subject=str(problem.get("subject", "")),
        remedy=str(problem.get("remedy", "")),
    )


def unreachable(url: str, why: str = "") -> HubUnreachable:
    """The error for a hub that does not answer."""
    return HubUnreachable(
        f"The hub at {url} does not answer{f': {why}' if why else '.'}",
        subject=url,
        remedy="Look whether it runs (oakmill serve) and whether the address is right (oakmill login URL).",
    )


def no_hub(url: str) -> HubUnreachable:
    """The error for an address at which something else answers."""
    return HubUnreachable(
        f"What answers at {url} is no Oakmill hub.",
        subject=url,
        remedy="Give the address that `oakmill serve` shows, without /api: http://host:8411",
    )


def _kind(code: str, status: int) -> type[OakmillError]:
    named = getattr(errors, code, None)
    if isinstance(named, type) and issubclass(named, OakmillError):
        return named
    return _BY_STATUS.get(status, HubError)


def _problem(answer: httpx.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
