"""The toolchains' page in a real browser: how each stands, what is needed, what cannot be done, and a verification."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from oakmill.settings import Settings
from oakmill.toolchains import catalog
from oakmill.toolchains.base import State, Toolchain
from tests.hub_servers import ServedHub
from tests.unit.toolchains.archive_server import Service, parts_of_a_made_up_sdk, serving, zipped
from tests.web.conftest import Watch
from tests.web.screenshots import signed_in


def test_every_toolchain_is_there_with_its_state(page: Page) -> None:
    page.goto("/toolchains")
    for toolchain in catalog.all_toolchains(Settings()):
        card = page.locator(f"[id='{toolchain.name}']")
        expect(card).to_contain_text(toolchain.summary)
        expect(card).to_contain_text(f"oakmill toolchains {'verify' if _is_there(toolchain) else 'install'}")


def test_what_a_licence_stands_before_is_installed_once_it_is_accepted(page: Page, watch: Watch) -> None:
    """The box has to be ticked, and a request without it is refused; nothing is installed here."""
    page.goto("/toolchains")
    card = page.locator("[id='sources/ultralytics-8.4.190']")
    expect(card).to_contain_text("AGPL-3.0, which asks for your sources")
    box = card.get_by_label("I accept the AGPL-3.0")
    expect(box).not_to_be_checked()
    card.get_by_role("button", name=re.compile("Install")).click()
    assert page.evaluate("document.activeElement.name") == "accept_licence"
    expect(card.locator(".standing")).to_have_count(0)
    watch.expected.add(422)
    answer = page.request.post("/toolchains/sources/ultralytics-8.4.190/install", form={"accept_licence": "MIT"})
    assert answer.status in (403, 422)


def _is_there(toolchain: Toolchain) -> bool:
    return toolchain.status().state is State.INSTALLED


def test_what_cannot_be_done_is_said(page: Page) -> None:
    page.goto("/toolchains")
    platforms = page.get_by_role("region", name="Platforms")
    expect(platforms).to_contain_text("No public compiler for RVC3 exists")
    expect(platforms).to_contain_text("QAIRT")
    expect(page.locator(".notice").first).to_contain_text("Tools ")


@pytest.mark.skipif(not _is_there(catalog.find("rvc2", Settings())), reason="its toolchain is not installed")
def test_a_verification_compiles_for_real_and_is_followed(page: Page) -> None:
    page.goto("/toolchains")
    card = page.locator("[id='rvc2/openvino-2022.2.0']")
    card.get_by_role("button", name="Verify", exact=True).click()
    page.wait_for_url("**/toolchains#rvc2/openvino-2022.2.0")
    expect(card.locator(".standing")).to_contain_text("Done", timeout=180_000)


def test_the_devices_own_sdk_is_installed_once_its_licence_is_accepted(page: Page, watch: Watch) -> None:
    """Qualcomm's terms stand beside the box, and nothing is asked of its service before; nothing is installed here."""
    page.goto("/toolchains")
    card = page.locator("[id='rvc4/qairt-2.41.0.251128']")
    expect(card).to_contain_text("The SDK is Qualcomm's, under its own terms")
    expect(card.get_by_label("I accept the Qualcomm-AI-Stack-License")).not_to_be_checked()
    expect(card).to_contain_text("install rvc4/qairt-2.41.0.251128 --accept-licence Qualcomm-AI-Stack-License")
    page.set_viewport_size({"width": 390, "height": 800})
    assert card.evaluate("card => card.scrollWidth <= card.clientWidth")  # the terms' address was wider than a phone
    watch.expected.add(422)
    answer = page.request.post("/toolchains/rvc4/qairt-2.41.0.251128/install", form={"accept_licence": "AGPL-3.0"})
    assert answer.status in (403, 422)


def test_what_comes_out_of_an_archive_has_no_button_until_the_operator_names_one(page: Page) -> None:
    page.goto("/toolchains")
    card = page.locator("[id='rvc2/openvino-2022.3']")
    expect(card).to_contain_text("OpenVINO is Intel's, under the Apache License 2.0")
    expect(card).to_contain_text("oakmill toolchains install rvc2/openvino-2022.3 --from FILE_OR_URL")
    expect(card.get_by_role("button", name="Install", exact=True)).to_have_count(0)
    answer = page.request.post("/toolchains/rvc2/openvino-2022.3/install", max_redirects=0)
    assert "made out of an archive that you name" in answer.text()
    expect(card.locator(".standing")).to_have_count(0)


def test_an_operators_button_installs_the_sdk_of_a_device(browser: Browser, tmp_path: Path) -> None:
    """On a hub of its own, from a stand-in of Qualcomm's service: the box, the button, how far it is, and the end."""
    with serving(Service(zipped(parts_of_a_made_up_sdk()))) as service:
        variables = {"OAKMILL_QAIRT_SOURCE": service.url + "/v{version}.zip"}
        with ServedHub(tmp_path / "home", variables=variables) as hub, signed_in(browser, hub.url, hub.key) as context:
            page = context.new_page()
            page.goto("/toolchains")
            card = page.locator("[id='rvc4/qairt-2.41.0.251128']")
            card.get_by_label("I accept the Qualcomm-AI-Stack-License").check()
            card.get_by_role("button", name="Install", exact=True).click()
            expect(card.locator(".standing")).to_contain_text("Done", timeout=60_000)
            page.reload()
            expect(card).to_contain_text("Installed")
            expect(card.locator(".standing")).to_contain_text("any other of its name will be refused")
            assert len(service.asked) == 1
