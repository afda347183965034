"""A person's whole way in a real browser, with real tools, to downloads that depthai reads; and the ways that fail."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto, helper
from playwright.sync_api import Browser, Page, expect

from oakmill.settings import Settings
from oakmill.toolchains import catalog
from oakmill.toolchains.base import State
from tests.web.conftest import Watch, watched_admin, watching
from tests.web.furnish import network
from tests.web.screenshots import signed_in
from tests.web.serving import Running, running
from tests.web.test_datasets import pictures
from tests.web.working import asked, source, unsupported

SLOW = 120_000
MISSING = [name for name in ("rvc2", "rvc4") if catalog.find(name, Settings()).status().state is not State.INSTALLED]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"no toolchain for {', '.join(MISSING)} is installed")


@pytest.fixture(scope="module")
def way(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A hub with one worker and nothing in it."""
    with running(tmp_path_factory.mktemp("way") / "home", workers=1) as hub:
        yield hub


@pytest.fixture
def watched(way: Running) -> Iterator[Watch]:
    with watching(way) as found:
        yield found


@pytest.fixture
def walker(browser: Browser, way: Running, watched: Watch) -> Iterator[Page]:
    """A window of the hub's admin."""
    with watched_admin(browser, way, watched) as context:
        yield context.new_page()


def open_model(size: int = 24) -> bytes:
    """The small network with its batch, height and width left open."""
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, "height", "width"])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, ["batch", 3, "height", "width"])
    graph = helper.make_graph([helper.make_node("Relu", ["images"], ["out"], "relu")], "net", [image], [out])
    opset = [helper.make_opsetid("", 13)]
    data: bytes = helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()
    return data


def told(place: Path) -> tuple[Any, list[int]]:
    """What depthai's own reader says of a download: the kind of its model, and its first input's shape."""
    import depthai

    archive = depthai.NNArchive(place)
    return archive.getModelType(), list(archive.getConfig().model.inputs[0].shape)


def downloaded(page: Page, folder: Path) -> Path:
    """The file that the page's Download gives."""
    with page.expect_download() as waiting:
        page.get_by_role("link", name=re.compile("^Download")).first.click()
    place = folder / waiting.value.suggested_filename
    waiting.value.save_as(place)
    return place


def test_from_an_empty_hub_to_a_superblob_and_an_int8_dlc(walker: Page, tmp_path: Path) -> None:
    import depthai

    model = tmp_path / "gesture-32x32.onnx"
    model.write_bytes(network(32))
    walker.goto("/")
    expect(walker.get_by_role("heading", name="Convert your first model")).to_be_visible()
    walker.get_by_role("link", name="Upload a model").click()
    walker.set_input_files("#files", model)
    walker.get_by_role("button", name="Upload").click()
    expect(walker.locator("[data-found]")).to_contain_text("ONNX", timeout=SLOW)
    _convert(walker, "RVC2")
    expect(walker.locator(".result")).to_be_visible(timeout=SLOW)
    assert told(downloaded(walker, tmp_path)) == (depthai.ModelType.SUPERBLOB, [1, 3, 32, 32])

    calibration = tmp_path / "hands.zip"
    calibration.write_bytes(pictures(24))
    walker.goto("/datasets")
    walker.set_input_files("#file", calibration)
    walker.get_by_role("button", name="Upload").click()
    walker.wait_for_url(re.compile(r"/datasets/aid_\w+$"), timeout=SLOW)
    _convert(walker, "RVC4", "hands")
    expect(walker.locator(".result")).to_be_visible(timeout=SLOW)
    assert told(downloaded(walker, tmp_path)) == (depthai.ModelType.DLC, [1, 32, 32, 3])
    walker.locator(".result h2 a").click()
    expect(walker.locator("main")).to_contain_text("INT8")
    expect(walker.locator("main")).to_contain_text("emulat")
    expect(walker.get_by_role("img", name="distribution over").first).to_be_visible()


def _convert(page: Page, platform: str, images: str = "") -> None:
    page.goto("/models/default/gesture")
    page.get_by_role("region", name="Model variants").get_by_role("link", name="Convert").click()
    page.get_by_role("link", name=f"Convert for {platform}").click()
    if images:
        page.get_by_role("radiogroup", name="Quantization data").get_by_text(images, exact=True).click()
        page.select_option("#f-target_precision", "INT8_STANDARD")  # AUTO tries five
    page.get_by_role("button", name="Export").click()
    expect(page).to_have_url(re.compile("/jobs/aij_"))


@pytest.mark.parametrize(
    ("name", "model", "body", "why", "change"),
    [
        ("No such operator", unsupported(), {}, "does not have the operator", "outputs"),
        ("Dimensions open", open_model(), {}, "open", "shape"),
        (
            "Wrong shape",
            network(28),
            {"inputs": [{"name": "images", "shape": [1, 4, 28, 28]}]},
            "in the model",
            "shape",
        ),
    ],
    ids=["operator", "dynamic", "shape"],
)
def test_what_failed_works_with_the_edit_that_is_suggested(
    walker: Page, way: Running, watched: Watch, name: str, model: bytes, body: dict[str, Any], why: str, change: str
) -> None:
    job = asked(way, source(way, name, model), spec=body)
    walker.goto(f"/jobs/{job['id']}")
    expect(walker.locator(".failure")).to_contain_text(why, timeout=SLOW)
    expect(walker.locator(".changes").first).to_contain_text(change)
    walker.get_by_role("button", name=re.compile("^Retry with")).first.click()
    expect(walker).to_have_url(re.compile(rf"/jobs/(?!{job['id']})aij_"))
    if change == "outputs":  # that the others' edits work is shown where failures are provoked
        expect(walker.locator(".result")).to_be_visible(timeout=SLOW)
    else:
        with way.client() as client:
            client.post(f"/jobs/{walker.url.rpartition('/')[2]}/cancel").raise_for_status()


