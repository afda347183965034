"""`python -m runner JOB_DIR`: does what JOB_DIR/request.json asks and answers with JOB_DIR/result.json.

Requests (version 1), all paths absolute or relative to JOB_DIR; LIBRARIES is {"qnn": DIR, "provider": FILE}:

compile   {"action": "compile", "libraries": LIBRARIES, "model": FILE, "soc_model": 66, "options": {KEY: VALUE}}
          answers {"dlc": FILE}, as the compiler wrote it
prepare   {"action": "prepare", "libraries": LIBRARIES, "model": FILE, "soc_models": [66, 57], "options": {KEY: VALUE}}
          answers {"dlc": FILE}, which holds caches alone; its own process, for after another session it crashes
read      {"action": "read", "libraries": LIBRARIES, "dlc": FILE, "soc_model": 66}
          answers {"qairt": BUILD, "inputs": [PORT], "outputs": [PORT]}
run       as read, and {"half": false, "samples": [{INPUT: FILE.npy}], "target": FILE.npz}
          answers as read; outputs, in the file's own types, go to `NAME/INDEX` in the .npz

PORT is {"name", "shape", "dtype", "scale", "offset"}. When it cannot be done the answer is "error" with exit code 1:
kind not_on_npu (nodes: [{op, name, reason}]), session (reasons), partitioned (count), qnn (step), graph, library.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from . import htp, qnn
from .htp import Graph, Htp
from .provider import Compiler, Refused


def main() -> int:
    """Serve the one request of the job folder; 0 when it was done."""
    job = Path(sys.argv[1])
    os.chdir(job)
    request = json.loads(Path("request.json").read_text())
    try:
        result = ACTIONS[request["action"]](request, job)
    except Refused as error:
        result = {"error": {"kind": error.kind, "message": str(error), **error.details}}
    except qnn.QnnError as error:
        result = {"error": {"kind": "qnn", "message": str(error), "step": error.step}}
    except htp.GraphError as error:
        result = {"error": {"kind": "graph", "message": str(error)}}
    except qnn.LibraryError as error:
        result = {"error": {"kind": "library", "message": str(error)}}
    (job / "result.json").write_text(json.dumps(result))
    return 1 if "error" in result else 0


def compile_model(request: dict[str, Any], job: Path) -> dict[str, Any]:
    """Write the model's DLC."""
    writer = Path(request["libraries"]["qnn"]) / "libQnnIr.so"
    with model_here(request, job) as model:
        written = _compiler(request).write_dlc(model, job / "model", request["soc_model"], writer)
    return {"dlc": str(written)}


def prepare(request: dict[str, Any], job: Path) -> dict[str, Any]:
    """Write a DLC of caches for chips."""
    with model_here(request, job) as model:
        written = _compiler(request).write_caches(model, job / "caches", request["soc_models"])
    return {"dlc": str(written)}


def _compiler(request: dict[str, Any]) -> Compiler:
    return Compiler(Path(request["libraries"]["provider"]), request["options"])


@contextmanager
def model_here(request: dict[str, Any], job: Path) -> Iterator[Path]:
    """The model as model.onnx in a folder of our own, which becomes the current one meanwhile.

    The graph's name in the DLC is a hash of the model's path, so that has to be the same each time; and the compiler
    crashes where it cannot write into the current folder. External data is looked for beside the model's name.
    """
    source, model = Path(request["model"]), Path("model.onnx")
    with tempfile.TemporaryDirectory(dir=job) as folder:
        os.chdir(folder)
        model.symlink_to(source)
        for file in source.parent.iterdir():
            if file.name not in (source.name, model.name):
                Path(file.name).symlink_to(file)
        yield model
        os.chdir(job)


def read(request: dict[str, Any], job: Path) -> dict[str, Any]:
    """Say what the file states of itself."""
    return _open(request)[1]


def run(request: dict[str, Any], job: Path) -> dict[str, Any]:
    """Run the file's graph on each sample."""
    graph, answer = _open(request)
    graph.prepare(request["half"])
    results: dict[str, Any] = {}
    for index, sample in enumerate(request["samples"]):
        feeds = {name: np.load(file) for name, file in sample.items()}
        for name, values in graph.execute(feeds).items():
            results[f"{name}/{index}"] = values
        report(index + 1, len(request["samples"]), "images on the emulated HTP")
    np.savez(request["target"], **results)
    return answer


def _open(request: dict[str, Any]) -> tuple[Graph, dict[str, Any]]:
    backend = Htp(Path(request["libraries"]["qnn"]), request["soc_model"])
    graph = backend.open(Path(request["dlc"]))
    return graph, {"qairt": backend.build, **graph.ports()}


def report(done: int, total: int, what: str) -> None:
    """Tell the caller how far this is, on the descriptor it gave."""
    if descriptor := os.environ.get("OAKMILL_EVENTS_FD"):
        event = {"progress": {"done": done, "of": total, "what": what}}
        os.write(int(descriptor), json.dumps(event).encode() + b"\n")


ACTIONS = {"compile": compile_model, "prepare": prepare, "read": read, "run": run}

if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # some of QAIRT's versions crash when their libraries are unloaded (2.48)
