"""Named sets are installed from files of Open Images' form: seeded, checked, resumable, whole or not there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from oakmill.calibration.datasets import SETS, FetchFailed, UnknownSet, entries, install, installer, load
from oakmill.calibration.datasets import fetch as fetching
from oakmill.calibration.datasets.fetch import Limits, NotThere, fetch
from oakmill.calibration.datasets.store import Progress, SetDamaged, State
from oakmill.settings import Settings
from tests.unit.calibration.datasets_server import BY, OpenImages, image_id, jpeg, published, serving

COUNT = 20


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets of 20, and no waiting between tries."""
    for name, item in list(SETS.items()):
        monkeypatch.setitem(SETS, name, replace(item, count=COUNT))
    monkeypatch.setattr(fetching, "PAUSES", (0.0, 0.0))
    monkeypatch.setattr(installer, "RANDOM_SIDE", 16)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[OpenImages]:
    with serving(OpenImages(published(60, test=60, Car=50, Taxi=40, Shelf=12))) as here:
        yield here


@pytest.fixture
def settings(tmp_path: Path, server: OpenImages) -> Settings:
    return settings_for(tmp_path / "home", server)


def settings_for(home: Path, server: OpenImages) -> Settings:
    return Settings(home=home, datasets_source=server.url, datasets_pictures=server.url + "/")


def pictures(settings: Settings, name: str) -> list[str]:
    return sorted(path.name for path in (settings.datasets / name / "files").iterdir())


def test_a_set_holds_only_pictures_with_a_box_of_its_classes_and_the_same_everywhere(
    settings: Settings, server: OpenImages, tmp_path: Path
) -> None:
    record = install("driving", settings)
    assert len(record.files) == COUNT
    with_car = {f"{image_id(index)}.jpg" for index in range(50)}
    assert {item.name for item in record.files} <= with_car
    again = install("driving", settings_for(tmp_path / "elsewhere", server))
    assert (again.files, again.sha256) == (record.files, record.sha256)
    assert load("driving", settings) == record
    assert not [path for path in settings.datasets.iterdir() if path.name.startswith(".installing")]


def test_each_picture_is_on_record_with_its_owner_licence_and_digest(settings: Settings) -> None:
    record = install("driving", settings)
    item = record.files[0]
    data = (settings.datasets / "driving" / "files" / item.name).read_bytes()
    assert data == jpeg(item.name[:16])
    assert item.bytes == len(data)
    assert item.source["licence"] == BY
    assert item.source["author"].startswith("Zoë N.")
    assert item.source["landing"].startswith("https://www.flickr.com/photos/")
    assert item.source["title"] == 'A title, with a comma and "quotes"'
    assert item.source["url"].endswith(f"/validation/{item.name}")
    assert "CC BY" in record.about["licence"]
    assert set(record.about["annotations"]) == {
        "v7/oidv7-class-descriptions-boxable.csv",
        "v5/validation-annotations-bbox.csv",
        "2018_04/validation/validation-images-with-rotation.csv",
    }


def test_pictures_on_their_side_and_drawings_are_left_out(settings: Settings, server: OpenImages) -> None:
    server.files = published(24, test=22, Car=1000)  # number 49 and 50 do not exist in a split this small
    record = install("driving", settings)
    assert record.about["candidates"] == 24
    server.files = published(52, Car=52)
    shutil.rmtree(settings.home)
    assert install("driving", settings).about["candidates"] == 50


def test_general_is_drawn_from_all_pictures_and_reads_no_boxes(settings: Settings, server: OpenImages) -> None:
    record = install("general", settings)
    assert record.about["candidates"] == 59
    assert [path for path in server.asked if "bbox" in path or "class" in path] == []
    assert [item.name for item in record.files] != sorted(item.name for item in record.files)


def test_where_validation_has_too_few_the_test_split_is_read_too(settings: Settings, server: OpenImages) -> None:
    record = install("warehouse", settings)
    assert record.about["candidates"] == 24
    splits = {item.source["split"] for item in record.files}
    assert splits == {"validation", "test"}
    assert "forklift" in record.note
    assert server.asked["v5/test-annotations-bbox.csv"] == 1


def test_annotations_are_fetched_once_for_all_sets(settings: Settings, server: OpenImages) -> None:
    install("driving", settings)
    install("warehouse", settings)
    install("general", settings)
    assert max(count for path, count in server.asked.items() if path.endswith(".csv")) == 1


