from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from oakmill.calibration import Samples
from oakmill.conversion.events import Progress
from oakmill.conversion.images.samples import SampleSet
from oakmill.conversion.prepare import Prepared
from oakmill.conversion.rvc4.quantize import measure, plan_of, quantize_graph
from oakmill.conversion.rvc4.simulate import Simulated
from oakmill.errors import NothingToKeep, SpecError
from oakmill.graph import equality
from oakmill.graph.encodings import activations
from oakmill.graph.quantize import Encoding, Interval, Plan
from oakmill.settings import Settings
from oakmill.spec import InputSpec, Precision, RangeMethod, Resize, Rvc4Spec
from oakmill.spec.recipe import CalibrationRecord, SearchRecord
from tests.unit.conversion.preparing import NEEDS, classifier, photos, picture_input, prepared, samples_of


@pytest.fixture(scope="module")
def made() -> Prepared:
    return prepared(classifier())


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


def measured(
    made: Prepared, pictures: SampleSet, settings: Settings, spec: Rvc4Spec | None = None
) -> tuple[dict[str, Interval], list[str]]:
    """The ranges, and what was told of where they come from."""
    progress, spec = Progress(), spec or Rvc4Spec()
    return measure(spec, plan_of(spec, made.model, progress), made, pictures, settings, progress), progress.notes


# the plan


@pytest.mark.parametrize(
    ("precision", "activation", "weight", "per_channel"),
    [
        ("INT8_STANDARD", 8, 8, True),
        ("INT8_ACCURACY_FOCUSED", 8, 8, True),
        ("INT8_INT16_MIXED", 16, 8, True),
        ("INT8_INT16_MIXED_ACCURACY_FOCUSED", 16, 8, True),
        ("INT16_STANDARD", 16, 16, True),
    ],
)
def test_a_precision_is_a_pair_of_widths(
    precision: str, activation: int, weight: int, per_channel: bool, made: Prepared
) -> None:
    plan = plan_of(Rvc4Spec(target_precision=Precision(precision)), made.model, Progress())
    assert (plan.activation_bits, plan.weight_bits, plan.per_channel) == (activation, weight, per_channel)


def test_per_tensor_weights_are_asked_for_by_name(made: Prepared) -> None:
    assert not plan_of(Rvc4Spec(per_tensor_weights=True), made.model, Progress()).per_channel


def test_a_single_tensor_gets_another_width(made: Prepared) -> None:
    name = activations(made.model).measured[1]
    plan = plan_of(Rvc4Spec(tensor_overrides=(f"{name}=int16",)), made.model, Progress())
    assert plan.encodings == {name: Encoding(16)}


def test_shares_whose_sum_is_read_have_sixteen_bits_unless_the_user_says_otherwise() -> None:
    """DepthAI's parser of classes refuses what does not sum up to 1, as a thousand shares in 8 bits do not."""
    model = classifier()
    model.graph.node.append(helper.make_node("Concat", ["means", "means"], ["eight"], axis=1))
    model.graph.node.append(helper.make_node("Softmax", ["eight"], ["shares"], axis=1))
    model.graph.output[1].CopyFrom(helper.make_tensor_value_info("shares", TensorProto.FLOAT, [1, 8]))
    assert plan_of(Rvc4Spec(), model, Progress()).encodings == {"shares": Encoding(16)}
    asked = Rvc4Spec(tensor_overrides=("shares=int8",))
    assert plan_of(asked, model, Progress()).encodings == {"shares": Encoding(8)}
    wide = Rvc4Spec(target_precision=Precision.INT8_INT16_MIXED)
    assert plan_of(wide, model, Progress()).encodings == {}


@pytest.mark.parametrize("name", ["weight", "nothing"])
def test_a_tensor_that_is_not_computed_is_refused(name: str, made: Prepared) -> None:
    with pytest.raises(SpecError, match=f"--tensor {name}=int16") as caught:
        plan_of(Rvc4Spec(tensor_overrides=(f"{name}=int16",)), made.model, Progress())
    assert caught.value.subject == name


def test_pixels_cannot_have_16_bits(made: Prepared, settings: Settings) -> None:
    """It was taken, and then overruled without a word."""
    with pytest.raises(SpecError, match="8 bits that the camera gives"):
        quantize_graph(
            Rvc4Spec(tensor_overrides=("image=int16",)), made, samples_of(made), "made", settings, Progress()
        )


