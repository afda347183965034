from __future__ import annotations

import pytest

from oakmill.errors import SpecError
from oakmill.registry.semver import Semver


def test_versions_stand_in_semvers_order() -> None:
    given = ["1.0.0-rc.2", "0.9", "1.0.0-rc.10", "1.0.0", "1.0.0-alpha", "1.10.0", "1.2.0", "2"]
    assert sorted(given, key=Semver.parse) == [
        "0.9", "1.0.0-alpha", "1.0.0-rc.2", "1.0.0-rc.10", "1.0.0", "1.2.0", "1.10.0", "2",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("version", "after"), [("0.1.0", "0.1.1"), ("1.2", "1.2.1"), ("1.0.0-rc.1", "1.0.0"), ("v3", "3.0.1")]
)
def test_the_next_version_is_one_more_in_the_last_place(version: str, after: str) -> None:
    assert Semver.parse(version).after() == after


@pytest.mark.parametrize("text", ["", "latest", "1.2.3.4", "1." + "9" * 70, "1.0.0-", "-1"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="not a version"):
        Semver.parse(text)
