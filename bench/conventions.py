"""Feeds trained models wrongly on purpose, and prints what the accuracy passport says of each: none may be ok.

    .venv/bin/python bench/conventions.py [--data FOLDER] [--images N] [--to rvc2 rvc3 rvc4] [--only squeezenet ...]
        [--results FILE]

The checks ask the float model, which is the same for all platforms; with `--to`, each is converted as well, to a blob
for 8 SHAVEs on RVC2, and in FP16 elsewhere. FOLDER holds models/ and images/. Each row is a line of the results file;
what stands there is not asked again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from oakmill.conversion.events import Progress
from oakmill.conversion.images.samples import Images, SampleSet
from oakmill.conversion.passport import HALF, Passport
from oakmill.conversion.passport.measure import Method, Subject, measure, source_model
from oakmill.conversion.pipeline import convert
from oakmill.conversion.prepare import Needs, prepare
from oakmill.errors import VerificationFailed
from oakmill.model import load_onnx, open_source
from oakmill.settings import Settings, current
from oakmill.spec import Encoding, InputSpec, Rvc2Spec
from oakmill.spec.inputs import IMAGENET_MEAN, IMAGENET_SCALE
from oakmill.spec.platforms import PLATFORMS

CAFFE = (104.0, 117.0, 123.0)
"""Blue first, as Caffe's models take it."""
RIGHT = "as trained"
RGB, BGR = Encoding.RGB, Encoding.BGR
Row = dict[str, str]


@dataclass(frozen=True)
class Feeding:
    """One way to feed a model."""

    encoding: Encoding
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()

    @property
    def asked(self) -> InputSpec:
        """As a conversion is asked."""
        return InputSpec(encoding_from=self.encoding, mean_values=self.mean or None, scale_values=self.scale or None)


@dataclass(frozen=True)
class Trained:
    """A model, photos with what it knows, and how it was trained to be fed; the other ways are wrong."""

    file: str
    photos: str
    feedings: dict[str, Feeding]


WRONG = {
    "0 to 1": Feeding(RGB, (), (255.0,)),
    "ImageNet's": Feeding(RGB, IMAGENET_MEAN, IMAGENET_SCALE),
    "ImageNet's mean, by 255": Feeding(RGB, IMAGENET_MEAN, (255.0,)),
}
SIGNED, RAW = Feeding(RGB, (127.5,), (127.5,)), Feeding(RGB)
MODELS = (
    Trained(
        "squeezenet1.1_fp32.onnx",
        "imagenet",
        {
            RIGHT: Feeding(BGR, CAFFE),
            **WRONG,
            "by 255 too": Feeding(BGR, CAFFE, (255.0,)),
            "-1 to 1": SIGNED,
            "colours exchanged": Feeding(RGB, CAFFE[::-1]),
        },
    ),
    Trained(
        "yolox_nano_416.onnx",
        "coco/train2017",
        {
            RIGHT: Feeding(BGR),
            **WRONG,
            "-1 to 1": SIGNED,
            "mean only": Feeding(BGR, CAFFE),
            "by 255 in its order": Feeding(BGR, (), (255.0,)),
        },
    ),
    Trained(
        "ultraface_rfb_320.onnx",
        "coco/train2017",
        {
            RIGHT: Feeding(RGB, (127.0,), (128.0,)),
            **WRONG,
            "raw": RAW,
            "mean only": Feeding(RGB, IMAGENET_MEAN),
            "colours exchanged": Feeding(BGR, (127.0,), (128.0,)),
        },
    ),
)


def asked_float_model(data: Path, model: Trained, feeding: Feeding, images: int, work: Path) -> Passport:
    """What the passport says of the float model alone, as though the conversion changed nothing."""
    source = open_source(data / "models" / model.file, work, Settings())
    progress = Progress()
    prepared = prepare(load_onnx(source), source, [feeding.asked], Rvc2Spec(), Needs(highest_opset=20), progress)
    samples = SampleSet.of_files(prepared.boundary, data / "images" / model.photos, images, 0)
    float_model = source_model(prepared)
    same = Method("float", "the source model against itself", float_model, float_model, HALF)
    return measure(Subject("rvc2", prepared, Images(samples), float_model, (same,), ()), progress)


def converted(data: Path, model: Trained, feeding: Feeding, images: int, platform: str, output: Path) -> Passport:
    """The passport of the conversion itself."""
    values = {
        "inputs": (feeding.asked,),
        "verification_images": data / "images" / model.photos,
        "max_verification_images": images,
        **({"blob": True} if platform == "rvc2" else {"target_precision": "FP16_STANDARD"}),
    }
    spec = PLATFORMS[platform].spec.model_validate(values)
    return convert(data / "models" / model.file, spec, output, settings=current(), overwrite=True).passport


def row(data: Path, model: Trained, name: str, images: int, place: str) -> Row:
    """What is said of a model that is fed in the named way, by a platform or of the float model alone."""
    started = time.monotonic()
    feeding = model.feedings[name]
    found = {"model": model.file, "fed": name, "place": place, "images": str(images)}
    with tempfile.TemporaryDirectory() as folder:
        try:
            if place == "float":
                passport = asked_float_model(data, model, feeding, images, Path(folder))
            else:
                passport = converted(data, model, feeding, images, place, Path(folder))
        except VerificationFailed as error:  # there is no file, and so none that is wrong
            seconds = f"{time.monotonic() - started:.1f}"
            return {**found, "verdict": "refused", "seconds": seconds, "findings": error.message, "advice": ""}
    return {
        **found,
        "verdict": passport.verdict.value,
        "seconds": f"{time.monotonic() - started:.1f}",
        "findings": ", ".join(item.code for item in passport.findings),
        "advice": "; ".join(item.remedy for item in passport.findings if item.code == "other_convention"),
    }


def known(file: Path) -> dict[tuple[str, ...], Row]:
    """The rows of a results file by model, feeding, place and number of images; of two the newer one counts."""
    lines = file.read_text().splitlines() if file.is_file() else []
    rows: list[Row] = [json.loads(line) for line in lines]
    return {tuple(found[key] for key in ("model", "fed", "place", "images")): found for found in rows}


def main(words: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--to", nargs="+", default=["float"], choices=["rvc2", "rvc3", "rvc4"])
    parser.add_argument("--only", nargs="+", default=[""], help="how the models' files begin")
    parser.add_argument("--results", type=Path, default=Path("/tmp/oakmill-conventions.jsonl"))
    arguments = parser.parse_args(words)
    asked = [
        (model, name, place)
        for place in arguments.to
        for model in MODELS
        if model.file.startswith(tuple(arguments.only))
        for name in model.feedings
    ]
    found = known(arguments.results)
    print("model | fed | looked at | images | verdict | seconds | findings | advice", flush=True)
    with arguments.results.open("a") as results:
        for model, name, place in asked:
            key = (model.file, name, place, str(arguments.images))
            if key not in found:
                found[key] = row(arguments.data, model, name, arguments.images, place)
                print(json.dumps(found[key]), file=results, flush=True)
            print(" | ".join(found[key].values()), flush=True)


if __name__ == "__main__":
    main()
