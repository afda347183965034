"""Signing in at a real OpenID provider, in a real browser; and what becomes of those whom it lets in no more."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from oakmill.hub.sessions import COOKIE
from tests import in_process
from tests.hub_servers import ServedHub
from tests.providers import SECRET, RealProvider, real_provider

GROUPS = {"seers": "vision:convert", "leads": "vision:admin", "arms": "robots:read"}
ADA = {"email": "ada@example.com", "name": "Ada", "groups": ["seers", "canteen"]}


@dataclass
class Company:
    """A hub with two teams, and the provider that its people sign in at."""

    hub: ServedHub
    provider: RealProvider

    def audit(self) -> list[dict[str, Any]]:
        """What the operator sees of who did what in the team vision."""
        made = in_process.run("keys", "create", "auditor", "--team", "vision", "--scope", "admin", **self.variables)
        headers = {"Authorization": f"Bearer {made.stdout.strip()}"}
        answer = httpx.get(f"{self.hub.url}/api/v1/audit", headers=headers, trust_env=False)
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    @property
    def variables(self) -> dict[str, str]:
        return {"OAKMILL_HOME": str(self.hub.home)}


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    folder = tmp_path_factory.mktemp("company")
    with real_provider(folder) as provider:
        variables = {
            "OAKMILL_OIDC_ISSUER": provider.issuer,
            "OAKMILL_OIDC_NAME": "Example Corp",
            "OAKMILL_OIDC_CLIENT_SECRET": SECRET,
            "OAKMILL_OIDC_GROUPS": json.dumps(GROUPS),
        }
        with ServedHub(folder / "home", variables=variables) as hub:
            for team in ("vision", "robots"):
                in_process.run("keys", "add-team", team, OAKMILL_HOME=str(hub.home))
            provider.start(f"{hub.url}/session/provider/back")
            yield Company(hub, provider)


@pytest.fixture
def window(browser: Browser, company: Company) -> Iterator[BrowserContext]:
    """A browser's window of somebody who has never been here."""
    context = browser.new_context(base_url=company.hub.url, reduced_motion="reduce")
    yield context
    context.close()


def through_provider(page: Page, login: str) -> None:
    """From the hub's button over the provider's own pages, as far as they lead."""
    page.goto("/models")
    page.get_by_role("link", name="Sign in with Example Corp").click()
    page.locator("input[name=login]").fill(login)
    page.locator("input[name=password]").fill("any")
    page.locator("button[type=submit]").click()
    page.get_by_role("button", name="Continue").click()


def test_a_user_comes_in_acts_and_goes(company: Company, window: BrowserContext) -> None:
    """Everybody shared pasted keys: the audit log told of a key, and nobody knew who had held it."""
    company.provider.say(ada=ADA)
    page = window.new_page()
    through_provider(page, "ada")
    page.wait_for_url("**/models")
    expect(page.get_by_role("heading", name="Models", exact=True)).to_be_visible()
    expect(page.get_by_title("ada@example.com")).to_have_text("vision")

    cookies = {item["name"]: item["value"] for item in window.cookies() if item["name"] == COOKIE}
    me = httpx.get(f"{company.hub.url}/api/v1/teams/me", cookies=cookies, trust_env=False).json()
    assert (me["user_name"], me["scopes"], me["team"]["slug"]) == ("ada@example.com", ["convert"], "vision")
    origin = {"Origin": company.hub.url}
    url = f"{company.hub.url}/api/v1/models"
    httpx.post(url, json={"name": "Hers"}, cookies=cookies, headers=origin, trust_env=False).raise_for_status()
    entry = next(item for item in company.audit() if item["action"] == "model.create")
    assert entry["user_name"] == "ada@example.com"

    page.goto("/session")
    expect(page.get_by_text("ada@example.com", exact=True)).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("link", name="sign out there, too")).to_be_visible()
    gone = httpx.get(f"{company.hub.url}/api/v1/teams/me", cookies=cookies, trust_env=False)
    assert gone.status_code == 401


def command(company: Company, folder: Path, *words: str) -> subprocess.Popen[str]:
    """`oakmill WORDS` on somebody's laptop."""
    own = {name: value for name, value in company.hub.environment.items() if not name.startswith("OAKMILL_")}
    own |= {"OAKMILL_HOME": str(folder / "home"), "XDG_CONFIG_HOME": str(folder / "config")}
    return subprocess.Popen(
        [sys.executable, "-m", "oakmill", *words], env=own, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_the_command_line_logs_in_by_who_is_signed_in(company: Company, window: BrowserContext, tmp_path: Path) -> None:
    """Who signs in at the company had no key to paste, and a pasted one ended in the shell's history."""
    company.provider.say(ada={**ADA, "groups": ["leads"]})
    login = command(company, tmp_path, "login", "--hub", company.hub.url)
    assert login.stderr is not None
    address = login.stderr.readline().removeprefix("Open ").strip()
    code = login.stderr.readline().split()[-1]
    assert address == f"{company.hub.url}/device?code={code}"

    page = window.new_page()
    page.goto(address)
    page.get_by_role("link", name="Sign in with Example Corp").click()
    page.locator("input[name=login]").fill("ada")
    page.locator("input[name=password]").fill("any")
    page.locator("button[type=submit]").click()
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text(code, exact=True)).to_be_visible()
    expect(page.get_by_text("ada@example.com, team vision")).to_be_visible()
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_text("is logged in")).to_be_visible()

    said, _ = login.communicate(timeout=60)
    assert login.returncode == 0 and "ada@example.com: the key" in said and "allows convert" in said
    kept = tmp_path / "config" / "oakmill" / "hubs.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    key = json.loads(kept.read_text())["keys"][company.hub.url]

    listed = command(company, tmp_path, "models")
    assert listed.communicate(timeout=60)[1] == "" and listed.returncode == 0
    ended = command(company, tmp_path, "logout")
    assert "the key is over" in ended.communicate(timeout=60)[0]
    assert key not in kept.read_text()
    me = f"{company.hub.url}/api/v1/teams/me"
    assert httpx.get(me, headers={"Authorization": f"Bearer {key}"}, trust_env=False).status_code == 401


def test_an_admin_shuts_somebody_out_on_the_page(company: Company, browser: Browser) -> None:
    """Somebody who leaves must be out at once, and not when the operator is back at the hub's machine."""
    company.provider.say(bob={"email": "bob@example.com", "groups": ["seers"]}, eve={**ADA, "groups": ["leads"]})
    windows = [browser.new_context(base_url=company.hub.url, reduced_motion="reduce") for _ in range(2)]
    bob, eve = (window.new_page() for window in windows)
    for page, login in ((bob, "bob"), (eve, "eve")):
        through_provider(page, login)
        page.wait_for_url("**/models")
    bob.goto("/keys")
    expect(bob.get_by_role("row", name="Web sessions")).to_be_visible()

    eve.goto("/keys")
    row = eve.locator("section[aria-labelledby=people] tr", has_text="bob@example.com")
    row.get_by_role("button", name="Shut out", exact=True).click()
    row.locator("dialog").get_by_role("button", name="Shut out").click()
    expect(row.get_by_text("Shut out", exact=True).first).to_be_visible()

    bob.goto("/models")
    bob.get_by_role("link", name="Sign in with Example Corp").click()
    expect(bob.get_by_role("alert")).to_contain_text("bob@example.com is shut out of this hub")
    for window in windows:
        window.close()
