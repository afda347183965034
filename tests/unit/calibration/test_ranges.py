from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from oakmill.calibration import checkpoint as checkpoint_module
from oakmill.calibration.derivation import origins
from oakmill.calibration.probes import _CARRYING, Network, exposed, probed
from oakmill.calibration.ranges import Range, collect
from oakmill.errors import OutputError, PreparationFailed, SourceError
from oakmill.spec import RangeMethod

MINMAX, PERCENTILE, MSE = RangeMethod.MINMAX, RangeMethod.PERCENTILE, RangeMethod.MSE
SHAPE = (1, 3, 48, 48)
Array = NDArray[Any]
Feeds = dict[str, Array]


def model_of(
    nodes: Sequence[NodeProto], output: str, weights: dict[str, Array] | None = None, shape: Sequence[int] = SHAPE
) -> ModelProto:
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in (weights or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def network() -> ModelProto:
    """Two branches of SiLU and ReLU, pooled, joined, reshaped."""
    random = np.random.default_rng(0)
    weights: dict[str, Array] = {
        "w1": random.standard_normal((16, 3, 3, 3)).astype(np.float32),
        "w2": random.standard_normal((16, 16, 3, 3)).astype(np.float32) * 0.1,
        "w3": random.standard_normal((16, 16, 1, 1)).astype(np.float32),
        "flat": np.array([1, -1]),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["c1"], pads=[1] * 4),
        helper.make_node("Sigmoid", ["c1"], ["s1"]),
        helper.make_node("Mul", ["c1", "s1"], ["silu"]),
        helper.make_node("Conv", ["silu", "w2"], ["c2"], pads=[1] * 4, strides=[2, 2]),
        helper.make_node("Relu", ["c2"], ["r2"]),
        helper.make_node("Conv", ["silu", "w3"], ["c3"], strides=[2, 2]),
        helper.make_node("Tanh", ["c3"], ["t3"]),
        helper.make_node("Concat", ["r2", "t3"], ["joined"], axis=1),
        helper.make_node("MaxPool", ["joined"], ["pooled"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Reshape", ["pooled", "flat"], ["y"]),
    ]
    return model_of(nodes, "y", weights)


TENSORS = ["x", "c1", "s1", "silu", "r2", "c3", "t3", "joined", "pooled", "y"]


def samples(count: int, scale: float = 1.0) -> list[Feeds]:
    random = np.random.default_rng(1)
    return [{"x": (random.standard_normal(SHAPE) * scale * (1 + i % 3)).astype(np.float32)} for i in range(count)]


def truth(model: ModelProto, tensors: Sequence[str], feeds: Sequence[Feeds]) -> dict[str, Array]:
    """All values of the tensors on all samples."""
    graph, names = exposed(model, tensors)
    session = Network(graph, threads=1)
    runs = [session.run(names, item) for item in feeds]
    return {name: np.concatenate([run[i].ravel() for run in runs]) for i, name in enumerate(tensors)}


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_minmax_is_the_smallest_and_the_largest_value(threads: int) -> None:
    feeds = samples(9)
    wanted = truth(network(), TENSORS, feeds)
    found = collect(network(), TENSORS, feeds, method=MINMAX, threads=threads)
    assert list(found) == TENSORS
    for name, values in wanted.items():
        span = values.max() - values.min()
        np.testing.assert_allclose([found[name].low, found[name].high], [values.min(), values.max()], atol=1e-6 * span)


def test_percentile_leaves_out_the_same_values_as_all_of_them_together_would() -> None:
    feeds = samples(30)
    wanted = truth(network(), TENSORS, feeds)
    found = collect(network(), TENSORS, feeds, method=PERCENTILE)
    for name, values in wanted.items():
        if values.size > 400_000:  # of fewer, less than two on either side
            low, high = np.quantile(values, [5e-6, 1 - 5e-6])
            span = values.max() - values.min()
            np.testing.assert_allclose([found[name].low, found[name].high], [low, high], atol=0.01 * span)
        assert values.min() - 1e-6 <= found[name].low <= found[name].high <= values.max() + 1e-6


def test_mse_loses_less_than_minmax_with_few_bits_and_follows_the_bits_of_each_tensor() -> None:
    feeds = samples(6)
    wide = collect(network(), TENSORS, feeds, method=MINMAX)
    few = collect(network(), TENSORS, feeds, method=MSE, bits=4)
    mixed = collect(network(), TENSORS, feeds, method=MSE, bits={"c1": 4, "silu": 16})
    many = collect(network(), TENSORS, feeds, method=MSE, bits=16)
    assert few["c1"].high < 0.9 * wide["c1"].high
    assert mixed["c1"] == few["c1"]
    assert mixed["silu"] == many["silu"]
    assert many["silu"].high > 0.98 * wide["silu"].high
    assert all(item.low <= 0 <= item.high for item in many.values())


@pytest.mark.parametrize("method", RangeMethod)
def test_ranges_depend_neither_on_threads_nor_on_how_the_samples_are_given(method: RangeMethod) -> None:
    feeds = samples(11)
    alone = collect(network(), TENSORS, feeds, method=method, threads=1)
    assert collect(network(), TENSORS, feeds, method=method, threads=4) == alone
    assert collect(network(), TENSORS, iter(feeds), method=method, threads=3) == alone


@pytest.mark.parametrize("method", RangeMethod)
def test_zeros_constants_and_a_single_image(method: RangeMethod) -> None:
    weights = {"zero": np.zeros((4, 3, 1, 1), np.float32), "bias": np.full(4, 2.5, np.float32)}
    nodes = [
        helper.make_node("Conv", ["x", "zero"], ["zeros"]),
        helper.make_node("Conv", ["x", "zero", "bias"], ["constant"]),
        helper.make_node("Add", ["zeros", "constant"], ["y"]),
    ]
    found = collect(model_of(nodes, "y", weights), ["zeros", "constant", "x"], samples(1), method=method)
    assert found["zeros"] == Range(0, 0)
    assert found["constant"] == Range(0.0 if method is MSE else 2.5, 2.5)
    assert found["x"].low < 0 < found["x"].high


def test_no_tensors_and_a_tensor_named_twice() -> None:
    assert collect(network(), [], samples(1), method=MSE) == {}
    assert list(collect(network(), ["x", "x"], samples(1), method=MSE)) == ["x"]


def test_no_image_is_an_error() -> None:
    nothing: list[Feeds] = []
    for none in (nothing, iter(nothing)):
        with pytest.raises(SourceError, match="no image to calibrate on"):
            collect(network(), TENSORS, none, method=MINMAX)


def test_tensors_and_samples_that_do_not_fit_the_model_are_errors() -> None:
    with pytest.raises(PreparationFailed, match="no tensor 'nowhere'"):
        collect(network(), ["nowhere"], samples(1), method=MINMAX)
    for wrong in (
        {"y": np.zeros(SHAPE, np.float32)},
        {"x": np.zeros((1, 3, 7, 7), np.float32)},
        {"x": np.zeros(SHAPE)},
    ):
        with pytest.raises(PreparationFailed, match="cannot be run on a calibration sample"):
            collect(network(), TENSORS, [wrong], method=MSE)


@pytest.mark.parametrize("method", RangeMethod)
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_named_with_its_tensor_and_image(method: RangeMethod, wrong: float) -> None:
    feeds = samples(7)
    feeds[5]["x"][0, 1, 47, 47] = wrong
    with pytest.raises(PreparationFailed, match=r"1 of 6912 values of the tensor 'x' are NaN or infinite on image 5"):
        collect(network(), TENSORS, feeds, method=method)


@pytest.mark.parametrize("method", RangeMethod)
def test_a_nan_that_a_later_operator_swallows_is_found(method: RangeMethod) -> None:
    """onnxruntime's reductions and poolings pass over a NaN: the largest of 1 and NaN is 1."""
    nodes = [
        helper.make_node("Sqrt", ["x"], ["root"]),
        helper.make_node("MaxPool", ["root"], ["pooled"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("GlobalMaxPool", ["pooled"], ["y"]),
    ]
    feeds = [{"x": np.ones(SHAPE, np.float32)} for _ in range(6)]
    feeds[4]["x"][0, 0, 10, 10] = -1
    with pytest.raises(PreparationFailed, match="'root' are NaN or infinite on image 4"):
        collect(model_of(nodes, "y"), ["root", "pooled", "y"], feeds, method=method)


def test_large_finite_values_whose_sum_overflows_are_no_fault() -> None:
    nodes = [helper.make_node("Abs", ["x"], ["y"])]
    feeds = [{"x": np.full(SHAPE, 3e38, np.float32)}]
    assert collect(model_of(nodes, "y"), ["y"], feeds, method=MINMAX)["y"].high == np.float32(3e38)


UNARY = sorted(_CARRYING - {"Add", "Sub", "Mul", "Div", "Sum", "Gemm", "MatMul", "Concat", "Split"})


def carrying(operator: str) -> ModelProto:
    extra: dict[str, list[str]] = {
        "BatchNormalization": ["one"] * 4, "LayerNormalization": ["wide"], "Reshape": ["same"], "Unsqueeze": ["axis"],
        "Squeeze": ["axis"],
    }  # fmt: skip
    attributes = {"blocksize": 2} if "Space" in operator else {}
    weights: dict[str, Array] = {
        "one": np.ones(8, np.float32),
        "wide": np.ones(16, np.float32),
        "same": np.array([0, 0, -1]),
        "axis": np.array([0]),
        "w": np.random.default_rng(0).standard_normal((8, 8, 3, 3)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1] * 4),
        helper.make_node(operator, ["c", *extra.get(operator, [])], ["y"], **attributes),  # type: ignore[arg-type]
    ]
    return model_of(nodes, "y", weights, (1, 8, 16, 16))


@pytest.mark.parametrize("operator", UNARY)
def test_operators_that_are_trusted_to_carry_a_nan_do_carry_it(operator: str) -> None:
    model = carrying(operator)
    probes = probed(model, [], ["x", "c"])
    assert len(probes.guards) == 1  # nothing guards x and c but the sum of y
    session = Network(probes.model, threads=1)
    for place in range(20):
        feed = np.random.default_rng(place).standard_normal((1, 8, 16, 16)).astype(np.float32)
        feed.flat[place * 101] = np.nan
        (total,) = session.run(probes.guards, {"x": feed})
        assert not np.isfinite(total).all()


@pytest.mark.parametrize("channels", [5, 16])
def test_what_a_relu_makes_is_guarded_in_blocks_of_channels_too(channels: int) -> None:
    random = np.random.default_rng(0)
    weights: dict[str, Array] = {"w": random.standard_normal((channels, 3, 3, 3)).astype(np.float32)}
    nodes = [
        helper.make_node("Log", ["x"], ["l"]),
        helper.make_node("Conv", ["l", "w"], ["c"], pads=[1] * 4),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("GlobalMaxPool", ["r"], ["y"]),
    ]
    model = model_of(nodes, "y", weights)
    feeds = [{"x": np.abs(item["x"]) + 0.1} for item in samples(3)]
    wanted = truth(model, ["r"], feeds)["r"]
    found = collect(model, ["r"], feeds, method=MINMAX)["r"]
    assert found.low == 0
    assert found.high == pytest.approx(wanted.max(), rel=1e-6)
    feeds[2]["x"][0, 0, 20, 20] = -1
    with pytest.raises(PreparationFailed, match="'r' are NaN or infinite on image 2"):
        collect(model, ["r"], feeds, method=MINMAX)


@pytest.mark.parametrize("method", RangeMethod)
def test_tensors_of_half_precision_are_seen_as_float32(method: RangeMethod) -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["half"], to=TensorProto.FLOAT16),
        helper.make_node("Mul", ["half", "half"], ["square"]),
        helper.make_node("Relu", ["square"], ["y"]),
    ]
    model = model_of(nodes, "y")
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    feeds = samples(2)
    found = collect(model, ["half", "square", "y"], feeds, method=method)
    largest = max(np.abs(item["x"]).max() for item in feeds)
    assert found["y"].high == pytest.approx(largest**2, rel=0.05 if method is MSE else 1e-2)


def test_what_a_stride_may_step_over_has_its_own_guard() -> None:
    weights: dict[str, Array] = {"w": np.ones((1, 3, 1, 1), np.float32)}
    nodes = [
        helper.make_node("Abs", ["x"], ["a"]),
        helper.make_node("Conv", ["a", "w"], ["y"], strides=[2, 2]),
    ]
    feeds = samples(2)
    feeds[1]["x"][0, 0, 1, 1] = np.nan
    with pytest.raises(PreparationFailed, match="'a' are NaN"):
        collect(model_of(nodes, "y", weights), ["a", "y"], feeds, method=MINMAX)


def test_what_follows_from_other_tensors_is_not_measured() -> None:
    measured = {
        name: [part.root for part in parts] for name, parts in origins(network(), TENSORS, monotone=True).items()
    }
    assert measured["s1"] == ["c1"]
    assert measured["silu"] == ["silu"]
    assert measured["joined"] == ["r2", "c3"]
    assert measured["y"] == ["pooled"]
    free = origins(network(), TENSORS, monotone=False)
    assert [part.root for part in free["silu"]] == ["c1"]


@pytest.mark.parametrize("operator", ["Relu", "Sigmoid", "Tanh", "LeakyRelu", "HardSigmoid", "HardSwish", "Flatten"])
@pytest.mark.parametrize("gated", [False, True])
def test_what_follows_is_what_would_have_been_measured(operator: str, gated: bool) -> None:
    nodes = [helper.make_node("Abs", ["x"], ["a"]), helper.make_node("Sub", ["x", "a"], ["b"])]
    nodes += [helper.make_node("Sum", ["x", "b"], ["c"]), helper.make_node(operator, ["c"], ["g"])]
    nodes += [helper.make_node("Mul", ["g", "c"], ["y"])] if gated and operator != "Flatten" else []
    output = nodes[-1].output[0]
    model, feeds = model_of(nodes, output), samples(3)
    values = truth(model, [output], feeds)[output]
    for method in (MINMAX, PERCENTILE):
        found = collect(model, ["c", output], feeds, method=method)[output]
        np.testing.assert_allclose([found.low, found.high], [values.min(), values.max()], rtol=1e-3, atol=1e-5)


def test_a_product_of_other_operands_is_measured() -> None:
    nodes = [
        helper.make_node("Transpose", ["x"], ["turned"], perm=[0, 1, 3, 2]),
        helper.make_node("Sigmoid", ["turned"], ["gate"]),
        helper.make_node("Mul", ["x", "gate"], ["y"]),
    ]
    found = origins(model_of(nodes, "y"), ["x", "turned", "gate", "y"], monotone=False)
    assert [part.root for part in found["y"]] == ["y"]
    assert [part.root for part in found["gate"]] == ["x"]


class Counting(Sequence[Feeds]):
    """Samples that note which of them were read, and stop at one."""

    def __init__(self, feeds: list[Feeds], stop: int = 10**9) -> None:
        self.feeds, self.stop, self.read = feeds, stop, list[int]()
        self.lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.feeds)

    def __getitem__(self, index: Any) -> Any:
        with self.lock:
            self.read.append(index)
        if index == self.stop:
            raise SourceError("the image vanished")
        return self.feeds[index]


