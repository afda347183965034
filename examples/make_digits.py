"""Makes the example: a small classifier of coloured digits as ONNX, and images to try it on.

The digits are scikit-learn's (8x8, grey). Each is drawn in orange on blue, 32x32 RGB, so that a swapped colour order
shows at once. A network with one hidden layer is trained on them in seconds, and written as convolutions that take
normalised RGB: (pixel - 127.5) / 127.5.

    python examples/make_digits.py [FOLDER]      # examples/out by default
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

INK, PAPER = np.array([250, 140, 20]), np.array([20, 60, 200])  # RGB
MEAN, SCALE = 127.5, 127.5
CELL, SIDE, HIDDEN = 4, 32, 48  # a digit's cell becomes 4x4 pixels
IMAGES = 100

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


def main() -> None:
    """Train, write the model and the images, and say what to do with them."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "out"
    images, labels = draw_digits()
    train, test, train_labels, test_labels = train_test_split(
        images, labels, test_size=360, random_state=0, stratify=labels
    )
    network = MLPClassifier((HIDDEN,), max_iter=400, random_state=0, early_stopping=False)
    network.fit(darkness(train), train_labels)
    print(f"right on {network.score(darkness(test), test_labels):.1%} of {len(test)} digits not trained on")

    model = write_model(network, folder / "digits.onnx")
    write_images(test[:IMAGES], test_labels[:IMAGES], folder / "images")
    print(f"wrote {model} and {IMAGES} images in {folder / 'images'}")
    print("\nnow convert it:")
    print(
        f"  ./run convert {model} --to rvc2 --mean-values {MEAN} --scale-values {SCALE} --encoding-from RGB"
        f" --encoding-to BGR --images {folder / 'images'}"
    )


def draw_digits() -> tuple[Pixels, NDArray[np.int64]]:
    """The digits as uint8 RGB images [count, 32, 32, 3], and what each is."""
    digits = load_digits()
    ink = (digits.images / 16.0).repeat(CELL, axis=1).repeat(CELL, axis=2)[..., None]
    return (PAPER + ink * (INK - PAPER)).round().astype(np.uint8), digits.target


def darkness(images: Pixels) -> Floats:
    """What the network's first layer computes: red less blue, normalised, averaged over each cell; [count, 64]."""
    values = (images.astype(np.float32) - MEAN) / SCALE
    signal = values[..., 0] - values[..., 2]
    cells = signal.reshape(-1, SIDE // CELL, CELL, SIDE // CELL, CELL).mean(axis=(2, 4))
    return np.asarray(cells.reshape(len(images), -1), np.float32)


def write_model(network: Any, path: Path) -> Path:
    """Write the trained network as ONNX: image [1, 3, 32, 32] in, scores [1, 10] out."""
    hidden, scores = (np.asarray(weights, np.float32).T for weights in network.coefs_)
    side = SIDE // CELL
    colours = np.zeros((1, 3, CELL, CELL), np.float32)
    colours[0, 0], colours[0, 2] = 1 / CELL**2, -1 / CELL**2
    weights = {
        "cells": colours,
        "hidden": hidden.reshape(HIDDEN, 1, side, side),
        "hidden_bias": np.asarray(network.intercepts_[0], np.float32),
        "scores": scores.reshape(10, HIDDEN, 1, 1),
        "scores_bias": np.asarray(network.intercepts_[1], np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["image", "cells"], ["in_cells"], "to_cells", strides=[CELL, CELL]),
        helper.make_node("Conv", ["in_cells", "hidden", "hidden_bias"], ["layer"], "layer"),
        helper.make_node("Relu", ["layer"], ["active"], "relu"),
        helper.make_node("Conv", ["active", "scores", "scores_bias"], ["score_map"], "to_scores"),
        helper.make_node("Flatten", ["score_map"], ["logits"], "flatten"),
        helper.make_node("Softmax", ["logits"], ["digit"], "softmax", axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("digit", TensorProto.FLOAT, ["batch", 10])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path


def write_images(images: Pixels, labels: NDArray[np.int64], folder: Path) -> None:
    """Write PNG files named after their digit: 7_0012.png."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        Image.fromarray(image).save(folder / f"{label}_{number:04}.png")


if __name__ == "__main__":
    main()
