"""The Model Optimizer's arguments: what is read, what is passed on, and what could do harm and is refused by name."""

from __future__ import annotations

import shlex

import pytest

from oakmill.errors import ArgumentRefused
from oakmill.toolchains.model_optimizer.options import KNOWN, MoOptions, read


def mo(line: str) -> MoOptions:
    return read(shlex.split(line))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("--extensions /tmp/x", "run code"),  # imported DIR/ops/*.py
        ("--extensions=/tmp/x.so", "run code"),
        ("--ext /tmp/x.so", "'--ext' is not one"),  # argparse takes abbreviations; the library was loaded
        ("--output_d /tmp", "'--output_d' is not one"),
        ("--transformations_config /etc/passwd", "run code"),  # read any file
        ("--use_legacy_frontend", "current folder"),  # imported front/*.py from there
        ("--use_new_frontend", "anyway"),
        ("--freeze_placeholder_with_value x->1", "old reader"),  # falls back to the legacy frontend
        ("--model_name ../../x", "the conversion sets it"),  # wrote outside its folder
        ("-n ../x", "the conversion sets it"),
        ("--output_dir /tmp", "the conversion sets it"),
        ("-o /tmp", "the conversion sets it"),
        ("-o/tmp/x", "'-o/tmp/x' is not one"),  # glued to a short option
        ("-ofoo=bar", "'-ofoo' is not one"),
        ("--input_model /etc/passwd", "the conversion sets it"),
        ("-m /etc/passwd", "the conversion sets it"),
        ("-w /etc/passwd", "the conversion sets it"),
        ("--framework caffe", "the conversion sets it"),
        ("--caffe_parser_path /tmp", "run code"),
        ("-k /tmp/x.xml", "run code"),
        ("--tensorflow_custom_layer_libraries /tmp/x.so", "other formats"),
        ("--tensorflow_custom_operations_config_update /tmp/x", "other formats"),
        ("--mean_file /etc/passwd", "other formats"),
        ("--finegrain_fusing (a+)+b", "regular expression"),
        ("--version", "converts nothing"),
        ("-h", "converts nothing"),
        ("-s 255", "in full: --scale"),
        ("-ms [1]", "in full: --mean_values"),
        ("--batch 4", "--shape"),
        ("--layout nchw", "--layout NAME=NCHW"),
        ("--target_layout nhwc", "-il NHWC"),
        ("--invented 1", "'--invented' is not one"),
        ("/etc/passwd", "does not belong"),
        ("--", "'--' is not one"),
        ("@/etc/passwd", "does not belong"),
    ],
)
def test_an_argument_that_could_do_harm_or_is_not_ours_is_refused_by_name(line: str, why: str) -> None:
    with pytest.raises(ArgumentRefused) as caught:
        mo(line)
    assert why in caught.value.message
    assert shlex.split(line)[0].partition("=")[0] in caught.value.message


@pytest.mark.parametrize(
    "line",
    [
        "--data_type FP8",
        "--data_type",
        "--data_type --silent",
        "--silent=1",
        "--log_level CRITICAL",  # would hide mo's errors
        "--transform LowLatency2",
        "--transform MakeStateful[param_res_names={'a':'b'}]",
        "--mean_values 1,2,3",
        "--mean_values [1,2,x]",
        "--mean_values [1,2,3",
        "--mean_values [1e3]",
        "--mean_values /etc/passwd[1]x",
        "--scale abc",
        "--scale=-",
        "--input image->5",
        "--input image{u8}",
        "--input '-image'",
        "--input_shape [1,3,?,224]",
        "--input_shape [1,3,-1,224]",
        "--input_shape [1..4,3,8,8]",
        "--output a,,b",
        "--output 'a b'",
        "--compress_to_fp16=maybe",
        f"--output {'a' * 3000}",
    ],
)
def test_a_value_of_the_wrong_form_is_refused(line: str) -> None:
    with pytest.raises(ArgumentRefused):
        mo(line)


@pytest.mark.parametrize(
    "line",
    [
        "--data_type FP16 --data_type FP32",
        "--data_type FP16 --data_type=FP16",
        "--data_type FP16 --compress_to_fp16",
        "--scale 2 --scale_values [2]",
        "--mean_values a[1],a[2]",
        "--mean_values [1],[2]",  # mo gives them to the inputs in the order of their first numbers
        "--mean_values a[1],[2]",
        "--input a[1,2],b --input_shape [1,2],[3]",
        "--input a,b --input_shape [1,2]",
        "--input_shape [1,2],[3]",
    ],
)
def test_what_says_two_things_is_refused(line: str) -> None:
    with pytest.raises(ArgumentRefused):
        mo(line)


def test_values_are_read_for_each_input() -> None:
    found = mo("--mean_values 'left[104, 117,123.5],right(1)' --scale_values (58.395,57,56) --reverse_input_channels")
    assert found.means == {"left": (104, 117, 123.5), "right": (1,)}
    assert found.scales == {"": (58.395, 57, 56)}
    assert found.reverse
    assert found.preprocess
    assert not found.others


def test_shapes_are_read_wherever_they_stand() -> None:
    for line in (
        "--input 'left[1 3 8 8]{f32},right' ",
        "--input 'left[1,3,8,8],right'",
    ):
        assert mo(line).shapes == {"left": (1, 3, 8, 8)}
        assert mo(line).inputs == ("left", "right")
    assert mo("--input left,right --input_shape '[1,3,8,8],(2)'").shapes == {"left": (1, 3, 8, 8), "right": (2,)}
    assert mo("--input_shape [1,3,8,8]").shapes == {"": (1, 3, 8, 8)}


def test_harmless_arguments_are_passed_on_as_they_are() -> None:
    found = mo("--data_type=FP16 --silent --transform Pruning --log_level DEBUG")
    assert found.others == (
        ("--data_type", "FP16"),
        ("--silent", None),
        ("--transform", "Pruning"),
        ("--log_level", "DEBUG"),
    )
    assert found.compress
    assert not found.preprocess


@pytest.mark.parametrize(
    ("line", "data_type"),
    [("--compress_to_fp16", "FP16"), ("--compress_to_fp16=True", "FP16"), ("--compress_to_fp16=False", "FP32")],
)
def test_the_later_name_of_an_argument_becomes_the_one_that_this_version_knows(line: str, data_type: str) -> None:
    found = mo(line)
    assert found.others == (("--data_type", data_type),)
    assert found.compress == (data_type == "FP16")


def test_every_option_says_what_it_is_for_or_why_it_is_refused() -> None:
    for name, option in KNOWN.items():
        assert option.help or option.refused, name