def test_missing_and_damaged_pictures_are_replaced_by_the_next_and_recorded(
    settings: Settings, server: OpenImages, tmp_path: Path
) -> None:
    whole = install("driving", settings_for(tmp_path / "whole", server))
    first, second, third = (f"validation/{item.name}" for item in whole.files[:3])
    server.faults = {first: "404", second: "html", third: "403"}
    record = install("driving", settings)
    assert len(record.files) == COUNT
    assert record.files[: COUNT - 3] == whole.files[3:]
    assert [item["name"] for item in record.about["replaced"]] == [first, second, third]
    assert "404" in record.about["replaced"][0]["why"]
    assert "cannot be read as an image" in record.about["replaced"][1]["why"]
    assert len(pictures(settings, "driving")) == COUNT


@pytest.mark.parametrize("fault", ["503", "cut"])
def test_what_passes_is_tried_again(settings: Settings, server: OpenImages, fault: str) -> None:
    every = [f"validation/{image_id(index)}.jpg" for index in range(60)]
    server.faults = dict.fromkeys([*every, "v5/validation-annotations-bbox.csv"], fault)
    record = install("driving", settings)
    assert record.about["replaced"] == []
    assert server.pictures_asked() == 2 * COUNT


def test_a_stopped_installation_goes_on_with_what_is_there(settings: Settings, server: OpenImages) -> None:
    def stop(progress: Progress) -> None:
        if progress.done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        install("driving", settings, stop)
    assert load("driving", settings) is None
    assert {entry.name: entry.state for entry in entries(settings)}["driving"] is State.INCOMPLETE
    journal = settings.datasets / ".installing-driving" / "journal.jsonl"
    kept = [json.loads(line)["name"] for line in journal.read_text().splitlines()]
    assert len(kept) >= 7
    damaged = settings.datasets / ".installing-driving" / "files" / kept[0]
    damaged.write_bytes(b"other")
    journal.write_text(journal.read_text() + '{"name": "cut o')  # as a crash leaves it
    server.asked.clear()
    record = install("driving", settings)
    assert server.pictures_asked() == COUNT - len(kept) + 1
    assert server.asked[f"validation/{kept[0]}"] == 1
    assert len(record.files) == COUNT
    assert "journal.jsonl" not in [path.name for path in (settings.datasets / "driving").iterdir()]


def test_a_whole_set_stays_and_a_damaged_one_is_mended(settings: Settings, server: OpenImages) -> None:
    record = install("driving", settings)
    server.asked.clear()
    assert install("driving", settings) == record
    assert not server.asked
    folder = settings.datasets / "driving"
    (folder / "files" / record.files[0].name).unlink()
    with pytest.raises(SetDamaged, match="is missing") as caught:
        load("driving", settings)
    assert caught.value.remedy == "oakmill datasets install driving"
    same_size = folder / "files" / record.files[1].name
    same_size.write_bytes(bytes(record.files[1].bytes))
    assert install("driving", settings).files == record.files
    assert server.pictures_asked() == 2


def test_a_set_whose_record_is_unreadable_is_made_anew(settings: Settings) -> None:
    record = install("driving", settings)
    (settings.datasets / "driving" / "set.json").write_text('{"format": 1')
    assert {entry.name: entry.state for entry in entries(settings)}["driving"] is State.DAMAGED
    assert install("driving", settings).sha256 == record.sha256


def test_a_source_that_gives_no_pictures_is_told_as_such(
    settings: Settings, server: OpenImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installer, "MAX_REPLACED", 5)
    server.faults = {f"validation/{image_id(index)}.jpg": "html" for index in range(60)}
    with pytest.raises(FetchFailed, match=r"more than 5 images cannot be had: .*cannot be read as an image") as caught:
        install("driving", settings)
    assert "oakmill datasets add" in caught.value.remedy
    assert load("driving", settings) is None


def test_annotations_of_another_form_are_refused_and_not_kept(settings: Settings, server: OpenImages) -> None:
    boxes = "v5/validation-annotations-bbox.csv"
    server.faults = {boxes: "html"}
    with pytest.raises(FetchFailed, match=r"validation-annotations-bbox\.csv is not the file it should be"):
        install("driving", settings)
    server.faults = {}
    assert len(install("driving", settings).files) == COUNT
    assert server.asked[boxes] == 2


