"""The finished file is compared with its own simulation: no mutation between proof and compiler is green.

Small networks are quantized or halved as a conversion does it; what stands for the file is the same with a fault in it,
and with the noise that the emulated processor has of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from oakmill.conversion.events import Progress
from oakmill.conversion.images.samples import Images, SampleSet
from oakmill.conversion.passport import Passport
from oakmill.conversion.passport.measure import Subject, half_estimate, measure
from oakmill.conversion.passport.twins import Twins
from oakmill.conversion.platform import Network
from oakmill.conversion.rvc4.methods import (
    DIFFERS,
    EXACT_DB,
    EXACT_HALF_DB,
    OWN_NOISE_DB,
    differs,
    methods,
    not_a_number,
    own_noise_of,
)
from oakmill.findings import Finding, Severity
from oakmill.spec import Precision, Rvc4Spec
from tests.unit.conversion.mutations import MUTATIONS, Mutate, Outputs, Spoil, as_is, detector, unchanged
from tests.unit.conversion.preparing import prepared


def measured(mutate: Mutate, spoil: Spoil) -> Passport:
    """The passport of the detector in FP16, whose file was made of other weights, or answers otherwise."""
    spec = Rvc4Spec(target_precision=Precision.FP16_STANDARD, proof_images=4)
    made, other = (prepared(detector(change), spec=spec) for change in (unchanged, mutate))
    run = half_estimate(other).load()

    def infer(samples: Sequence[Outputs]) -> Iterator[Outputs]:
        return (spoil(outputs) for outputs in run(samples))

    network = Network(Path("prepared.onnx"), made.model)
    source, how = methods(spec, made, network, (), infer)
    images = Images(SampleSet.generated(made.boundary, 4, 1))
    return measure(Subject("rvc4", made, images, source, how, ()), Progress())


def rounded(outputs: Outputs) -> Outputs:
    """As the emulated processor: a function that is looked up is right to 0.004."""
    random = np.random.default_rng(0)
    return {name: values + random.uniform(-0.004, 0.004, values.shape) for name, values in outputs.items()}


@pytest.mark.parametrize("spoil", [as_is, rounded])
def test_a_file_that_does_as_simulated_is_ok(spoil: Spoil) -> None:
    """yunet_n was refused for differences of 0.004 in scores of 0.05."""
    found = measured(unchanged, spoil)
    assert [finding.code for finding in found.findings] == []
    assert found.checks[1].verdict is Severity.OK


@pytest.mark.parametrize("fault", MUTATIONS)
def test_no_mutation_is_green(fault: str) -> None:
    """20 dB was good enough whatever was simulated, and tasks decided nothing: face scores of zero were green."""
    mutate, spoil = MUTATIONS[fault]
    found = measured(mutate, lambda outputs: rounded(spoil(outputs)))
    assert DIFFERS in [finding.code for finding in found.findings]
    assert found.verdict is not Severity.OK


def compared(
    twin: NDArray[Any], found: NDArray[Any], own_noise: float = OWN_NOISE_DB, step: float = 0.0
) -> list[Finding]:
    """What is found of images [n, ...] of one output, as simulated and as the file has them."""
    twins, noise = Twins(None, (64, 64)), np.random.default_rng(0).normal(size=twin.shape)
    for index in range(len(twin)):
        reference = twin[index : index + 1] + 1e-3 * noise[index : index + 1]
        twins.add(f"{index}", {"out": reference}, {"out": twin[index : index + 1]}, {"out": found[index : index + 1]})
    return list(differs(twins, {"out": step}, own_noise))


def rows(count: int = 3) -> NDArray[Any]:
    """Of a detector with grids of 8, 16 and 32 pixels: offsets, sizes, an objectness, two classes."""
    random = np.random.default_rng(5)
    boxes = random.normal(0, 4, (count, 84, 4))
    scores = random.uniform(0, 1, (count, 84, 3)) ** 4
    return np.concatenate([boxes, scores], 2)


def test_objectness_that_is_zero_is_found_in_what_is_decided_and_in_its_column() -> None:
    """The passport itself showed an F1 of 0.0 by HTP, and was green."""
    lost = (values := rows()).copy()
    lost[..., 4] = 0
    decided, column = compared(values, lost)
    assert "decides otherwise: box agreement (F1) is 0.0 %" in decided.message
    assert "position 4 of axis 2" in column.message


def test_a_rare_class_is_the_processors_noise_where_boxes_are_the_same() -> None:
    """YOLOX-nano in FP16 was told to say something else of one of its 80 classes, while all of its boxes agreed."""
    values = rows() * [1, 1, 1, 1, 1, 1, 0]
    noisy = values.copy()
    noisy[:, 3, 6] = 0.19
    assert compared(values, noisy) == []
    (found,) = compared(values[:, :80], noisy[:, :80], EXACT_HALF_DB)
    assert "position 6 of axis 2" in found.message


def test_a_factor_is_named() -> None:
    """Outputs times 1.05 have 26 dB, and were good enough."""
    (found,) = compared(maps := np.random.default_rng(0).normal(size=(3, 1, 16, 16)), maps * 1.05)
    assert "is 1.05 times the simulation's" in found.message
    assert found.severity is Severity.WARNING


def test_of_few_values_a_factor_is_what_the_largest_says() -> None:
    """Two classes' shares on three images, 0.97 times the simulation's, were a warning; a hand's presence, 0.62 times
    on photos that show none, refused the whole file. All of the package's own readings were the same."""
    shares = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]])
    twins = Twins(None, (64, 64))
    for index, row in enumerate(shares):
        twins.add(f"{index}.jpg", {"y": row}, {"y": row}, {"y": row * 0.97})
    assert not list(differs(twins, {}, OWN_NOISE_DB))
    twins = Twins(None, (64, 64))
    for index, (simulated, reference) in enumerate([(0.45, 0.3), (0.02, 0.02), (0.01, 0.01)]):
        twin = np.array([[simulated]])
        twins.add(f"{index}.jpg", {"y": np.array([[reference]])}, {"y": twin}, {"y": twin * 0.62})
    assert [item.severity for item in differs(twins, {}, OWN_NOISE_DB)] == [Severity.WARNING]


