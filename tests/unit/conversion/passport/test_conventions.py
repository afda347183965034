"""A blind model is told from one that sees, without labels, and the convention that it was trained in is named.

With the user's own photos, squeezenet with scale 255 too, or ImageNet's mean and scale, had a true top-1 of 0 % and an
ok verdict on every platform: the float model and the converted one agreed, as both were blind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from oakmill.conversion.events import Progress
from oakmill.conversion.images.samples import Images, SampleSet
from oakmill.conversion.passport import HALF, conventions
from oakmill.conversion.passport.confidence import Confidence
from oakmill.conversion.passport.detection import Detector
from oakmill.conversion.passport.measure import Method, Subject, measure, source_model
from oakmill.conversion.passport.mirror import Kept, is_telling, witness
from oakmill.conversion.passport.preprocessing_checks import Certainty
from oakmill.conversion.passport.segmentation import Segmentation
from oakmill.findings import Finding
from oakmill.heads.boxes import Boxes
from oakmill.heads.decoders import Decoder
from oakmill.spec import Encoding, InputSpec
from oakmill.spec.preprocessing_rules import IMAGENET
from tests.unit.conversion.preparing import prepared

CLASSES, SIDE, SHARP = 12, 16, 400


@cache
def palette() -> np.ndarray[Any, Any]:
    """Colours [CLASSES, 3] of 0 to 255, each far from the others, and from all with red and blue exchanged."""
    random, found = np.random.default_rng(0), np.zeros((0, 3))
    while len(found) < CLASSES:
        colour = random.uniform(20, 235, 3)
        others = np.concatenate([found, found[:, ::-1], [colour[::-1]]])
        if np.linalg.norm(others - colour, axis=1).min() > 80:
            found = np.concatenate([found, [colour]])
    return found


def knows_colours(ending: str = "Softmax") -> onnx.ModelProto:
    """Names an image's colour, of pixels of 0 to 1 and red first, by its distance to the palette's; or none of them."""
    wanted = palette() / 255
    constants = {
        "weight": (2 * wanted.T * SHARP).astype("f"),
        "bias": (-(wanted**2).sum(axis=1) * SHARP).astype("f"),
        "far": np.float32(SHARP * 0.02),
        "sharp": np.float32(SHARP),
        "axes": np.array([1]),
    }
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], "mean", axes=[2, 3], keepdims=0),
        helper.make_node("Gemm", ["mean", "weight", "bias"], ["near"], "near"),
        helper.make_node("Mul", ["mean", "mean"], ["squares"], "squares"),
        helper.make_node("ReduceSum", ["squares", "axes"], ["length"], "length"),
        helper.make_node("Mul", ["length", "sharp"], ["scaled"], "scaled"),
        helper.make_node("Sub", ["scaled", "far"], ["none"], "none"),
        helper.make_node("Concat", ["near", "none"], ["logits"], "logits", axis=1),
        helper.make_node(ending, ["logits"], ["scores"], "end"),
    ]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, CLASSES + 1])],
        [numpy_helper.from_array(np.asarray(values), name) for name, values in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def plain_images(folder: Path, count: int = 24, *, copies: bool = False) -> Path:
    """Images of one colour of the palette each, with a texture that tells two of them apart."""
    folder.mkdir()
    for index in range(count):
        place = 0 if copies else index
        texture = np.random.default_rng(place).uniform(-12, 12, (SIDE // 2, SIDE // 2)).repeat(2, 0).repeat(2, 1)
        pixels = palette()[place % CLASSES] + (texture - texture.mean())[..., None]
        Image.fromarray(pixels.round().astype(np.uint8)).save(folder / f"{index:02}.png")
    return folder


def findings(model: onnx.ModelProto, folder: Path, asked: InputSpec) -> dict[str, Finding]:
    made = prepared(model, [asked])
    samples = SampleSet.of_files(made.boundary, folder, 64, 0)
    source = source_model(made)
    method = Method("float", "itself", source, source, HALF)
    passport = measure(Subject("toy", made, Images(samples), source, (method,), ()), Progress())
    return {finding.code: finding for finding in passport.findings}


RIGHT = InputSpec(scale_values=(255.0,), encoding_from=Encoding.RGB)
WRONG = {
    "divided twice": InputSpec(scale_values=(65025.0,), encoding_from=Encoding.RGB),
    "ImageNet's": InputSpec(mean_values=IMAGENET.mean, scale_values=IMAGENET.scale, encoding_from=Encoding.RGB),
    "raw": InputSpec(encoding_from=Encoding.RGB),
}


def test_a_model_that_sees_is_asked_nothing(tmp_path: Path) -> None:
    assert findings(knows_colours(), plain_images(tmp_path / "in"), RIGHT) == {}


@pytest.mark.parametrize("name", WRONG)
def test_the_convention_is_named_as_an_edit(name: str, tmp_path: Path) -> None:
    found = findings(knows_colours(), plain_images(tmp_path / "in"), WRONG[name])
    edit = found["other_convention"]
    assert edit.evidence["corrected"] == {"mean_values": [0.0], "scale_values": [255.0], "encoding_from": "RGB"}
    assert edit.remedy == "convert with --mean-values 0 --scale-values 255 --encoding-from RGB"
    assert findings(knows_colours(), tmp_path / "in", InputSpec.model_validate(edit.evidence["corrected"])) == {}


def test_one_class_of_everything_is_told(tmp_path: Path) -> None:
    found = findings(knows_colours(), plain_images(tmp_path / "in"), WRONG["divided twice"])
    assert found["one_class"].evidence["of_one_class"] == 24


@pytest.mark.parametrize("ending", ["Identity", "Tanh", "Relu"])
def test_numbers_that_may_be_anything_say_nothing(ending: str, tmp_path: Path) -> None:
    """Every embedding, set of landmarks, gaze and regression was said to be sure of nothing."""
    images = plain_images(tmp_path / "in")
    for asked in (RIGHT, *WRONG.values()):
        assert findings(knows_colours(ending), images, asked) == {}


@pytest.mark.parametrize(
    ("mask", "telling"),
    [
        (np.eye(3)[[[0, 1], [2, 2]]].transpose(2, 0, 1)[None], True),  # probabilities of three classes
        (np.array([[[0, 1], [2, 2]]]), False),  # the classes' numbers
        (np.full((1, 3, 2, 2), 7.5), False),  # raw scores
        (np.zeros((1, 1, 2, 2)), False),  # a map of text where there is none
    ],
)
def test_masks_that_do_not_say_how_sure_they_are_are_not_asked(mask: NDArray[Any], telling: bool) -> None:
    """A net that ends in an ArgMax was "sure of nothing" on any images, and no format of RVC4 was good enough."""
    assert is_telling(Segmentation("mask", guessed=False), {"mask": mask}) is telling


@pytest.mark.parametrize("name", ["right", *WRONG])
def test_copies_of_one_image_prove_nothing(name: str, tmp_path: Path) -> None:
    """Of 24 copies of one image red and blue were said to be exchanged: each has the same difference."""
    asked = {"right": RIGHT, **WRONG}[name]
    assert findings(knows_colours(), plain_images(tmp_path / "in", copies=True), asked) == {}


def kept(things: int, share: float, images_with: int, commonest: tuple[int, int] | None = None) -> Kept:
    return Kept((share,) * 24, share, things, images_with, commonest)


@pytest.mark.parametrize(
    ("seen", "classes", "codes"),
    [
        (kept(0, 0.0, 0), None, ["no_boxes"]),
        (kept(40, 0.3, 20), None, ["unsteady_boxes"]),
        (kept(12, 0.3, 9), None, []),
        (kept(40, 0.9, 20), None, []),
        (kept(1, 0.0, 24, (3, 24)), 1000, ["one_class"]),
        (kept(1, 0.0, 24, (1, 24)), 2, []),
        (kept(9, 0.3, 24, (3, 8)), 1000, []),
    ],
)
def test_what_a_blind_model_is(seen: Kept, classes: int | None, codes: Sequence[str]) -> None:
    from oakmill.conversion.passport.detectors import blind

    assert [finding.code for finding in blind(seen, seen, classes)] == codes


@pytest.mark.parametrize(
    ("ours", "theirs", "better"),
    [
        (kept(7, 0.857, 24), kept(11, 0.609, 24), False),
        (kept(7, 0.857, 24), kept(11, 0.9, 24), True),
        (kept(2, 1.0, 24), kept(24, 0.7, 24), True),
        (kept(0, 0.0, 24), kept(9, 0.7, 24), True),
    ],
)
def test_some_more_boxes_of_which_less_stays_are_no_better_convention(ours: Kept, theirs: Kept, better: bool) -> None:
    """Ultraface as it was trained was told to take ImageNet's values, by 11 boxes of which 61 % stay instead of 7 of
    86 %: its pixels were twice too strong."""
    unsure, sure = Confidence((0.23,) * 24), Confidence((0.31,) * 24)
    fewer, more = (replace(item, by_image=(mean,) * 24) for item, mean in ((ours, 0.08), (theirs, 0.13)))
    given, other = conventions.Testimony(unsure, fewer), conventions.Testimony(sure, more)
    assert conventions.is_better(given, other) is better


def test_generated_images_are_not_looked_at() -> None:
    made = prepared(knows_colours(), [RIGHT])
    certainty = Certainty(made, SampleSet.generated(made.boundary, 8, 0))
    for raw in SampleSet.generated(made.boundary, 8, 0):
        certainty.add(raw, {"scores": np.eye(CLASSES + 1, dtype="f")[:1]})
    assert list(certainty.findings(lambda: pytest.fail("it was asked"), Progress())) == []


def test_boxes_that_are_not_there_are_mostly_faint() -> None:
    """UltraFace fed with red and blue exchanged was ok: its head asks for scores of 0.5, and few boxes were left."""
    from oakmill.conversion.passport.detectors import blind

    (finding,) = blind(kept(12, 0.8, 9), kept(60, 0.4, 20), None)
    assert (finding.code, finding.evidence["boxes"]) == ("unsteady_boxes", 60)


def test_faint_boxes_are_counted_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    task = Detector(cast(Decoder, None), confidence=0.5, guessed=False)
    corners = np.array([[0.1, 0.1, 0.3, 0.3], [0.6, 0.6, 0.8, 0.8]])
    there = Boxes(corners, np.array([0.9, 0.3]), np.zeros(2, np.int64))
    mirrored = Boxes(1 - corners[:, [2, 1, 0, 3]] * [1, -1, 1, -1] - [0, 1, 0, 1], there.scores, there.labels)
    monkeypatch.setattr(Detector, "boxes", lambda self, outputs, lowest: outputs["found"])
    seen = witness(task)
    assert seen is not None
    seen.add(cast(Any, {"found": there}), cast(Any, {"found": mirrored[:1]}))
    assert (seen.kept().things, seen.kept().share) == (1, 1.0)
    assert seen.kept(faint=True).things == 1
    assert seen.kept(faint=True).share == pytest.approx(2 / 3)