def test_encodings_from_outside_are_counted_and_those_left_out_named(made: Prepared, tmp_path: Path) -> None:
    path = tmp_path / "encodings.json"
    entry = {"bitwidth": 8, "dtype": "int", "is_symmetric": "False", "scale": 0.5, "offset": -3}
    path.write_text(json.dumps({"activation_encodings": {"image": [entry], "gone": [entry]}, "param_encodings": {}}))
    progress = Progress()
    plan = plan_of(Rvc4Spec(target_precision=Precision.CUSTOM, aimet_encodings=path), made.model, progress)
    assert plan.encodings["image"] == Encoding(8, (0.5,), (3,))
    assert progress.notes == ["1 encodings come from encodings.json"]
    assert progress.warnings == ["the encoding of 'gone' is left out: the prepared model has no tensor of that name"]


# the ranges


def test_ranges_are_those_of_the_images(made: Prepared, settings: Settings) -> None:
    pictures = samples_of(made)
    found, _ = measured(made, pictures, settings)
    assert set(found) == {*activations(made.model).measured, *activations(made.model).shared}
    session = equality.Session(made.model)
    outputs = [session.run(picture) for picture in pictures]
    for name in ("map", "means"):
        low, high = found[name]
        assert low == pytest.approx(min(float(output[name].min()) for output in outputs), abs=1e-5)
        assert high == pytest.approx(max(float(output[name].max()) for output in outputs), rel=1e-5)


def test_the_second_time_they_come_from_the_cache(made: Prepared, settings: Settings) -> None:
    first, notes = measured(made, samples_of(made), settings)
    assert not notes
    again, notes = measured(made, samples_of(made), settings)
    assert again == first
    assert len(notes) == 1
    assert "measured before, on the same images" in notes[0]
    assert [path.suffix for path in (settings.home / "cache" / "ranges").iterdir()] == [".json"]


def reordered(pictures: SampleSet) -> SampleSet:
    """The last picture first."""
    return replace(pictures, samples=tuple(map(_reversed, pictures.samples)))


def _reversed(samples: Samples) -> Samples:
    def read(index: int) -> np.ndarray:
        return samples.read(len(samples) - 1 - index)

    return Samples(samples.source, samples.names[::-1], samples.sha256[::-1], read)


def test_other_images_or_another_order_are_measured_anew(made: Prepared, settings: Settings) -> None:
    measured(made, samples_of(made, 4), settings)
    for pictures in (
        samples_of(made, 5),
        samples_of(made, 4, seed=1),
        reordered(samples_of(made, 4)),
    ):
        assert not measured(made, pictures, settings)[1]


def test_another_method_resize_or_model_is_measured_anew(made: Prepared, settings: Settings) -> None:
    pictures = samples_of(made, 4)
    for spec in (
        Rvc4Spec(),
        Rvc4Spec(range_method=RangeMethod.MSE),
        Rvc4Spec(range_method=RangeMethod.PERCENTILE),
        Rvc4Spec(resize=Resize.STRETCH),
    ):
        assert not measured(made, pictures, settings, spec)[1], spec
        assert measured(made, pictures, settings, spec)[1], spec
    other = prepared(classifier(), [InputSpec(mean_values=(1, 2, 3))])
    assert not measured(other, pictures, settings)[1]


def test_bits_matter_to_ranges_of_least_error_alone(made: Prepared, settings: Settings) -> None:
    pictures = samples_of(made, 4)
    mixed = Precision.INT8_INT16_MIXED
    measured(made, pictures, settings)
    assert measured(made, pictures, settings, Rvc4Spec(target_precision=mixed))[1]
    measured(made, pictures, settings, Rvc4Spec(range_method=RangeMethod.MSE))
    assert not measured(made, pictures, settings, Rvc4Spec(target_precision=mixed, range_method=RangeMethod.MSE))[1]


def test_an_entry_of_other_tensors_is_not_believed(made: Prepared, settings: Settings) -> None:
    first, _ = measured(made, samples_of(made), settings)
    (entry,) = (settings.home / "cache" / "ranges").iterdir()
    for content in ("{}", '{"map": [0, 1]}', "{"):
        entry.write_text(content)
        found, notes = measured(made, samples_of(made), settings)
        assert found == first
        assert not notes