@pytest.mark.parametrize("method", RangeMethod)
def test_a_calibration_that_was_stopped_goes_on_where_it_was(
    method: RangeMethod, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint_module, "EVERY", 0.0)
    feeds, path = samples(12), tmp_path / "state"
    wanted = collect(network(), TENSORS, feeds, method=method)
    for stop in (2, 8):
        with pytest.raises(SourceError, match="vanished"):
            collect(network(), TENSORS, Counting(feeds, stop), method=method, checkpoint=path)
    again, reports = Counting(feeds), list[int]()
    found = collect(network(), TENSORS, again, method=method, checkpoint=path, report=reports.append)
    assert found == wanted
    assert sorted(again.read) == [0, 8, 9, 10, 11]  # the first only to see that it is the same
    assert reports == [9, 10, 11, 12]
    done = Counting(feeds)
    assert collect(network(), TENSORS, done, method=method, checkpoint=path) == wanted
    assert done.read == [0]
    assert collect(network(), TENSORS, iter(feeds), method=method, checkpoint=path) == wanted


@pytest.mark.heavy
def test_a_calibration_that_was_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    program = f"""if True:
        import importlib.util, sys
        sys.path.insert(0, {str(Path(__file__).parents[3])!r})
        spec = importlib.util.spec_from_file_location("ranges_test", {__file__!r})
        test = importlib.util.module_from_spec(spec); spec.loader.exec_module(test)
        test.checkpoint_module.EVERY = 0.0
        test.collect(test.network(), test.TENSORS, test.samples(2000), method=test.MSE,
            checkpoint=test.Path({str(tmp_path / "state")!r}), report=lambda done: print(done, flush=True))
    """
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        while int(process.stdout.readline()) < 10:
            pass
        process.kill()
    reports: list[int] = []
    feeds = samples(2000)[:300]
    collect(network(), TENSORS, feeds, method=MSE, checkpoint=tmp_path / "state", report=reports.append)
    assert reports[0] > 10
    assert reports[-1] == 300
    assert collect(network(), TENSORS, feeds, method=MSE, checkpoint=tmp_path / "state") == collect(
        network(), TENSORS, feeds, method=MSE
    )


