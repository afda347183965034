"""PicoDet's exports, with and without what PaddleDetection does after the network, get a head that DepthAI reads."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from luxonis_ml.nn_archive.config_building_blocks.base_models.head_metadata import HeadYOLOMetadata
from onnx import ModelProto

from oakmill.graph import equality
from oakmill.heads import families
from oakmill.heads.families import picodet
from oakmill.heads.families.base import NOTHING, Evidence, Sure
from tests.unit.heads.families.graphs import SIDE, Builder, cells

CLASSES, BINS = 3, 8
CLOSE = 1e-5
EVIDENCE = Evidence({}, (SIDE, SIDE))


def scores(made: Builder, place: int, *, aligned: bool) -> str:
    """A grid's scores [1, K, H, W]: of the second version the root of two Sigmoids' product."""
    first = made.add("Sigmoid", [made.convolution(place, f"logits{place}", CLASSES)], f"first{place}")
    if not aligned:
        return first
    second = made.add("Sigmoid", [made.convolution(place, f"align{place}", 1)], f"second{place}")
    product = made.add("Mul", [first, second], f"product{place}")
    return made.add("Sqrt", [made.add("Add", [product, made.constant("eps", 1e-9)], f"more{place}")], f"root{place}")


def separate(*, aligned: bool = True, grids: int = 4, producer: str = "PaddlePaddle") -> ModelProto:
    """Scores and bins of each grid, in rows."""
    made, shapes = Builder(), {}
    for place in range(grids):
        count = (SIDE >> (3 + place)) ** 2
        bins = made.convolution(place, f"bins{place}", 4 * BINS)
        for word, source, width in (("score", scores(made, place, aligned=aligned), CLASSES), ("box", bins, 4 * BINS)):
            shape = made.constant(f"{word}{place}/shape", [1, width, -1], "int64")
            flat = made.add("Reshape", [source, shape], f"{word}{place}/flat")
            made.add("Transpose", [flat], f"{word}{place}", perm=[0, 2, 1])
            shapes[f"{word}{place}"] = [1, count, width]
    model = made.model(None, dict(sorted(shapes.items(), reverse=True)))
    model.producer_name = producer
    return model


def joined(*, offset: float = 0.5, grids: int = 4) -> ModelProto:
    """All boxes decoded, in pixels, and all scores, whose Sigmoid is of what is shaped already."""
    made, parts, flats, strides = Builder(), [], [], [8 << place for place in range(grids)]
    for place in range(grids):
        bins = made.convolution(place, f"bins{place}", 4 * BINS)
        turned = made.add("Transpose", [bins], f"turned{place}", perm=[0, 2, 3, 1])
        table = made.add("Reshape", [turned, made.constant("of bins", [-1, BINS], "int64")], f"table{place}")
        likely = made.add("Softmax", [table], f"likely{place}", axis=1)
        weighed = made.add("MatMul", [likely, made.constant("ramp", np.arange(BINS))], f"weighed{place}")
        boxes = made.constant("of boxes", [1, -1, 4], "int64")
        parts.append(made.add("Reshape", [weighed, boxes], f"distances{place}"))
        logits = made.convolution(place, f"logits{place}", CLASSES)
        flat = made.add("Reshape", [logits, made.constant("of scores", [1, CLASSES, -1], "int64")], f"flat{place}")
        flats.append(made.add("Sigmoid", [flat], f"scores{place}"))
    made.add("Concat", parts, "distances", axis=1)
    centres = np.concatenate([cells(stride).reshape(-1, 2) + offset for stride in strides])[None]
    steps = np.concatenate([np.full((SIDE // stride) ** 2, stride) for stride in strides])[None, :, None]
    made.split("distances", [2, 2], ["low", "high"], 2)
    made.add("Sub", [made.constant("centres", centres), "low"], "first")
    made.add("Add", ["centres", "high"], "second")
    made.add("Concat", ["first", "second"], "corners", axis=2)
    made.add("Mul", ["corners", made.constant("steps", steps)], "output")
    made.add("Concat", flats, "scores", axis=2)
    return made.model([1, steps.size, 4], {"scores": [1, CLASSES, steps.size]})


@pytest.mark.parametrize("grids", [3, 4])
@pytest.mark.parametrize("form", ["first", "second", "decoded"])
def test_a_detector_of_paddle_gets_a_head(form: str, grids: int) -> None:
    """PicoDet kept its eight outputs, which no parser reads."""
    model = joined(grids=grids) if form == "decoded" else separate(aligned=form == "second", grids=grids)
    found = families.recognise(model, EVIDENCE)
    assert found is not None
    assert (found.family, found.sure, found.classes) == ("picodet", Sure.CERTAIN, CLASSES)
    ended = found.cut(model, "rvc2")
    onnx.checker.check_model(ended)
    image = {"images": np.random.default_rng(1).random([1, 3, SIDE, SIDE], dtype=np.float32)}
    assert found.apart(equality.run(model, image), equality.run(ended, image)) < CLOSE
    (head,) = found.heads(("a", "b", "c"))
    assert head["metadata"].get("strides") == ([8, 16, 32, 64] if grids == 4 else None)
    HeadYOLOMetadata.model_validate(head["metadata"])
    known = families.preprocessing(found, EVIDENCE)
    assert known["mean_values"] == (123.675, 116.28, 103.53)


def test_what_paddle_did_not_write_is_only_likely() -> None:
    """Nothing in such a graph shows from where in a cell its distances count."""
    found = families.recognise(separate(producer="pytorch"), EVIDENCE)
    assert found is not None
    assert (found.family, found.sure) == ("picodet", Sure.LIKELY)
    wanted = families.recognise(separate(producer="pytorch"), Evidence({}, (SIDE, SIDE), "picodet"))
    assert wanted is not None
    assert wanted.sure is Sure.CERTAIN


def test_boxes_that_count_from_a_cells_corner_are_told_apart() -> None:
    """The proof: its boxes lie half a cell beside those that the parser reads."""
    model = joined(offset=0.0)
    found = picodet.find(model, EVIDENCE)
    assert found is not None
    image = {"images": np.zeros([1, 3, SIDE, SIDE], np.float32)}
    assert found.apart(equality.run(model, image), equality.run(found.cut(model, "rvc4"), image)) > 0.05


@pytest.mark.parametrize("size", [(64, 32), (128, 128)])
def test_rows_that_are_not_the_grids_of_the_image_are_none(size: tuple[int, int]) -> None:
    assert picodet.find(separate(), Evidence({}, size)) is None
    assert picodet.find(joined(), Evidence({}, size)) is None
    assert picodet.find(separate(), NOTHING) is None


@pytest.mark.parametrize(("text", "names"), [("a\nb\nc d", ("a", "b", "c d")), ("a\nb", ()), ("a\n\nc", ())])
def test_names_that_stand_a_line_each_in_the_file_are_read(text: str, names: tuple[str, ...]) -> None:
    """The layout models of RapidAI note them under `character`, and their classes were numbered."""
    found = picodet.find(separate(), Evidence({"character": text}, (SIDE, SIDE)))
    assert found is not None
    assert found.names == names
