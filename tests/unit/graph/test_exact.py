from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import ModelProto, numpy_helper

from oakmill.graph import equality
from oakmill.graph.exact import write_exactly
from tests.unit.graph.building import feeds, names, ops, parse


def check(source: ModelProto) -> ModelProto:
    """Write it exactly, and prove it."""
    data, before = feeds(source), names(source)
    wanted = equality.run(source, data)
    result = write_exactly(source)
    assert names(result) == before
    onnx.checker.check_model(result, full_check=True)
    equality.require_equal(wanted, equality.run(result, data), equality.Tolerance(snr_db=100))
    return result


POOLS = {
    "more at the end": "pads = [0, 0, 1, 1], strides = [2, 2]",
    "more at the beginning, counted": "pads = [1, 1, 0, 0], count_include_pad = 1",
    "same, upper": 'auto_pad = "SAME_UPPER", strides = [2, 2]',
    "same, lower": 'auto_pad = "SAME_LOWER", strides = [2, 2]',
    "mostly on padding": "pads = [2, 2, 2, 2]",
    "rounded up": "strides = [2, 2], ceil_mode = 1",
    "rounded up, padded": "strides = [2, 2], pads = [1, 1, 1, 1], ceil_mode = 1",
    "rounded up, padding counted": "strides = [2, 2], pads = [1, 1, 1, 1], ceil_mode = 1, count_include_pad = 1",
}


@pytest.mark.parametrize("kind", POOLS)
def test_a_pool_that_is_padded_unevenly_is_a_convolution(kind: str) -> None:
    """Qualcomm's library computes -2 dB of it, or ends in a SIGSEGV."""
    result = check(parse(f"y = AveragePool<kernel_shape = [3, 3], {POOLS[kind]}>(x)", opset=19))
    assert set(ops(result)) <= {"Conv", "Mul"}


@pytest.mark.parametrize("kind", ['auto_pad = "SAME_UPPER"', 'auto_pad = "VALID"', "strides = [1, 1], ceil_mode = 1"])
def test_padding_that_comes_out_even_is_written_so(kind: str) -> None:
    result = check(parse(f"y = AveragePool<kernel_shape = [3, 3], {kind}>(x)", opset=19))
    assert ops(result) == ["AveragePool"]
    assert {item.name for item in result.graph.node[0].attribute} <= {"kernel_shape", "pads", "strides"}


@pytest.mark.parametrize(
    "kind", ["strides = [1, 1]", "pads = [1, 1, 1, 1]", "pads = [1, 0, 1, 0], count_include_pad = 1"]
)
def test_a_pool_that_is_padded_evenly_stays(kind: str) -> None:
    assert ops(check(parse(f"y = AveragePool<kernel_shape = [3, 3], {kind}>(x)"))) == ["AveragePool"]


@pytest.mark.parametrize("size", ["8, 6", "11, 5", "4, 17", "7, 4", "3, 3"])
@pytest.mark.parametrize("change", ["half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners"])
@pytest.mark.parametrize("rounding", ["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"])
def test_the_nearest_values_are_gathered(size: str, change: str, rounding: str) -> None:
    """Qualcomm's library takes other values than the rounding says, but where each is only repeated."""
    body = f'y = Resize<mode = "nearest", coordinate_transformation_mode = "{change}", nearest_mode = "{rounding}">'
    result = check(parse(f'{body}(x, "", "", s)', constants=f"int64[4] s = {{2, 8, {size}}}"))
    if size != "3, 3":  # every second row and column is kept
        assert set(ops(result)) == {"Gather", "Transpose"}


@pytest.mark.parametrize("change", ["half_pixel", "pytorch_half_pixel", "asymmetric"])
@pytest.mark.parametrize("rounding", ["floor", "round_prefer_floor"])
def test_values_that_are_only_repeated_stay_a_resize(change: str, rounding: str) -> None:
    """As every network with a neck has them: a Gather would cost more."""
    body = f'y = Resize<mode = "nearest", coordinate_transformation_mode = "{change}", nearest_mode = "{rounding}">'
    result = check(parse(f'{body}(x, "", s)', constants="float[4] s = {1, 1, 3, 3}"))
    if (change == "asymmetric") is (rounding == "floor"):
        assert ops(result) == ["Resize"]
        given = {item.name: item.s.decode() for item in result.graph.node[0].attribute if item.s}
        assert (given["coordinate_transformation_mode"], given["nearest_mode"]) == ("asymmetric", "floor")


