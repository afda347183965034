"""What a detector's outputs are, on the form and in the graph, before it is converted; and its classes by hand."""

from __future__ import annotations

import pytest
from playwright.sync_api import FilePayload, Page, expect

from tests.unit.heads.families.exports import Export
from tests.unit.heads.families.test_anchored_raw import export as undecoded
from tests.web.conftest import Served
from tests.web.working import source

SLOW = 60_000
NOTED = {"author": "Ultralytics", "task": "detect", "stride": "32", "names": "{0: 'acorn', 1: 'oak', 2: 'jay, blue'}"}


@pytest.fixture(scope="module")
def detector(hub: Served) -> str:
    """An export of Ultralytics, whose nodes have names as its exporter gives them."""
    model = Export().model(**NOTED)
    for place, node in enumerate(model.graph.node):
        node.name = f"/model.22/{node.op_type}_{place}"
    return source(hub, "Acorns and oaks", model.SerializeToString(), "acorns.onnx")


def test_the_form_says_what_was_recognised_and_the_names_are_edited(page: Page, detector: str) -> None:
    page.goto(f"/instances/{detector}/convert/rvc4")
    seen = page.get_by_role("region", name="What the outputs are")
    expect(seen).to_contain_text("Certain", timeout=SLOW)
    expect(seen).to_contain_text("3 classes: acorn, oak, jay, blue")
    expect(seen).to_contain_text("ends at output1_yolov6r2")
    expect(seen).to_contain_text("RGB divided by 255")
    names = page.get_by_label("Class names")
    seen.get_by_role("button", name="Edit the names").click()
    expect(names).to_have_value("acorn\noak\njay, blue")
    page.get_by_role("button", name="coco", exact=True).click()
    expect(names).to_have_value("coco")
    file: FilePayload = {"name": "mine.txt", "mimeType": "text/plain", "buffer": "chêne\ngland\ngeai\n".encode()}
    page.locator("[data-reads]").set_input_files(file)
    expect(names).to_have_value("chêne\ngland\ngeai")
    expect(page.locator("#equal-cli")).to_contain_text("--classes 'chêne")


def test_one_name_with_a_comma_stays_one(page: Page, hub: Served) -> None:
    """A click on "Edit the names" made two classes of it."""
    model = Export(classes=1).model(**NOTED | {"names": "{0: 'jay, blue'}"})
    page.goto(f"/instances/{source(hub, 'Jays', model.SerializeToString(), 'jays.onnx')}/convert/rvc4")
    page.get_by_role("button", name="Edit the names").click(timeout=SLOW)
    expect(page.get_by_label("Class names")).to_have_value('["jay, blue"]')


def test_a_switch_keeps_the_sources_own_outputs(page: Page, detector: str) -> None:
    page.goto(f"/instances/{detector}/convert/rvc4")
    seen = page.get_by_role("region", name="What the outputs are")
    expect(seen).to_contain_text("Certain", timeout=SLOW)
    page.get_by_label("Keep the source's own outputs").check()
    expect(seen).to_contain_text("Its own outputs are kept: output0", timeout=SLOW)
    expect(page.locator("#equal-cli")).to_contain_text("--keep-outputs")


def test_the_graph_shows_the_nodes_that_go_before_one_converts(page: Page, detector: str) -> None:
    page.goto(f"/instances/{detector}/graph?wait=true")
    cut = page.get_by_role("region", name="The cut")
    cut.get_by_role("link", name="RVC2").click()
    expect(cut).to_contain_text("for RVC2 the network ends at output1_yolov6r2", timeout=SLOW)
    cut.get_by_text("The nodes that go").click()
    expect(cut).to_contain_text("Sigmoid")
    gone = page.frame_locator("iframe").locator('g[data-gone="yes"]')
    expect(gone.first).to_be_attached(timeout=SLOW)
    expect(gone.first.locator("path").first).to_have_attribute("style", "fill: rgb(212, 80, 62);")


def test_a_network_that_nothing_knows_says_so(page: Page, hub: Served) -> None:
    page.goto(f"/instances/{hub.ids['source']}/graph?wait=true&platform=rvc2")
    expect(page.get_by_role("region", name="The cut")).to_contain_text("cut", timeout=SLOW)
    page.goto(f"/instances/{hub.ids['source']}/convert/rvc2")
    seen = page.get_by_role("region", name="What the outputs are")
    expect(seen).not_to_contain_text("Looking at the graph", timeout=SLOW)


def test_a_family_is_chosen_by_hand_and_its_cut_is_seen_before_one_converts(page: Page, hub: Served) -> None:
    """The graph's page showed the cut of what was recognised alone: of a family that one chose in the form, nobody saw
    which nodes go."""
    raw = source(hub, "Grids without anchors", undecoded(pools=True).SerializeToString(), "raw.onnx")
    page.goto(f"/instances/{raw}/convert/rvc2")
    seen = page.get_by_role("region", name="What the outputs are")
    expect(seen).to_contain_text("Guess", timeout=SLOW)
    expect(seen).to_contain_text("Choose yolov7")
    page.goto(f"/instances/{raw}/graph?wait=true&platform=rvc2")
    cut = page.get_by_role("region", name="The cut")
    expect(cut).to_contain_text("guess: nothing is cut", timeout=SLOW)
    cut.get_by_label("Family").select_option("ssd")
    cut.get_by_role("button", name="Show").click()
    expect(cut).to_contain_text("The network is none of ssd: that needs one output [1, 1, N, 7]", timeout=SLOW)
    cut.get_by_label("Family").select_option("yolov7")
    cut.get_by_role("button", name="Show").click()
    expect(cut).to_contain_text("for RVC2 the network ends at output1_yolov7", timeout=SLOW)
    cut.get_by_text("The nodes that go").click()
    expect(cut).to_contain_text("Reshape")
    cut.get_by_role("link", name="Convert it so in the form").click()
    expect(seen).to_contain_text("The network ends at output1_yolov7", timeout=SLOW)
    expect(seen).to_contain_text("RGB divided by 255")
    expect(page.locator("#equal-cli")).to_contain_text("--head yolov7")
