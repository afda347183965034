"""Measures which operators each toolchain compiles, and whether what it compiles computes the same: the op tables.

    .venv/bin/python bench/coverage/measure.py [--platforms rvc2 rvc4] [--work FOLDER] [--only WORD,...] [--processes 2]

Every case of cases.py is made at every opset from 11 to 20 that has it and sent through the product's own stages:
prepare, quantize where the mode does, compile in the toolchain's sandbox. What compiles is run, on OpenVINO's CPU
plugin for RVC2, and on Qualcomm's emulated processor for RVC4, and compared with onnxruntime on the source model. Equal
prepared graphs, whose operators are of the same versions, are compiled once. Answers are kept in the work folder, and
not asked for again. Writes src/oakmill/preflight/coverage/*.json, which the preflight reads.

RVC4's graphs are compiled in INT8 and in FP16. A platform whose toolchain is not installed is left out.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import logging
import shutil
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from cases import cases
from judging import MODES, Judge
from making import Case
from tables import merged, stored, to_measure, write_table
from warm import Warm

from oakmill.settings import Settings, current
from oakmill.toolchains import catalog
from oakmill.toolchains.base import State

CASES = {item.name: item for item in cases()}
Outcomes = dict[str, Any]

_judges: dict[str, Judge] = {}
_warm: Warm | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--platforms", nargs="+", default=list(MODES), choices=list(MODES))
    parser.add_argument("--work", type=Path, default=Path("/tmp/oakmill-coverage"))
    parser.add_argument(
        "--only", default="", metavar="WORD,...",
        help="measure only cases whose name holds such a word, or `new` ones, and leave the table's other rows",
    )  # fmt: skip
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    (arguments.work / "answers").mkdir(parents=True, exist_ok=True)
    for platform in arguments.platforms:
        toolchain = catalog.find(platform, current())
        if toolchain.status().state is not State.INSTALLED:
            print(f"{platform}: {toolchain.name} is not installed, and left out", file=sys.stderr)
            continue
        started = time.monotonic()
        known = stored(platform, CASES) if arguments.only else {}
        chosen = to_measure(CASES, arguments.only, known) if arguments.only else CASES
        answers = measured(platform, arguments.work, list(chosen), arguments.processes)
        if arguments.only:
            print(json.dumps(answers, indent=1))
        found = {**known, **merged(chosen, answers)}
        path, counts = write_table(platform, toolchain.name, MODES[platform], len(CASES), found)
        print(f"{platform}: {counts} in {time.monotonic() - started:.0f} s, written to {path}")


def measured(platform: str, work: Path, names: Sequence[str], processes: int) -> dict[str, Outcomes]:
    """What was found of each case: {case: {opset: {mode: [word, reason]}}}."""
    with ProcessPoolExecutor(processes, initializer=begin, initargs=(work,)) as pool:
        tasks = {pool.submit(answer, platform, name, work): name for name in names}
        for done, task in enumerate(as_completed(tasks), 1):
            task.result()
            if sys.stderr.isatty() or not done % 100:
                print(f"\r{platform}: {done} of {len(tasks)} ", end="", file=sys.stderr, flush=True)
        pool.submit(end).result()
    print(file=sys.stderr)
    return {name: json.loads(place(platform, CASES[name], work).read_text()) for name in names}


def begin(work: Path) -> None:
    """A process of the pool: its own folder and its own warm runners."""
    global _warm  # noqa: PLW0603 - one for the process
    import os

    logging.disable(logging.WARNING)
    folder = work / f"process-{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    _warm = Warm(folder / "jobs")


def end() -> None:
    """The pool's processes end with their runners, which die with them."""


def place(platform: str, item: Case, work: Path) -> Path:
    """Where a case's answer is kept: by all that makes its models."""
    seen = hashlib.sha256()
    for opset in item.opsets:
        model = item.model(opset)
        seen.update(model.SerializeToString(deterministic=True) if model is not None else b"-")
    for sample in range(2):
        for values in item.feeds(sample).values():
            seen.update(values.tobytes())
    return work / "answers" / f"{platform}-{seen.hexdigest()[:24]}.json"


def answer(platform: str, name: str, work: Path) -> None:
    """Measure a case, unless that was done before."""
    item = CASES[name]
    path = place(platform, item, work)
    if path.is_file():
        return
    assert _warm is not None
    with _warm_once(_warm):
        judge = _judges.get(platform) or _judges.setdefault(platform, Judge(platform, _settings(work), _warm.folder))
        path.write_text(json.dumps(outcomes(item, judge)))


class _warm_once:  # noqa: N801 - reads as a with statement
    """The door leads to the warm runners, which stay when the context is left."""

    def __init__(self, warm: Warm) -> None:
        self.warm = warm

    def __enter__(self) -> None:
        self.warm.__enter__()

    def __exit__(self, *error: object) -> None:
        """They serve until the process ends."""


def _settings(work: Path) -> Settings:
    """The user's toolchains, and caches of our own."""
    home = work / "home"
    home.mkdir(exist_ok=True)
    if not (home / "toolchains").exists():
        with contextlib.suppress(FileExistsError):  # the other process was quicker
            (home / "toolchains").symlink_to(current().toolchains, target_is_directory=True)
    return current().model_copy(update={"home": home})


def outcomes(item: Case, judge: Judge) -> Outcomes:
    """A case's outcomes by opset and mode."""
    models = ((opset, item.model(opset)) for opset in item.opsets)
    return {str(opset): judge.judge(item, model) for opset, model in models if model is not None}


if __name__ == "__main__":
    main()
