"""Feeds trained models wrongly on purpose, and prints what the accuracy passport says of each: none may be ok.

    .venv/bin/python bench/conventions.py [--data FOLDER] [--images N] [--to rvc4 --to rvc2 ...] [--precision FP16]
        [--only squeezenet ...]

The checks ask the float model, which is the same for all platforms; with `--to`, each is converted as well, which takes
about an hour for all three. FOLDER holds models/ and images/.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from oakmill.conversion.events import Progress
from oakmill.conversion.images.samples import Images, SampleSet
from oakmill.conversion.passport import HALF, Passport
from oakmill.conversion.passport.measure import Method, Subject, measure, source_model
from oakmill.conversion.pipeline import convert
from oakmill.conversion.prepare import Needs, prepare
from oakmill.model import load_onnx, open_source
from oakmill.settings import Settings, current
from oakmill.spec import Encoding, InputSpec, Rvc2Spec
from oakmill.spec.inputs import IMAGENET_MEAN, IMAGENET_SCALE
from oakmill.spec.platforms import PLATFORMS

CAFFE = (104.0, 117.0, 123.0)
"""Blue first, as Caffe's models take it."""
RIGHT = "as trained"
RGB, BGR = Encoding.RGB, Encoding.BGR


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


def converted(
    data: Path, model: Trained, feeding: Feeding, images: int, platform: str, precision: str, output: Path
) -> Passport:
    """The passport of the conversion itself."""
    values = {
        "inputs": (feeding.asked,),
        "verification_images": data / "images" / model.photos,
        "max_verification_images": images,
        **({} if platform == "rvc2" else {"target_precision": precision}),
    }
    spec = PLATFORMS[platform].spec.model_validate(values)
    return convert(data / "models" / model.file, spec, output, settings=current(), overwrite=True).passport


def rows(arguments: argparse.Namespace) -> Iterator[tuple[str, ...]]:
    """Each model fed in each way: what is said of it by each platform."""
    for model in MODELS:
        if arguments.only and not model.file.startswith(tuple(arguments.only)):
            continue
        for name, feeding in model.feedings.items():
            for place in arguments.to or ["float"]:
                started = time.monotonic()
                with tempfile.TemporaryDirectory() as folder:
                    work = Path(folder)
                    passport = (
                        asked_float_model(arguments.data, model, feeding, arguments.images, work)
                        if place == "float"
                        else converted(
                            arguments.data, model, feeding, arguments.images, place, arguments.precision, work
                        )
                    )
                advice = [item.remedy for item in passport.findings if item.code == "other_convention"]
                codes = ", ".join(item.code for item in passport.findings)
                seconds = f"{time.monotonic() - started:.1f}"
                yield model.file, name, place, passport.verdict.value, seconds, codes, *advice


def main(words: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--to", action="append", choices=["rvc2", "rvc3", "rvc4"])
    parser.add_argument("--only", nargs="+", help="how the models' files begin")
    parser.add_argument("--precision", default="FP16_STANDARD")
    arguments = parser.parse_args(words)
    print("model | fed | looked at | verdict | seconds | findings | advice", flush=True)
    for row in rows(arguments):
        print(" | ".join(row), flush=True)


if __name__ == "__main__":
    main()