def test_without_a_place_for_the_cache_it_works_as_well(made: Prepared, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    found, _ = measured(made, samples_of(made), Settings(home=tmp_path / "home"))
    assert "map" in found


def test_files_that_change_their_content_are_measured_anew(made: Prepared, settings: Settings, tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", 3)

    def read() -> SampleSet:
        return SampleSet.of_files(made.boundary, folder, 3, 0)

    measured(made, read(), settings)
    (folder / "000.png").rename(folder / "009.png")
    (folder / "001.png").write_bytes((folder / "002.png").read_bytes())
    assert not measured(made, read(), settings)[1]


# the graph


def test_the_quantized_graph_is_near_the_float_one_and_its_record_names_every_file(
    made: Prepared, settings: Settings, tmp_path: Path
) -> None:
    folder = photos(tmp_path / "photos", 6)
    pictures = SampleSet.of_files(made.boundary, folder, 6, 0)
    found = quantize_graph(Rvc4Spec(), made, pictures, "photos", settings, Progress())
    assert found.plan == Plan()
    assert found.record.biases is not None
    assert found.record.model_dump(mode="json", exclude={"biases"}) == {
        "set": "photos",
        "method": "minmax",
        "images": 6,
        "names": list(pictures.names),
        "sha256": list(pictures.sha256),
    }
    reference, candidate = equality.Session(made.model), Simulated(found.model, made.image_inputs)
    for picture in pictures:
        expected, outputs = reference.run(picture), candidate.run(picture)
        assert outputs["map"].dtype == np.float32
        assert all(equality.snr_db(expected[name], outputs[name]) > 25 for name in expected)


def test_the_searchs_findings_are_part_of_the_record(made: Prepared, settings: Settings) -> None:
    progress = Progress()
    spec = Rvc4Spec(quantizer_search=True, search_seconds=20)
    found = quantize_graph(spec, made, samples_of(made), "made", settings, progress)
    assert found.record.search is not None
    assert found.record.search.curve[0].tensors == 0
    assert any("stay in 16 bits" in note for note in progress.notes)


def test_a_replay_keeps_the_tensors_that_a_search_found(made: Prepared, settings: Settings) -> None:
    """A search ends by the clock: on a busier machine the same recipe kept others, and gave other bytes."""
    spec = Rvc4Spec(quantizer_search=True, search_seconds=20)
    record = SearchRecord(kept_in_16_bits=("map",), curve=(), most_sensitive=(), complete=False)
    progress = Progress()
    found = quantize_graph(
        spec, made, samples_of(made), "made", settings, progress, CalibrationRecord(search=record)
    )  # fmt: skip
    assert found.record.search == record
    assert found.plan.encodings["map"].bits == 16
    assert not any("stay in 16 bits" in note for note in progress.notes)


def test_encodings_of_aimet_are_in_the_graph_that_is_compiled(
    made: Prepared, settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "encodings.json"
    entry = {"bitwidth": 8, "dtype": "int", "is_symmetric": "False", "scale": 0.75, "offset": -5}
    path.write_text(json.dumps({"activation_encodings": {"means": [entry]}, "param_encodings": {}}))
    spec = Rvc4Spec(target_precision=Precision.CUSTOM, aimet_encodings=path)
    found = quantize_graph(spec, made, samples_of(made), "made", settings, Progress())
    constants = {item.name: item for item in found.model.graph.initializer}
    scales = [float(numpy_helper.to_array(item)) for item in constants.values()
              if item.data_type == TensorProto.FLOAT and not item.dims]  # fmt: skip
    assert 0.75 in scales


def quantized_classifier() -> ModelProto:
    """image -> Conv -> quantizers of scale 0.75 and zero 10 -> a map, as exporters write it that know ranges."""
    model = classifier()
    conv, *_ = list(model.graph.node)
    del model.graph.node[:], model.graph.output[:]
    pair = [
        helper.make_node("QuantizeLinear", [conv.output[0], "scale", "zero"], ["stored"], "q"),
        helper.make_node("DequantizeLinear", ["stored", "scale", "zero"], ["map"], "d"),
    ]
    model.graph.node.extend([conv, *pair])
    model.graph.output.append(helper.make_tensor_value_info("map", TensorProto.FLOAT, [1, 4, 8, 8]))
    model.graph.initializer.append(numpy_helper.from_array(np.array(0.75, np.float32), "scale"))
    model.graph.initializer.append(numpy_helper.from_array(np.array(10, np.uint8), "zero"))
    return model


def test_the_ranges_of_the_models_own_quantizers_are_kept(settings: Settings) -> None:
    """They were left out, and ranges of some images took the place of what quantization-aware training found."""
    made = prepared(quantized_classifier(), needs=replace(NEEDS, plain_numbers=True, quantizes=True))
    progress = Progress()
    found = quantize_graph(Rvc4Spec(), made, samples_of(made, 2), "made", settings, progress)
    known = {item.name: numpy_helper.to_array(item) for item in found.model.graph.initializer}
    conv = next(node for node in found.model.graph.node if node.op_type == "Conv")
    (writer,) = (node for node in found.model.graph.node if conv.output[0] in node.input)
    assert float(known[writer.input[1]]) == pytest.approx(0.75)
    assert int(known[writer.input[2]]) == 10
    assert any("keep the ranges of the model's own quantizers" in note for note in progress.notes)


def test_a_model_without_quantizers_has_no_ranges_of_its_own(made: Prepared, settings: Settings) -> None:
    progress = Progress()
    quantize_graph(Rvc4Spec(), made, samples_of(made, 2), "made", settings, progress)
    assert not any("model's own quantizers" in note for note in progress.notes)


def test_an_input_of_pixels_is_known_by_its_encoding(made: Prepared) -> None:
    assert made.image_inputs == ["image"] == [picture_input().name]


@pytest.mark.parametrize("name", ["map", "features"])
def test_what_is_said_of_a_tensor_is_said_of_where_its_encoding_is_decided(name: str, made: Prepared) -> None:
    """Behind the transposition to NHWC, and in front of a Relu, it said nothing: 8 bits were computed, and widened."""
    ranged = activations(made.model)
    assert name in ranged.shared
    plan = plan_of(Rvc4Spec(tensor_overrides=(f"{name}=int16",)), made.model, Progress())
    assert plan.encodings == {ranged.root(name): Encoding(16)}
    assert ranged.root(name) in ranged.measured


@pytest.mark.parametrize(("words", "kind"), [((), TensorProto.UINT8), (("map=int16",), TensorProto.UINT16)])
def test_an_output_of_16_bits_is_computed_in_16_bits(
    words: tuple[str, ...], kind: int, made: Prepared, settings: Settings
) -> None:
    found = quantize_graph(Rvc4Spec(tensor_overrides=words), made, samples_of(made, 2), "made", settings, Progress())
    kinds = {item.name: item.data_type for item in found.model.graph.initializer}
    writers = {name: node for node in found.model.graph.node for name in node.output}
    conv = next(node for node in found.model.graph.node if node.op_type == "Conv")
    (writer,) = (node for node in found.model.graph.node if conv.output[0] in node.input)
    assert (writer.op_type, kinds[writer.input[2]]) == ("QuantizeLinear", kind)
    assert {value.name: value.type.tensor_type.elem_type for value in found.model.graph.output}["map"] == kind
    assert "map" in writers


def test_the_tensors_own_encoding_wins_over_that_of_one_that_shares_it(made: Prepared) -> None:
    ranged = activations(made.model)
    root = ranged.root("map")
    assert ranged.rooted({"map": 1, root: 2}) == {root: 2}
    assert ranged.rooted({"weight": 3}) == {"weight": 3}


def test_what_goes_into_silu_stays_in_16_bits_where_asked() -> None:
    """Most of a YOLOX's loss sits there; and a model without any SiLU is told that nothing could be kept."""
    nodes = [
        helper.make_node("Sigmoid", ["image"], ["gate"], "sigmoid"),
        helper.make_node("Mul", ["image", "gate"], ["scores"], "multiply"),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 8, 8]) for name in ("image", "scores")]
    model = helper.make_model(helper.make_graph(nodes, "silu", values[:1], values[1:]))
    assert plan_of(Rvc4Spec(silu_int16=True), model, Progress()).encodings == {"image": Encoding(16)}
    assert plan_of(Rvc4Spec(), model, Progress()).encodings == {}
    del model.graph.node[1]
    with pytest.raises(NothingToKeep):
        plan_of(Rvc4Spec(silu_int16=True), model, Progress())