@pytest.mark.parametrize(
    ("sizes", "form"),
    [
        ("float[4] s = {1, 1, 1.3, 1.3}", ["MatMul"]),
        ("float[4] s = {1, 1, 0.6, 1}", ["MatMul"]),
        ("float[4] s = {1, 2, 1, 1}", ["MatMul"]),
        ("float[4] s = {1, 1, 1.5, 2}", ["Resize"]),
        ("int64[4] s = {2, 8, 11, 3}", ["Resize"]),
    ],
)
def test_linear_interpolation_by_other_scales_than_the_sizes_is_a_product(sizes: str, form: list[str]) -> None:
    """Of 1.3 times 16 rows, 20 are left; Qualcomm's library then takes 20 / 16 for the scale: 3 dB."""
    operands = 'x, "", s' if "float" in sizes else 'x, "", "", s'
    result = check(parse(f'y = Resize<mode = "linear">({operands})', constants=sizes))
    assert sorted(set(ops(result)) - {"Transpose"}) == form


def test_rows_that_are_dropped_by_another_scale_than_the_sizes_are_the_same() -> None:
    """0.6 makes 3 of 6 and 4 of 8: written with places rounded down, it took every first and third of four."""
    check(parse('y = Resize<mode = "nearest">(x, "", s)', constants="float[4] s = {1, 1, 0.6, 0.6}"))
    check(parse('y = Resize(x, "", s)', inputs="float[1,1,2,4] x", constants="float[4] s = {1, 1, 0.6, 0.6}"))


@pytest.mark.parametrize("kind", ["computed", "constant"])
def test_floats_to_the_power_of_whole_numbers(kind: str) -> None:
    """Qualcomm's compiler takes both in one type only, and refused what TensorFlow writes."""
    if kind == "computed":
        result = check(parse("n = Cast<to = 7>(x) y = Pow(x, n)", inputs="float[2,3] x"))
        assert ops(result) == ["Cast", "Cast", "Pow"]
    else:
        result = check(parse("y = Pow(x, n)", inputs="float[2,3] x", constants="int32[3] n = {2, 3, 0}"))
        assert ops(result) == ["Pow"]
    assert ops(check(parse("y = Pow(x, n)", constants="float n = {2}"))) == ["Pow"]


def test_the_nearest_by_a_constant_grid_are_gathered() -> None:
    """Qualcomm's library takes the right one of two neighbours that are as near, ONNX the even: 10 dB, or green."""
    grid = "float[1,2,3,2] g = {0, 0.4, -1, -0.8, 0.2, -0.2, 1.5, 0, -0.3, 0.5, -1, 1}"
    model = parse(
        'y = GridSample<mode = "nearest">(x, g)', inputs="float[1,2,3,2] x", outputs="float[1,2,2,3] y", constants=grid,
        opset=20,
    )  # fmt: skip
    assert ops(check(model)) == ["Reshape", "Gather", "Mul", "Reshape"]
    linear = parse(
        "y = GridSample(x, g)", inputs="float[1,2,3,2] x", outputs="float[1,2,2,3] y", constants=grid, opset=20
    )
    assert ops(check(linear)) == ["GridSample"]


def test_linear_interpolation_of_volumes_is_a_product() -> None:
    constants = "float[5] s = {1, 1, 2, 2, 2}"
    model = parse('y = Resize<mode = "linear">(x, "", s)', inputs="float[1,2,3,4,5] x",
                  outputs="float[1,2,6,8,10] y", constants=constants)  # fmt: skip
    assert "Resize" not in ops(check(model))


GEMMS = {
    "alpha and beta": "alpha = 0.5, beta = 2.0",
    "alpha, turned": "alpha = 0.25, transB = 1",
    "beta": "beta = 3.0",
}


