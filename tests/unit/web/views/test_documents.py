"""What lies beside a converted model is read, whatever version wrote it, and never ends a page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from oakmill.findings import Severity
from oakmill.web.views.documents import passport_in

EARLIER = Path(__file__).parents[2] / "conversion" / "passport" / "version-2.passport.json"


def test_an_earlier_passport_is_shown_with_the_words_of_today() -> None:
    found = passport_in(json.loads(EARLIER.read_text()))
    assert found is not None and found.verdict is Severity.WARNING


@pytest.mark.parametrize("document", [{}, {"checks": "none"}, {"passport_version": 3, "platform": 7}])
def test_what_is_no_passport_is_none(document: dict[str, object]) -> None:
    assert passport_in(document) is None
