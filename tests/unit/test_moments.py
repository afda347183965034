"""Moments of strangers: in UTC, or refused in words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import TypeAdapter, ValidationError

from oakmill.moments import Moment

READ = TypeAdapter(Moment)


def test_a_moment_is_in_utc_from_then_on() -> None:
    found: datetime = READ.validate_python("2026-01-01T02:00:00+02:00")
    assert found == datetime(2026, 1, 1, tzinfo=UTC) and found.tzinfo is UTC


@pytest.mark.parametrize("said", ["2026-01-01T00:00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_one_that_utc_does_not_have_is_refused(said: str) -> None:
    """The first moment of all years somewhere in the east is none in UTC: that was no ValueError, and nobody's case."""
    with pytest.raises(ValidationError):
        READ.validate_python(said)