@pytest.mark.parametrize("kind", GEMMS)
def test_the_factors_of_a_product_go_into_its_constants(kind: str) -> None:
    shape = [4, 6] if "transB" in GEMMS[kind] else [6, 4]
    model = parse(
        f"y = Gemm<{GEMMS[kind]}>(x, w, b)  z = Add(y, b)", inputs="float[1,6] x", outputs="float[1,4] y, float[1,4] z"
    )
    random = np.random.default_rng(1)
    for name, size in (("w", shape), ("b", [4])):
        model.graph.initializer.append(numpy_helper.from_array(random.normal(size=size).astype("f"), name))
    result = check(model)
    assert ops(result) == ["Gemm", "Add"]
    assert {item.name for item in result.graph.node[0].attribute} <= {"transA", "transB"}


def test_factors_of_what_is_computed_are_products() -> None:
    model = parse(
        "w = Relu(x)  y = Gemm<alpha = 0.5, beta = 2.0, transB = 1>(x, w, x)",
        inputs="float[6,6] x",
        outputs="float[6,6] y",
    )
    assert ops(check(model)) == ["Relu", "Mul", "Mul", "Gemm", "Add"]


BIASES = {
    "one number": ([], ["Gemm"]),
    "one in a list": ([1], ["Gemm"]),
    "a row": ([1, 4], ["Gemm"]),
    "one for each row": ([6, 1], ["Gemm", "Add"]),
    "one for each of as many rows as columns": ([4, 1], ["Gemm", "Add"]),
    "all": ([6, 4], ["Gemm", "Add"]),
}


@pytest.mark.parametrize("kind", BIASES)
def test_a_bias_of_a_product_is_one_number_for_each_column(kind: str) -> None:
    """onnxslim joins a product and the small number added to it: "too many indices for array", and no INT8."""
    shape, wanted = BIASES[kind]
    rows = 4 if "as many" in kind else 6
    model = parse("y = Gemm(x, w, b)", inputs=f"float[{rows},5] x", outputs=f"float[{rows},4] y")
    random = np.random.default_rng(1)
    for name, size in (("w", [5, 4]), ("b", shape)):
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(random.normal(size=size), "f"), name))
    result = check(model)
    assert ops(result) == wanted
    if wanted == ["Gemm"]:
        (bias,) = (item for item in result.graph.initializer if item.name == result.graph.node[0].input[2])
        assert list(bias.dims) == [4]


def test_a_norm_with_its_mean_as_an_output_is_elementary() -> None:
    """In FP16, Qualcomm's library gives nothing there."""
    result = check(
        parse(
            "y, m, d = LayerNormalization(x, s, s)",
            outputs="float[?,?,?,?] y, float[?,?,?,?] m, float[?,?,?,?] d",
            constants="float[5] s = {1, 2, 3, 4, 5}",
            opset=17,
        )
    )
    assert "LayerNormalization" not in ops(result)


def test_a_norm_whose_mean_nothing_reads_stays() -> None:
    model = parse("y, m = LayerNormalization(x, s, s)", constants="float[5] s = {1, 2, 3, 4, 5}", opset=17)
    result = check(model)
    assert [list(node.output) for node in result.graph.node] == [["y"]]


def test_a_norm_over_several_axes_is_elementary() -> None:
    model = parse("y = LayerNormalization<axis = 2>(x, s)", opset=17)
    scale = np.random.default_rng(1).normal(size=[6, 5]).astype("f")
    model.graph.initializer.append(numpy_helper.from_array(scale, "s"))
    assert "LayerNormalization" not in ops(check(model))


def test_edges_are_repeated_by_a_gather() -> None:
    result = check(parse('y = Pad<mode = "edge">(x, p)', constants="int64[8] p = {0, 0, 1, 2, 0, 0, 0, 3}"))
    assert set(ops(result)) == {"Gather", "Transpose"}


@pytest.mark.parametrize(("rows", "turned"), [(31, False), (32, True)])
def test_a_choice_of_many_rows_is_one_of_columns(rows: int, turned: bool) -> None:
    """In 8 bits, Qualcomm's library gives other rows from 512 elements on: -2 dB."""
    model = parse("y = Gather<axis = 2>(x, i)", inputs="float[1,8,16,16] x")
    places = np.random.default_rng(1).integers(-16, 16, rows)
    model.graph.initializer.append(numpy_helper.from_array(places, "i"))
    assert ("Transpose" in ops(check(model))) is turned


