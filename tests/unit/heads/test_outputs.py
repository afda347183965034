from __future__ import annotations

from typing import Any

import pytest

from oakmill.heads.outputs import named, renamed

KEYS = (
    "yolo_outputs", "mask_outputs", "keypoints_outputs", "angles_outputs", "boxes_outputs", "scores_outputs",
    "protos_outputs", "protos_output",
)  # fmt: skip


@pytest.mark.parametrize("key", KEYS)
def test_every_parsers_own_word_for_an_output_follows(key: str) -> None:
    """FastSAM's parser reads `protos_output`, in the singular: it was looked up under its old name on the camera."""
    for given, wanted in ((["a", "b"], ["x", "b"]), ("a", "x")):
        head: dict[str, Any] = {"parser": "P", "outputs": None, "metadata": {key: given}}
        assert named(head)[0] == "a"
        assert renamed(head, {"a": "x"})["metadata"][key] == wanted


def test_a_class_that_is_called_as_an_output_keeps_its_name() -> None:
    """A class `output` was renamed with the output `output` of a model whose platform has other names."""
    head = {"parser": "P", "outputs": ["output"], "metadata": {"classes": ["output"], "output_is_bgr": True}}
    assert renamed(head, {"output": "new"}) == {**head, "outputs": ["new"]}
    assert named(head) == ("output",)
