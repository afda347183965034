"""Toolchains are found by the names that people use."""

from __future__ import annotations

from pathlib import Path

import pytest

from oakmill.errors import ToolchainMissing
from oakmill.settings import Settings
from oakmill.toolchains import catalog
from oakmill.toolchains.base import State

SETTINGS = Settings(home=Path("/nonexistent"), rvc2_libraries={"2022.3.0": Path("/opt/openvino")})


@pytest.mark.parametrize("name", ["rvc2", "RVC2", "rvc2/openvino-2022.2.0"])
def test_a_platform_stands_for_its_default_toolchain(name: str) -> None:
    assert catalog.find(name, SETTINGS).name == "rvc2/openvino-2022.2.0"


def test_a_version_of_the_user_s_own_is_found_by_its_full_name() -> None:
    assert catalog.find("rvc2/openvino-2022.3.0", SETTINGS).name == "rvc2/openvino-2022.3.0"


@pytest.mark.parametrize("name", ["", "rvc", "rvc2/", "rvc2/openvino-1.0", "../rvc2"])
def test_an_unknown_name_is_answered_with_the_known_ones(name: str) -> None:
    with pytest.raises(ToolchainMissing, match=r"known are: rvc2/openvino-2022\.2\.0,.* rvc2/openvino-2022\.3\.0"):
        catalog.find(name, SETTINGS)


def test_the_state_of_what_is_not_installed_is_missing() -> None:
    assert {toolchain.status().state for toolchain in catalog.all_toolchains(SETTINGS)} == {State.MISSING}