def test_classes_that_are_no_longer_known_are_named(settings: Settings, server: OpenImages) -> None:
    name = "v7/oidv7-class-descriptions-boxable.csv"
    server.files[name] = server.files[name].replace(",Car\n", ",Automobile\n")
    with pytest.raises(FetchFailed, match="does not know the classes Car"):
        install("driving", settings)


def test_the_class_file_may_have_no_header_line(settings: Settings, server: OpenImages) -> None:
    name = "v7/oidv7-class-descriptions-boxable.csv"
    server.files[name] = server.files[name].partition("\n")[2]
    assert len(install("driving", settings).files) == COUNT


def test_too_few_pictures_are_told(settings: Settings, server: OpenImages) -> None:
    server.files = published(15, Car=9)
    with pytest.raises(FetchFailed, match=r"404|has 9 images for driving"):
        install("driving", settings)


def test_random_needs_no_network_and_is_the_same_everywhere(tmp_path: Path) -> None:
    nowhere = Settings(home=tmp_path, datasets_source="http://127.0.0.1:9", datasets_pictures="http://127.0.0.1:9")
    record = install("random", nowhere)
    assert len(record.files) == COUNT
    assert "25 points" in record.note
    other = install("random", nowhere.model_copy(update={"home": tmp_path / "other"}))
    assert other.sha256 == record.sha256
    assert len({item.sha256 for item in record.files}) == COUNT


def test_without_a_network_the_error_says_what_to_do(tmp_path: Path) -> None:
    nowhere = Settings(home=tmp_path, datasets_source="http://127.0.0.1:9/oid", datasets_pictures="http://127.0.0.1:9")
    with pytest.raises(FetchFailed, match=r"http://127.0.0.1:9/oid/v7/.* could not be fetched: .*refused") as caught:
        install("driving", nowhere)
    assert "oakmill datasets add NAME FOLDER" in caught.value.remedy


def test_an_unknown_name_is_refused_with_the_nearest(settings: Settings) -> None:
    with pytest.raises(UnknownSet) as caught:
        install("drivin", settings)
    assert caught.value.remedy.startswith("Did you mean driving?")


def limits(size: int = 1 << 20) -> Limits:
    return Limits(size, 10.0)


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/x", "/etc/hostname"])
def test_only_http_is_fetched(url: str, tmp_path: Path) -> None:
    with pytest.raises(FetchFailed, match="no http or https"):
        fetch(url, tmp_path / "x", limits())


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1/x", "gopher://127.0.0.1/"])
def test_a_redirection_leads_to_http_only(target: str, server: OpenImages, tmp_path: Path) -> None:
    server.faults["x"] = f"redirect {target}"
    with pytest.raises(FetchFailed, match=r"not followed|not allowed"):
        fetch(f"{server.url}/x", tmp_path / "x", limits())
    assert not list(tmp_path.iterdir())


def test_a_redirection_is_followed_but_not_for_ever(server: OpenImages, tmp_path: Path) -> None:
    server.faults = {"x": f"redirect {server.url}/validation/{image_id(1)}.jpg", "loop": f"redirect {server.url}/loop"}
    fetch(f"{server.url}/x", tmp_path / "x", limits())
    assert (tmp_path / "x").read_bytes() == jpeg(image_id(1))
    with pytest.raises(FetchFailed, match="could not be fetched"):
        fetch(f"{server.url}/loop", tmp_path / "loop", limits())


def test_what_is_too_long_or_not_there_leaves_nothing(server: OpenImages, tmp_path: Path) -> None:
    with pytest.raises(FetchFailed, match="longer than"):
        fetch(f"{server.url}/validation/{image_id(1)}.jpg", tmp_path / "x", limits(100))
    with pytest.raises(NotThere, match="404"):
        fetch(f"{server.url}/nothing", tmp_path / "x", limits())
    server.faults["teapot"] = "418"
    with pytest.raises(FetchFailed, match="418"):
        fetch(f"{server.url}/teapot", tmp_path / "x", limits())
    assert not list(tmp_path.iterdir())


def test_what_takes_too_long_is_given_up(server: OpenImages, tmp_path: Path) -> None:
    with pytest.raises(FetchFailed, match="it takes too long"):
        fetch(f"{server.url}/validation/{image_id(1)}.jpg", tmp_path / "x", Limits(1 << 20, -1.0))
