"""The model that shows whether the toolchain works: [1, 2, 4, 3] in, its logistic function as [1, 3, 2, 4] out."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path

import numpy as np

INPUT, OUTPUT = "picture", "scores"
PICTURE = np.linspace(-4, 4, 2 * 4 * 3, dtype=np.float32).reshape(1, 2, 4, 3)
ANSWER = (1 / (1 + np.exp(-PICTURE))).transpose(0, 3, 1, 2)

_MODEL = (
    "eNqNUrFug0AMfcApRRGqGG7okCFbO0bqP0QdMvYHEIqqU0iIgEgZOvQTOuaD+mGxLyYYSKIanszZfs++O2YAPperd3h7xgsM"
    "YiRIYWkFRISUawi/IXAi0EtZYEHgSkOeOYlXAALxuJF/lXzr7Z2+HN9TwTfhh2CoKevMOE74Y82A9e2VmUi+tQX6ZqRnKN/R"
    "IP/E2i5vDtV6pGtV3ds/9WJCUX65unE5rucxnjcUnfmAH4iunj87rutbOo/mi9SM2iaEOi+ri+Kldti/5bL+h49O/Y1y56na"
    "p73D72J9XiD/lb6vUJ2n7q/3v83cTt9XmW22rig8R+sZ/3Q7jWk18efWWSo+Un3Ps0EbSA=="
)
"""784 bytes of TFLite, packed; tests/conversion/tflite_writer.py writes the same."""


def write_model(path: Path) -> Path:
    """Write it."""
    path.write_bytes(zlib.decompress(base64.b64decode(_MODEL)))
    return path
