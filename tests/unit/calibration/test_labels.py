"""Labels in every form that people have them, and every way in which such a file is broken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from oakmill.calibration import datasets
from oakmill.calibration.datasets.files import find_files
from oakmill.calibration.labels import BadLabels, ImageLabels, Kind, Labels, beside, labels_of
from oakmill.settings import Settings

SIZE = (40, 20)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Four photos of 40 x 20, no two alike."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(4):
        colour = (60 * number, 30, 200 - 40 * number)
        Image.new("RGB", SIZE, colour).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


def added(photos: Path, labels: Path | str, settings: Settings) -> Labels:
    """What is kept beside the set."""
    datasets.add("mine", photos, settings, labels=str(labels), overwrite=True)
    found = beside(settings.datasets / "mine" / "files")
    assert found is not None
    return found


def by_name(labels: Labels) -> dict[str, ImageLabels]:
    return {item.name: item for item in labels.images.values()}


def coco(tmp_path: Path, annotations: list[dict[str, Any]], **more: Any) -> Path:
    document = {
        "images": [{"id": 7 + n, "file_name": f"elsewhere/{n}.png", "width": 40, "height": 20} for n in range(3)],
        "categories": [{"id": 90, "name": "toothbrush"}, {"id": 1, "name": "person"}],
        "annotations": annotations,
        **more,
    }
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(document))
    return path


def box(image: int = 7, category: int = 1, bbox: Any = (4, 2, 8, 4), **more: Any) -> dict[str, Any]:
    return {"image_id": image, "category_id": category, "bbox": bbox, **more}


def test_coco_boxes_are_parts_of_their_image(photos: Path, settings: Settings, tmp_path: Path) -> None:
    path = coco(tmp_path, [box(), box(category=90, bbox=[20, 10, 40, 40], iscrowd=1, area=100)])
    found = added(photos, path, settings)
    assert (found.kind, found.names) == (Kind.BOXES, ("person", "toothbrush"))
    first, second = by_name(found)["0.png"].things or ()
    assert (first.label, first.box, first.crowd) == (0, (0.1, 0.1, 0.3, 0.3), False)
    assert (second.label, second.box, second.crowd, second.area) == (1, (0.5, 0.5, 1.0, 1.0), True, 0.125)
    assert by_name(found)["1.png"].things == ()
    assert "3.png" not in by_name(found)
    assert found.notes == ("1 images are not labelled, and are not judged",)


def test_boxes_that_cannot_be_are_counted_and_told(photos: Path, settings: Settings, tmp_path: Path) -> None:
    bad = [
        box(bbox=[50, 2, 8, 4]),
        box(bbox=[4, 2, 0, 4]),
        box(bbox=[float("nan"), 2, 8, 4]),
        box(bbox=[1, 2, 3]),
        box(category=5),
        box(image=99),
        box(image=[1]),  # type: ignore[arg-type]
    ]
    found = added(photos, coco(tmp_path, [box(), *bad]), settings)
    assert len(by_name(found)["0.png"].things or ()) == 1
    told = " ".join(found.notes)
    for words in ("outside their image", "no area", "no numbers", "not four numbers", "does not list", "do not list"):
        assert words in told


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty"),
        ("[]", "is a list"),
        ("{}", "no list of"),
        ('{"images": [3], "categories": [3], "annotations": [3]}', "no list of"),
        ("{" * 100_000, "is no JSON"),
        ("\x00\xff", "is no JSON"),
    ],
)
def test_what_is_no_coco_file_is_refused_in_a_sentence(
    content: str, words: str, photos: Path, settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "coco.json"
    path.write_text(content)
    with pytest.raises(BadLabels, match=words):
        added(photos, path, settings)
    assert datasets.load("mine", settings) is None


def test_labels_of_other_images_are_refused(photos: Path, settings: Settings, tmp_path: Path) -> None:
    images = [{"id": 7, "file_name": "other.png", "width": 40, "height": 20}]
    with pytest.raises(BadLabels, match="labels none of the 4 images: 1 labels are of images that are not in the set"):
        added(photos, coco(tmp_path, [box()], images=images), settings)


def test_an_image_labelled_in_other_proportions_does_not_count(
    photos: Path, settings: Settings, tmp_path: Path
) -> None:
    """Boxes of the photo before it was cut would lie anywhere."""
    images = [{"id": 7 + n, "file_name": f"{n}.png", "width": 40 + 30 * n, "height": 20} for n in range(2)]
    found = added(photos, coco(tmp_path, [box()], images=images), settings)
    assert set(by_name(found)) == {"0.png"}
    assert any("other proportions" in note for note in found.notes)


def yolo(tmp_path: Path, lines: dict[str, str], names: str = "names: {0: cat, 1: dog}") -> Path:
    folder = tmp_path / "yolo" / "labels"
    folder.mkdir(parents=True)
    (folder.parent / "data.yaml").write_text(names)
    for name, text in lines.items():
        (folder / f"{name}.txt").write_text(text)
    return folder


def test_yolo_lines_are_middles_and_sizes(photos: Path, settings: Settings, tmp_path: Path) -> None:
    lines = {"0": "1 0.5 0.5 0.2 0.4\n0 0.1 0.1 0.4 0.4\n", "1": "", "2": "1 0.1 0.2 0.3 0.4 0.2 0.6\n"}
    found = added(photos, yolo(tmp_path, lines), settings)
    assert found.names == ("cat", "dog")
    first, second = by_name(found)["0.png"].things or ()
    assert first.box == pytest.approx((0.4, 0.3, 0.6, 0.7))
    assert second.box == pytest.approx((0, 0, 0.3, 0.3))
    (outline,) = by_name(found)["2.png"].things or ()
    assert outline.box == pytest.approx((0.1, 0.2, 0.3, 0.6))
    assert by_name(found)["1.png"].things == by_name(found)["3.png"].things == ()
    assert found.notes == ("1 images have no file of labels, and count as images with nothing on them",)


@pytest.mark.parametrize("line", ["cat 0.5 0.5 0.2 0.4", "0 0.5 0.5", "nan 0.5 0.5 0.2 0.4", "0.5 0.5 0.5 0.2 0.4"])
def test_a_line_that_is_no_box_is_named(line: str, photos: Path, settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(BadLabels, match=r"0\.txt, line 2, is no box"):
        added(photos, yolo(tmp_path, {"0": f"0 0.5 0.5 0.2 0.2\n{line}\n"}), settings)


def test_classes_beyond_the_names_are_counted(photos: Path, settings: Settings, tmp_path: Path) -> None:
    found = added(photos, yolo(tmp_path, {"0": "7 0.5 0.5 0.2 0.4\n0 inf 0.5 0.2 0.4\n1 0.5 0.5 0.2 0.4"}), settings)
    assert len(by_name(found)["0.png"].things or ()) == 1
    assert any("do not list" in note for note in found.notes)
    assert any("no numbers" in note for note in found.notes)


@pytest.mark.parametrize(
    ("text", "names", "label"),
    [
        ("file,class\n0.png,dog\n1.png,cat\n", ("cat", "dog"), 1),
        ("file;class_index;name\n0.png;3;great white\n", ("", "", "", "great white"), 3),
        ("image,label\n0.png,2\n", (), 2),
        ("0.png,dog\n1.png,cat\n", ("cat", "dog"), 1),
        ("\ufefffile,class\r\n0.png,dog\r\n", ("dog",), 0),
    ],
)
def test_tables_of_classes(
    text: str, names: tuple[str, ...], label: int, photos: Path, settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "classes.csv"
    path.write_text(text)
    found = added(photos, path, settings)
    assert (found.kind, found.names, by_name(found)["0.png"].label) == (Kind.CLASSES, names, label)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file,class\n0.png,dog\n0.png,cat\n", "labels '0.png' 2 times"),
        ("file,class_index,name\n0.png,1,a\n1.png,1,b\n", "calls class 1 both 'a' and 'b'"),
        ("file,class\n0.png\n", "1 columns in line 2"),
        ("size,class\n0,dog\n", "no column of files"),
        ("file,size\n0.png,3\n", "no column of classes"),
        ("file,class_index\n0.png,-1\n", "'-1' as the number of a class"),
        ("file,class\n", "lists no file"),
        ("\n", "lists no file"),
    ],
)
def test_tables_that_contradict_themselves(
    text: str, words: str, photos: Path, settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "classes.csv"
    path.write_text(text)
    with pytest.raises(BadLabels, match=words):
        added(photos, path, settings)


def test_folders_are_classes(photos: Path, settings: Settings) -> None:
    for name, number in (("dog", 0), ("cat", 1)):
        (photos / name).mkdir()
        (photos / f"{number}.png").rename(photos / name / f"{number}.png")
    found = added(photos, "folders", settings)
    assert found.names == ("cat", "dog")
    assert by_name(found)["dog/0.png"].label == 1
    assert set(by_name(found)) == {"dog/0.png", "cat/1.png"}


def test_masks_are_kept_with_the_set(photos: Path, settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "truth"
    folder.mkdir()
    Image.fromarray(np.full((20, 40), 3, np.uint8)).save(folder / "0.png")
    (folder / "classes.txt").write_text("road\ncar\n")
    found = added(photos, folder, settings)
    assert (found.kind, found.names) == (Kind.MASKS, ("road", "car"))
    (item,) = found.images.values()
    (folder / "0.png").unlink()
    assert item.mask is not None
    assert Path(item.mask).is_relative_to(settings.datasets)
    assert np.asarray(Image.open(item.mask)).max() == 3


def test_another_mask_is_another_set_of_labels(photos: Path, settings: Settings, tmp_path: Path) -> None:
    """A passport is taken from the cache where nothing changed, and a mask was corrected under the same name."""
    folder = tmp_path / "truth"
    folder.mkdir()
    digests = []
    for value in (1, 2):
        Image.fromarray(np.full((20, 40), value, np.uint8)).save(folder / "0.png")
        digests.append(added(photos, folder, settings).sha256)
    assert digests[0] != digests[1]


def test_what_is_no_mask_is_refused(photos: Path, settings: Settings, tmp_path: Path) -> None:
    for name, content in (("colours", None), ("cut", b"\x89PNG\r\n"), ("empty", b"")):
        folder = tmp_path / name
        folder.mkdir()
        if content is None:
            Image.new("RGB", SIZE).save(folder / "0.png")
        else:
            (folder / "0.png").write_bytes(content)
        with pytest.raises(BadLabels, match=r"0\.png"):
            added(photos, folder, settings)
    (tmp_path / "nothing").mkdir()
    with pytest.raises(BadLabels, match=r"neither \.txt nor \.png"):
        added(photos, tmp_path / "nothing", settings)


def test_tables_of_texts(photos: Path, settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "plates.csv"
    path.write_text("file,text\n0.png,AB 12\n")
    found = added(photos, path, settings)
    assert (found.kind, by_name(found)["0.png"].text) == (Kind.TEXTS, "AB 12")


def test_a_set_without_labels_has_none(photos: Path, settings: Settings) -> None:
    datasets.add("mine", photos, settings)
    assert beside(settings.datasets / "mine" / "files") is None


def test_damaged_labels_are_told(photos: Path, settings: Settings) -> None:
    datasets.add("mine", photos, settings)
    (settings.datasets / "mine" / "labels.json").write_text('{"kind": "boxes"')
    with pytest.raises(BadLabels, match="is damaged"):
        beside(settings.datasets / "mine" / "files")


def test_masks_among_images_are_no_images(photos: Path) -> None:
    """A zip of photos and their masks calibrated on the masks too."""
    (photos / "labels").mkdir()
    for number in range(4):
        Image.fromarray(np.full((20, 40), number, np.uint8)).save(photos / "labels" / f"{number}.png")
    images = find_files(photos)
    assert {path.parent.name for path in images} == {"photos"}
    found = labels_of(photos, images)
    assert found is not None
    assert (found.kind, len(found.images)) == (Kind.MASKS, 4)


def test_boxes_among_images_are_named_by_what_lies_beside(photos: Path) -> None:
    (photos / "labels").mkdir()
    (photos / "labels" / "0.txt").write_text("1 0.5 0.5 0.2 0.2")
    (photos / "classes.txt").write_text("cat\ndog")
    found = labels_of(photos, find_files(photos))
    assert found is not None
    assert (found.names, found.words) == (("cat", "dog"), "1 boxes of 1 classes on 4 images")
    assert labels_of(photos.parent / "none", []) is None