def test_a_job_that_runs_is_cancelled(walker: Page, way: Running) -> None:
    job = asked(way, source(way, "Cancelled", network(44)), "rvc4", spec={"quantization_data": "random"})
    walker.goto(f"/jobs/{job['id']}")
    expect(walker.locator("#state .badge").first).to_have_text("Running", timeout=SLOW)
    walker.get_by_role("button", name="Cancel").click()
    expect(walker.locator("#state .badge").first).to_have_text("Cancelled", timeout=SLOW)
    expect(walker.locator(".failure")).to_have_count(0)


def test_a_job_outlives_a_reload_and_a_restart_of_the_hub(walker: Page, way: Running, watched: Watch) -> None:
    job = asked(way, source(way, "Outlives", network(52)), name="outlives")
    walker.goto(f"/jobs/{job['id']}")
    expect(walker.locator("#state .badge").first).to_have_text("Running", timeout=SLOW)
    walker.reload()
    expect(walker.locator("#state .badge").first).to_have_text("Running")
    way.end()
    expect(walker.locator("[data-lost]")).to_be_visible(timeout=SLOW)
    way.start()
    expect(walker.locator("[data-lost]")).to_be_hidden(timeout=SLOW)
    expect(walker.locator(".result")).to_be_visible(timeout=SLOW)
    watched.wrong = [line for line in watched.wrong if "net::ERR_" not in line]


def test_teams_do_not_see_each_other(browser: Browser, way: Running, watched: Watch) -> None:
    mine = source(way, "Ours alone", network(60))
    job = asked(way, mine, name="ours alone")
    context = signed_in(browser, way.url, _key_of_another_team(way))
    watched.over(context)
    watched.expected = {404}
    page = context.new_page()
    for path in ("/models", "/conversions", "/datasets"):
        page.goto(path)
        expect(page.locator("main")).not_to_contain_text(re.compile("ours alone|hands|gesture", re.IGNORECASE))
    for path in (f"/instances/{mine}", f"/jobs/{job['id']}", f"/jobs/{job['id']}/log.txt", "/models/default/gesture"):
        assert page.request.get(path, headers={"Accept": "text/html"}).status == 404, path
    context.close()


def _key_of_another_team(hub: Running) -> str:
    for words in (["add-team", "rivals"], ["create", "lead", "--team", "rivals", "--scope", "admin"]):
        command = [sys.executable, "-m", "oakmill", "keys", *words]
        said = subprocess.check_output(command, env=hub.environment, text=True)
    return str(re.findall(r"oak_\w+", said)[0])


def test_a_large_upload_goes_on_where_the_connection_was_cut(
    walker: Page, way: Running, watched: Watch, tmp_path: Path
) -> None:
    place = tmp_path / "large.onnx"
    place.write_bytes(_large(200 << 20))
    walker.goto("/models/new")
    walker.set_input_files("#files", place)
    walker.get_by_role("button", name="Upload").click()
    expect(walker.locator("[data-list] progress")).to_have_attribute("value", re.compile(r"0\.[2-9]"), timeout=SLOW)
    walker.context.set_offline(True)
    walker.wait_for_timeout(1500)
    walker.context.set_offline(False)
    expect(walker.locator("[data-found]")).to_contain_text("sha256", timeout=SLOW)
    cut = [line for line in watched.wrong if "net::ERR_INTERNET_DISCONNECTED" in line]
    assert cut
    assert watched.wrong == cut
    watched.wrong = []


def _large(size: int) -> bytes:
    shape = [size // 4]
    image, out = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("images", "out"))
    weights = helper.make_tensor("w", TensorProto.FLOAT, shape, bytes(size), raw=True)
    graph = helper.make_graph([helper.make_node("Add", ["images", "w"], ["out"])], "net", [image], [out], [weights])
    opset = [helper.make_opsetid("", 13)]
    data: bytes = helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()
    return data


def test_with_the_keyboard_alone(walker: Page, way: Running) -> None:
    source(way, "By keyboard", network(20))
    walker.goto("/models")
    steps = {
        "By keyboard": "Model variants",
        "Convert": "Convert for RVC2",
        "Convert for RVC2": "Export",
        "Export": "Log",
    }
    for name, then in steps.items():
        _tab_to(walker, name)
        walker.keyboard.press("Enter")
        expect(walker.get_by_text(then, exact=True).first).to_be_visible(timeout=SLOW)
    expect(walker).to_have_url(re.compile("/jobs/aij_"))
    _tab_to(walker, "Cancel")


def _tab_to(page: Page, name: str) -> None:
    """Press Tab until what has the focus begins with these words, and see that it shows the focus."""
    for _ in range(120):
        page.keyboard.press("Tab")
        words, outline = page.evaluate(
            "() => { const it = document.activeElement; const about = it.querySelector('b') ?? it;"
            "return [about.innerText.trim(), getComputedStyle(it).outlineStyle]; }"
        )
        if words == name:
            assert outline != "none", name
            return
    raise AssertionError(f"no way to {name!r} by Tab on {page.url}")
