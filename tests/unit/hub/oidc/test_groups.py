from __future__ import annotations

import pytest

from oakmill.errors import TokenRefused
from oakmill.hub.oidc import groups
from oakmill.registry.users import Grant

MAPPING = {"ml": "vision:convert", "leads": "vision:admin", "arms": "robots:admin", "*": "guests:read"}


@pytest.mark.parametrize(
    ("theirs", "grant"),
    [
        (("ml",), Grant("vision", "convert")),
        (("leads", "ml"), Grant("vision", "admin")),
        (("arms", "ml"), Grant("vision", "convert")),  # the first entry that fits decides the team
        (("arms",), Grant("robots", "admin")),
        ((), Grant("guests", "read")),
        (("*",), Grant("guests", "read")),
    ],
)
def test_the_first_entry_decides_the_team_and_the_strongest_the_scope(theirs: tuple[str, ...], grant: Grant) -> None:
    assert groups.granted(theirs, MAPPING) == grant


def test_who_is_in_no_group_is_let_in_nowhere() -> None:
    assert groups.granted((), {"ml": "vision:convert"}) is None
    assert groups.granted(("*",), {"ml": "vision:convert"}) is None


def test_groups_are_a_list_of_names() -> None:
    assert groups.listed({}, "groups") == ()
    assert groups.listed({"groups": ["ml"]}, "groups") == ("ml",)
    for wrong in ("ml", None, {"ml": 1}, ["ml", None], 7):
        with pytest.raises(TokenRefused):
            groups.listed({"groups": wrong}, "groups")