def test_a_checkpoint_of_something_else_is_begun_anew(tmp_path: Path) -> None:
    path, feeds = tmp_path / "state", samples(5)
    collect(network(), TENSORS, feeds, method=MINMAX, checkpoint=path)
    other = samples(5, scale=0.1)
    assert collect(network(), TENSORS, other, method=MINMAX, checkpoint=path) == collect(
        network(), TENSORS, other, method=MINMAX
    )
    fewer = Counting(other[:3])
    found = collect(network(), TENSORS, fewer, method=MINMAX, checkpoint=path)
    assert found == collect(network(), TENSORS, other[:3], method=MINMAX)
    path.write_bytes(path.read_bytes()[:-40])
    assert collect(network(), TENSORS, other[:3], method=MINMAX, checkpoint=path) == found
    with pytest.raises(OutputError):
        collect(network(), TENSORS, other, method=MINMAX, checkpoint=tmp_path / "none" / "state")


def test_samples_of_an_iterator_are_read_one_by_one() -> None:
    drawn = []

    def feeds() -> Iterator[Feeds]:
        for index, feed in enumerate(samples(40)):
            drawn.append(index)
            yield feed

    done: list[tuple[int, int]] = []
    collect(network(), TENSORS, feeds(), method=MINMAX, threads=2, report=lambda n: done.append((n, len(drawn))))
    assert [n for n, _ in done] == list(range(1, 41))
    assert all(read - finished <= 4 for finished, read in done)


