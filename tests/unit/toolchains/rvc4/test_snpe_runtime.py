"""Which compiler may prepare a cache for which device, and what is said where it may not."""

from __future__ import annotations

import pytest

from oakmill.errors import SpecError
from oakmill.toolchains.rvc4.snpe_runtime import cache_policy, newer, parts, same, version_not_available


def test_versions_are_compared_as_numbers_and_as_far_as_both_are_stated() -> None:
    assert newer("2.51", "2.47")
    assert newer("2.10", "2.9")
    assert not newer("2.9", "2.10")
    assert newer("2.48.40", "2.48.0")
    assert not newer("2.41.0.251128", "2.41.0")
    assert same("2.41", "2.41.0.251128")
    assert not same("2.41.0", "2.41.1")


@pytest.mark.parametrize("text", ["", "2", "2.x", "2.41.0.1.2", "2..1", "-2.41", "2.41\n3"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="is not a QAIRT version"):
        parts(text)


def test_without_a_device_runtime_there_is_no_cache_and_no_claim() -> None:
    policy = cache_policy(None, "2.51.0")
    assert (policy.cache, policy.min_runtime) == (False, None)
    assert "the device prepares" in policy.why


@pytest.mark.parametrize(("device", "compiler"), [("2.51", "2.51.0"), ("2.52.1", "2.51"), ("2.41.0", "2.32.6.250402")])
def test_a_compiler_that_is_not_newer_makes_a_cache_and_states_its_version(device: str, compiler: str) -> None:
    policy = cache_policy(device, compiler)
    assert (policy.cache, policy.min_runtime) == (True, compiler)


@pytest.mark.parametrize("device", ["2.32.6", "2.41.0", "2.50.40"])
def test_a_newer_compiler_is_refused_with_the_way_out(device: str) -> None:
    with pytest.raises(SpecError, match=rf"QAIRT 2\.51.*device with QAIRT {device}") as caught:
        cache_policy(device, "2.51")
    assert "--qairt-root" in caught.value.remedy
    assert "omit --device-runtime" in caught.value.remedy


def test_arguments_that_concern_the_cache_are_not_dropped_where_there_is_none() -> None:
    with pytest.raises(SpecError, match="--optimization_level") as caught:
        cache_policy(None, "2.51", asked_by=["--optimization_level"])
    assert "--device-runtime" in caught.value.remedy
    assert cache_policy("2.51", "2.51", asked_by=["--optimization_level"]).cache


@pytest.mark.parametrize("version", ["2.32.6", "2.41.0"])
def test_a_version_that_nobody_publishes_for_linux_is_explained(version: str) -> None:
    error = version_not_available(version, "2.51")
    assert "below 2.47" in error.message
    assert f"SDK {version} with --qairt-root" in error.remedy
    assert "not proven" in error.remedy


def test_another_version_than_the_installed_one_or_the_sdks_is_explained() -> None:
    assert "only 2.51 is installed" in version_not_available("2.48", "2.51").message
    error = version_not_available("2.41.0", "2.51", sdk_version="2.32.6")
    assert "is 2.32.6" in error.message
    assert "--snpe-version 2.32.6" in error.remedy