def test_a_mask_that_falls_apart_on_one_image_is_not_hidden_by_large_ones() -> None:
    """Of four photos through MediaPipe's net of persons in FP16 one kept 0.71 of its mask: 0.98 over all, and green."""
    maps = np.full((4, 1, 32, 32), 0.01)
    maps[:, :, 2:30, 2:30] = 0.99
    maps[3] = 0.01
    maps[3, :, 8:16, 8:16] = 0.99
    faint = maps.copy()
    faint[3, :, 8:16, 8:11] = 0.2
    (found,) = compared(maps, faint)
    assert "IoU on the image where it is least is 0.62" in found.message
    assert found.severity is Severity.WARNING


@pytest.mark.parametrize(("own_noise", "codes"), [(OWN_NOISE_DB, []), (EXACT_HALF_DB, [DIFFERS])])
def test_noise_is_the_processors_own_where_layers_build_on_what_it_looks_up(own_noise: float, codes: list[str]) -> None:
    """YOLOX-nano in FP16 has 25 dB where 41 are simulated, by its sigmoids; ultraface fed with BGR had 44 of 75."""
    random = np.random.default_rng(0)
    maps = random.normal(size=(3, 1, 16, 16))
    assert [item.code for item in compared(maps, maps + random.normal(0, 0.05, maps.shape), own_noise)] == codes


def test_some_steps_of_the_number_format_are_nothing() -> None:
    maps = np.random.default_rng(0).normal(size=(3, 1, 16, 16))
    coarse = np.round(maps / 0.5) * 0.5
    assert compared(maps, coarse, step=0.3) == []
    assert compared(maps, coarse)