@pytest.mark.heavy
@pytest.mark.parametrize("method", RangeMethod)
def test_memory_does_not_grow_with_the_number_of_images(method: RangeMethod) -> None:
    program = f"""if True:
        import resource, sys
        sys.path.insert(0, {str(Path(__file__).parents[3])!r})
        import importlib.util
        spec = importlib.util.spec_from_file_location("ranges_test", {__file__!r})
        test = importlib.util.module_from_spec(spec); spec.loader.exec_module(test)
        feed = test.samples(1)[0]
        peaks = []
        for count in (32, 512):
            feeds = (feed for _ in range(count))
            test.collect(test.network(), test.TENSORS, feeds, method=test.RangeMethod({method.value!r}))
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        print(*peaks)
    """
    output = subprocess.check_output([sys.executable, "-c", program], text=True)
    few, many = map(int, output.split())
    assert many <= 1.1 * few


def test_real_networks_ranges_are_those_of_all_their_values(shared_data: Path) -> None:
    model = onnx.load(shared_data / "models" / "squeezenet1.1_fp32.onnx")
    tensors = [name for node in model.graph.node for name in node.output if node.op_type in ("Relu", "Concat")]
    random = np.random.default_rng(3)
    feeds = [{"data_0": random.uniform(-110, 145, (1, 3, 224, 224)).astype(np.float32)} for _ in range(6)]
    wanted = truth(model, tensors, feeds)
    low_high = collect(model, tensors, feeds, method=MINMAX)
    percentile = collect(model, tensors, feeds, method=PERCENTILE)
    for name, values in wanted.items():
        assert low_high[name].high == pytest.approx(values.max(), rel=1e-5)
        if values.size > 1_000_000:
            assert percentile[name].high == pytest.approx(np.quantile(values, 1 - 5e-6), rel=0.02)