@pytest.mark.parametrize("shape", ["2,3", "1,3,2,4,5"])
def test_a_norm_of_features_or_volumes_is_a_product_and_a_sum(shape: str) -> None:
    model = parse(
        "y = BatchNormalization(x, s, b, m, s)",
        inputs=f"float[{shape}] x",
        outputs=f"float[{shape}] y",
        constants="float[3] s = {1, 2, 0.25}, float[3] b = {0, 1, -1}, float[3] m = {0.1, 0.2, 0.3}",
    )
    assert ops(check(model)) == ["Mul", "Add"]


EINSUMS = {
    "attention": ("bqhd,bkhd->bhqk", "2,5,3,4", "2,6,3,4"),
    "and back": ("bhqk,bkhd->bqhd", "2,3,5,6", "2,6,3,4"),
    "a product": ("bij,bjk->bik", "2,3,4", "2,4,5"),
    "without a result": ("ij,jk", "3,4", "4,5"),
    "outer": ("bi,bj->bij", "2,3", "2,4"),
    "value by value": ("bi,bi->bi", "2,3", "2,3"),
    "a sum over all": ("bij,bij->b", "2,3,4", "2,3,4"),
    "letters of one operand only": ("bijx,bjk->bik", "2,3,4,2", "2,4,5"),
    "several rows and columns": ("abcd,cdef->abef", "2,3,4,2", "4,2,3,2"),
    "a dense layer of channels": ("bchw,cd->bdhw", "2,4,3,5", "4,6"),
    "three batches": ("abcij,abcjk->abcik", "2,1,3,2,4", "2,1,3,4,2"),
    "a scalar": ("i,i->", "4", "4"),
}


@pytest.mark.parametrize("kind", EINSUMS)
@pytest.mark.parametrize("constant", [False, True])
def test_einsum_is_a_product_of_matrices(kind: str, constant: bool) -> None:
    """ "Einsum unsupported equation": attention, as JAX and some of PyTorch's export it, could not go at all."""
    equation, left, right = EINSUMS[kind]
    rank = len(equation.partition("->")[2]) if "->" in equation else 2
    inputs = f"float[{left}] a" if constant else f"float[{left}] a, float[{right}] b"
    model = parse(
        f'y = Einsum<equation = "{equation}">(a, b)', inputs=inputs, outputs=f"float[{','.join('?' * rank)}] y"
    )
    if constant:
        values = np.random.default_rng(2).normal(size=[int(size) for size in right.split(",")])
        model.graph.initializer.append(numpy_helper.from_array(values.astype("f"), "b"))
    result = check(model)
    assert "Einsum" not in ops(result)


def test_einsum_of_one_operand() -> None:
    result = check(parse('y = Einsum<equation = "abcd->dba">(x)', outputs="float[?,?,?] y"))
    assert ops(result) == ["ReduceSum", "Transpose"]


@pytest.mark.parametrize("equation", ["...ij->...ji", "iijk->ijk"])
def test_an_einsum_of_another_kind_stays(equation: str) -> None:
    outputs = "float[?,?,?,?] y" if "." in equation else "float[?,?,?] y"
    model = parse(f'y = Einsum<equation = "{equation}">(x)', inputs="float[3,3,4,5] x", outputs=outputs)
    assert ops(check(model)) == ["Einsum"]


def test_an_einsum_that_broadcasts_a_letter_stays() -> None:
    """One operand's batch of 1 won over the other's 4, and the model was refused for a Reshape of ours."""
    model = parse(
        'y = Einsum<equation = "bhij,bjk->bhik">(a, b)', inputs="float[4,2,3,5] a, float[1,5,6] b",
        outputs="float[?,?,?,?] y",
    )  # fmt: skip
    assert ops(check(model)) == ["Einsum"]


def test_whole_numbers_are_not_added_up_by_a_matrix() -> None:
    """Position ids of RoBERTa are a CumSum of the mask; the product of int64 and float32 could not be run."""
    model = parse(
        "axis = Constant<value = int64 {1}>() y = CumSum(x, axis)", inputs="int64[1,8] x", outputs="int64[?,?] y"
    )
    assert "CumSum" in ops(write_exactly(model))