def test_a_value_that_is_no_number_is_an_error() -> None:
    maps = np.random.default_rng(0).normal(size=(3, 1, 16, 16))
    (found,) = compared(maps, np.where(maps > 2, np.nan, maps))
    assert (found.severity, found.subject) == (Severity.ERROR, "out")


def test_what_the_float_model_has_no_number_for_is_not_compared() -> None:
    """The root of -1 is no number, and the processor's own something: a network that ends in it was refused.

    So is e^96 in FP16, whose overflow is told elsewhere.
    """
    twins, reference = Twins(None, (64, 64)), np.array([[np.nan, 4e20, 1.0, 2.0]])
    twin, found = np.array([[np.nan, np.inf, 1.0, 2.0]]), np.array([[-131008.0, 65504.0, 1.0, 2.0]])
    twins.add("one", {"y": reference}, {"y": twin}, {"y": found})
    assert not list(differs(twins, {}, EXACT_HALF_DB))
    known = np.array([[3.0, 4.0, 1.0, 2.0]])
    twins.add("two", {"y": known}, {"y": known}, {"y": np.array([[np.nan, 4.0, 1.0, 2.0]])})
    assert [item.severity for item in differs(twins, {}, EXACT_HALF_DB)] == [Severity.ERROR]


def test_one_image_that_changes_its_class_is_chance() -> None:
    """Of four images the one whose two first classes are as likely; of two such images not."""
    scores = np.array([[0.9, 0.05, 0.05], [0.34, 0.33, 0.33], [0.34, 0.33, 0.33], [0.9, 0.05, 0.05]])
    one = scores.copy()
    one[1] = 0.33, 0.34, 0.33
    assert compared(scores, one, step=0.011) == []
    one[2] = one[1]
    assert [item.code for item in compared(scores, one, step=0.011)] == [DIFFERS]


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        (["Conv", "Relu", "Conv", "Softmax"], EXACT_DB),
        (["Conv", "Sigmoid", "Mul", "Conv"], OWN_NOISE_DB),
        (["Conv", "LayerNormalization", "Reshape", "MatMul"], OWN_NOISE_DB),
    ],
)
def test_what_is_looked_up_at_the_end_is_no_ones_input(nodes: list[str], expected: float) -> None:
    made = [helper.make_node(kind, [f"t{place}"], [f"t{place + 1}"]) for place, kind in enumerate(nodes)]
    graph = helper.make_graph(made, "g", [], [])
    assert own_noise_of(Network(Path("x"), helper.make_model(graph)), EXACT_DB) == expected


def test_an_is_nan_is_told_whatever_was_measured() -> None:
    """Green on generated images, which have no infinity; on the emulated processor 70000 counted as NaN."""
    nodes = [
        helper.make_node("Sqrt", ["x"], ["root"], "root"),
        helper.make_node("IsNaN", ["root"], ["bad"], "guard"),
        helper.make_node("Where", ["bad", "zero", "root"], ["y"], "where"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
        [numpy_helper.from_array(np.zeros((), np.float32), "zero")],
    )
    guarded = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    (found,) = not_a_number(prepared(guarded))
    assert (found.severity, found.subject, found.others) == (Severity.WARNING, "guard", ())
    assert "takes infinity" in found.message
    assert not_a_number(prepared(detector(unchanged))) == ()


@pytest.mark.parametrize(("own_noise", "codes"), [(EXACT_HALF_DB, [DIFFERS]), (OWN_NOISE_DB, [])])
def test_an_image_of_small_values_is_not_hidden_by_one_of_large(own_noise: float, codes: list[str]) -> None:
    """A GridSample that took the wrong one of two neighbours was green: 128 on other images drowned 0.04."""
    random = np.random.default_rng(0)
    small, large = random.uniform(0, 1, (1, 2, 4)), random.uniform(-1, 1, (1, 2, 4)) * 4e3
    wrong = small.copy()
    wrong[0, 1, 0] += 0.04
    assert [item.code for item in compared(np.stack([small, large]), np.stack([wrong, large]), own_noise)] == codes
