"""What fails without a word is found on every platform alike, on a real model and real photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.conversion.conftest import Answer, Convert

PLATFORMS = {
    "rvc2": ["--blob"],
    "rvc3": ["--target-precision", "FP16"],
    "rvc4": ["--target-precision", "FP16_STANDARD"],
}
MISTAKES = {
    "swapped_mean_scale": ["--mean-values", "57.375,57.12,58.395", "--scale-values", "103.53,116.28,123.675"],
    "scale_255_missing": ["--mean-values", "0.485,0.456,0.406", "--scale-values", "0.229,0.224,0.225"],
    # The model was trained on Caffe's pixels, which are BGR.
    "colour_order": ["--mean-values", "123,117,104", "--encoding-from", "RGB", "--max-images", "64"],
}
FOUND = [*(("rvc2", code) for code in MISTAKES), ("rvc3", "swapped_mean_scale"), ("rvc4", "scale_255_missing")]
"""All of them on one platform, one on each other: what finds them knows no platform, and each has to ask it."""
FITTING = ["--mean-values", "104,117,123", "--encoding-from", "BGR", "--max-images", "24"]


@pytest.fixture(params=PLATFORMS)
def to_platform(request: pytest.FixtureRequest) -> tuple[Convert, list[str]]:
    """What converts to a platform, and how nothing is quantized there."""
    fixture = {"rvc2": "convert", "rvc3": "convert3", "rvc4": "convert4"}[request.param]
    return request.getfixturevalue(fixture), PLATFORMS[request.param]


def converted(to_platform: tuple[Convert, list[str]], data: Path, out: Path, *words: str) -> Answer:
    convert, plain = to_platform
    model, photos = data / "models" / "squeezenet1.1_fp32.onnx", data / "images" / "imagenet"
    answer = convert(model, *plain, "--images", photos, *words, "-o", out)
    assert answer.exit_code == 0, answer.error
    return answer


def codes(answer: Answer) -> set[str]:
    return {finding["code"] for finding in answer.result["passport"]["findings"]} - {
        "not_compiled",
        "head_recognised",
        "class_names_missing",
    }


@pytest.mark.parametrize(("to_platform", "code"), FOUND, indirect=["to_platform"])
def test_a_well_known_mistake_is_found(
    code: str, to_platform: tuple[Convert, list[str]], shared_data: Path, tmp_path: Path
) -> None:
    """RVC2's passport was fit to use without a word, whatever mean, scale and colours were given."""
    answer = converted(to_platform, shared_data, tmp_path / "out", *MISTAKES[code])
    assert code in codes(answer)
    assert answer.result["verdict"] in ("warning", "error")


def test_what_is_right_is_found_right_and_its_classes_are_compared(
    to_platform: tuple[Convert, list[str]], shared_data: Path, tmp_path: Path
) -> None:
    answer = converted(to_platform, shared_data, tmp_path / "out", *FITTING)
    assert codes(answer) == set()
    tasks = [task for check in answer.result["passport"]["checks"] for task in check["tasks"] if task["decides"]]
    assert {task["kind"] for task in tasks} == {"classification"}
    assert all(task["metrics"]["top1"]["value"] > 0.9 for task in tasks)


@pytest.mark.slow
def test_boxes_are_compared_on_rvc2(shared_data: Path, tmp_path: Path, convert: Convert) -> None:
    answer = convert(
        shared_data / "models" / "person_detector_yolox_192.onnx", "--encoding-from", "BGR", "--blob",
        "--images", shared_data / "images" / "coco" / "train2017", "--max-images", "24", "-o", tmp_path / "out",
    )  # fmt: skip
    assert answer.exit_code == 0, answer.error
    _, stored = answer.result["passport"]["checks"]
    (task,) = stored["tasks"]
    assert (task["kind"], task["decides"], task["metrics"]["boxes"]["value"] > 0) == ("detection", True, True)
    assert task["metrics"]["f1"]["value"] > 0.9


def a_row(path: Path) -> Path:
    weight = numpy_helper.from_array(np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["row", "w"], ["out"], "dense")],
        "row",
        [helper.make_tensor_value_info("row", TensorProto.FLOAT, [1, 16])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 4])],
        [weight],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def test_gray_values_in_a_row_are_measured_on_rvc4(tmp_path: Path, convert4: Convert) -> None:
    """An input without height and width was taken for an image of them, and the passport ended in a ValueError.

    Now it is measured, and what that finds is said: the emulated processor makes nothing of such pixels.
    """
    answer = convert4(
        a_row(tmp_path / "row.onnx"), "--encoding-from", "GRAY", "--target-precision", "FP16_STANDARD",
        "-o", tmp_path / "out",
    )  # fmt: skip
    assert (answer.exit_code, answer.error["code"]) == (8, "VerificationFailed")
    assert "'out' of the finished file has an SNR of" in answer.error["message"]
