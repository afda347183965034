"""Writes, reads and runs DLCs with QAIRT's libraries; LIBRARIES is {"qnn": DIR, "provider": FILE}.

compile   {"libraries": LIBRARIES, "model": FILE, "soc_model": 66, "options": {KEY: VALUE}}
          answers {"dlc": FILE}, as the compiler wrote it
prepare   {"libraries": LIBRARIES, "model": FILE, "soc_models": [66, 57], "options": {KEY: VALUE}}
          answers {"dlc": FILE}, which holds caches alone; its own process, for after another session it crashes
read      {"libraries": LIBRARIES, "dlc": FILE, "soc_model": 66}
          answers {"qairt": BUILD, "inputs": [PORT], "outputs": [PORT]}
run       as read, and {"half": false, "samples": [{INPUT: FILE.npy}], "target": FILE.npz, "seconds": 60 or null}
          answers as read, and {"ran": COUNT}; outputs, in the file's own types, go to `NAME/INDEX` in the .npz

PORT is {"name", "shape", "dtype", "scale", "offset"}. Kinds of refusal:
not_on_npu (nodes: [{op, name, reason}]), session (reasons), partitioned (count), qnn (step), graph, library.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from frame import report, serve

from .htp import Graph, Htp
from .provider import Compiler


def compile_model(request: dict[str, Any]) -> dict[str, Any]:
    """Write the model's DLC."""
    writer = Path(request["libraries"]["qnn"]) / "libQnnIr.so"
    with model_here(request) as (model, job):
        written = _compiler(request).write_dlc(model, job / "model", request["soc_model"], writer)
    return {"dlc": str(written)}


def prepare(request: dict[str, Any]) -> dict[str, Any]:
    """Write a DLC of caches for chips."""
    with model_here(request) as (model, job):
        written = _compiler(request).write_caches(model, job / "caches", request["soc_models"])
    return {"dlc": str(written)}


def _compiler(request: dict[str, Any]) -> Compiler:
    return Compiler(Path(request["libraries"]["provider"]), request["options"])


@contextmanager
def model_here(request: dict[str, Any]) -> Iterator[tuple[Path, Path]]:
    """The model as model.onnx in a folder of our own, which becomes the current one meanwhile; and the job's folder.

    The graph's name in the DLC is a hash of the model's path, so that has to be the same each time; and the compiler
    crashes where it cannot write into the current folder. External data is looked for beside the model's name.
    """
    source, model, job = Path(request["model"]), Path("model.onnx"), Path.cwd()
    with tempfile.TemporaryDirectory(dir=job) as folder:
        os.chdir(folder)
        model.symlink_to(source)
        for file in source.parent.iterdir():
            if file.name not in (source.name, model.name):
                Path(file.name).symlink_to(file)
        yield model, job
        os.chdir(job)


def read(request: dict[str, Any]) -> dict[str, Any]:
    """Say what the file states of itself."""
    return _open(request)[1]


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Run the file's graph on each sample, one at least, while the next one ends within the time that is given."""
    graph, answer = _open(request)
    graph.prepare(request["half"])
    results: dict[str, Any] = {}
    started, ran = time.monotonic(), 0
    for index, sample in enumerate(request["samples"]):
        if ran and request.get("seconds") and (time.monotonic() - started) * (ran + 1) / ran > request["seconds"]:
            break
        feeds = {name: np.load(file) for name, file in sample.items()}
        for name, values in graph.execute(feeds).items():
            results[f"{name}/{index}"] = values
        ran = index + 1
        report(ran, len(request["samples"]), "images on the emulated HTP")
    np.savez(request["target"], **results)
    return {**answer, "ran": ran}


def _open(request: dict[str, Any]) -> tuple[Graph, dict[str, Any]]:
    backend = Htp(Path(request["libraries"]["qnn"]), request["soc_model"])
    graph = backend.open(Path(request["dlc"]))
    return graph, {"qairt": backend.build, **graph.ports()}


TASKS = {"compile": compile_model, "prepare": prepare, "read": read, "run": run}

if __name__ == "__main__":
    status = serve(TASKS)
    sys.stdout.flush()
    os._exit(status)  # some of QAIRT's versions crash when their libraries are unloaded (2.48)
