"""The examples' networks: as ONNX they say what they said when they were trained, and are known for what they are."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

from oakmill.heads.families import recognise
from oakmill.heads.families.base import Evidence, Sure
from oakmill.hub.examples import balls, digits, learning


@pytest.fixture(scope="module")
def digits_network() -> tuple[bytes, float]:
    """Trained on few digits: the whole training takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digits, "TRAINED", 600)
        patch.setattr(digits, "TESTED", 100)
        patch.setattr(digits, "UNITS", 150)
        return digits.train()


@pytest.fixture(scope="module")
def balls_layers() -> balls.Trained:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(balls, "TRAINED", 50)
        patch.setattr(balls, "UNITS", 64)
        return balls.train()


def outputs(network: bytes, image: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(network)
    fed = image.transpose(2, 0, 1)[None].astype(np.float32)
    return np.asarray(session.run(None, {"image": fed})[0])


def test_the_classifier_names_digits_that_it_never_saw(digits_network: tuple[bytes, float]) -> None:
    network, share = digits_network
    images, labels = digits.draw(50, 77)
    right = np.mean([outputs(network, image).argmax() == label for image, label in zip(images, labels, strict=True)])
    assert right > 0.75
    assert share == pytest.approx(right, abs=0.2)


def test_swapped_colours_are_seen_at_once(digits_network: tuple[bytes, float]) -> None:
    network, _ = digits_network
    images, labels = digits.draw(50, 78)
    right = [outputs(network, image[..., ::-1]).argmax() == label for image, label in zip(images, labels, strict=True)]
    assert np.mean(right) < 0.4


def test_the_same_seed_draws_the_same(digits_network: tuple[bytes, float]) -> None:
    assert np.array_equal(digits.draw(10, 3)[0], digits.draw(10, 3)[0])
    one, other = (next(balls.draw(1, 3)) for _ in range(2))
    assert np.array_equal(one[0], other[0])
    assert one[1] == other[1]


def test_the_detector_as_onnx_says_what_it_was_trained_to(balls_layers: balls.Trained) -> None:
    """It takes BGR, as every YOLOX does, while it was trained on RGB."""
    image, _ = next(balls.draw(1, 5))
    found = outputs(balls.network(balls_layers), image[..., ::-1])[0]
    values = learning.active(balls_layers.hidden, balls.windows(balls.maps(image[None])[0])[0].reshape(32 * 32, -1))
    assert np.allclose(found[: 32 * 32, :4], balls_layers.boxes(values), atol=1e-3)


def test_the_detector_finds_most_balls(balls_layers: balls.Trained) -> None:
    found, right = balls.tested(balls_layers)
    assert found > 0.6
    assert right > 0.6


@pytest.mark.parametrize(("family", "names"), [("classification", digits.NAMES), ("yolox", balls.NAMES)])
def test_their_heads_are_recognised_with_names(
    family: str, names: tuple[str, ...], digits_network: tuple[bytes, float], balls_layers: balls.Trained
) -> None:
    network = digits_network[0] if family == "classification" else balls.network(balls_layers)
    model = onnx.load_from_string(network)
    metadata = {item.key: item.value for item in model.metadata_props}
    side = digits.SIDE if family == "classification" else balls.SIDE
    found = recognise(model, Evidence(metadata, (side, side)))
    assert found is not None
    assert (found.family, found.sure, found.classes) == (family, Sure.CERTAIN, len(names))
    assert tuple(found.names) == names
