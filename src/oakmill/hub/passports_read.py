"""Passports that somebody else has written: read by their schema, and seen to be such as can be shown."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from jinja2 import TemplateError

from oakmill.conversion.passport import report
from oakmill.conversion.passport.report import Passport
from oakmill.errors import OakmillError

_UNREADABLE = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError, TemplateError)


@contextmanager
def readable(refusal: Callable[[str], OakmillError]) -> Iterator[None]:
    """A document of somebody else's may fit the schema, and still lack what its numbers are made of.

    Raises:
        OakmillError: the `refusal`, with why in words.
    """
    try:
        yield
    except _UNREADABLE as error:
        raise refusal(f"{type(error).__name__}: {str(error)[:200]}") from None


def parsed(data: bytes) -> Passport:
    """The passport in these bytes; to be called where `readable` is open."""
    found = report.read(json.loads(data))
    found.as_dict(drawings=True)  # a text may hold half a character, which no JSON of ours does
    return found
