"""Compiles and runs networks with OpenVINO 2022.

compile   {"library": DIR, "usb": FILE, "model": FILE, "target": FILE, "shaves": 8,
           "superblob": true, "only": [1, 2], "workers": 2, "config": {KEY: VALUE}, "ports": PORTS}
infer     {"library": DIR, "usb": FILE, "model": FILE, "ports": PORTS,
           "samples": [{INPUT: FILE.npy}], "target": FILE.npz}
version   {"library": DIR, "usb": FILE}: the answer is {"build": TEXT}, what the libraries say of themselves

With "only", the superblob has 8 SHAVEs and those, and no patches for others.
PORTS is {"inputs": {NAME: {"precision": "U8", "layout": "NCHW"}}, "outputs": {...}}; an output that is not named
becomes FP16 when it is a float, and keeps its type when it is an integer.
The answer holds the precisions that took effect and the sha256 of each blob by its SHAVEs. Kinds of refusal: engine
(step), when OpenVINO refused; library, when it cannot be loaded; write.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from frame import Refused, report, serve

from .blob import WriteError
from .forked import Compilers, Job
from .openvino import UNNAMED, Engine, Network
from .superblob import BASE, OTHERS, compile_superblob


@contextmanager
def _room_for_the_answer() -> Iterator[None]:
    """Where something cannot be written, what was cut off goes, as the answer needs room.

    Raises:
        Refused: it cannot ("write").
    """
    try:
        yield
    except (WriteError, OSError) as error:
        for cut_off in Path.cwd().glob("*blob"):
            cut_off.unlink()
        raise Refused("write", str(error)) from error


@_room_for_the_answer()
def compile_model(request: dict[str, Any]) -> dict[str, Any]:
    """Compile to a blob or a superblob."""
    engine, network = _open(request)
    ports = _set_ports(network, request["ports"], floats="FP16")
    target, shaves = Path(request["target"]), request["shaves"]
    job = Job(engine, network, request["config"], Path.cwd())
    others = request.get("only", OTHERS)
    with Compilers(job, [BASE, *others] if request["superblob"] else [shaves]) as compilers:
        if request["superblob"]:
            blobs = compile_superblob(compilers, target, request["workers"], report, others)
        else:
            blob = compilers.compile(shaves, lambda s: report(0, 1, f"{shaves} SHAVEs at work for {s:.0f} s"))
            target.write_bytes(blob)
            blobs = {shaves: hashlib.sha256(blob).hexdigest()}
            report(1, 1, f"{shaves} SHAVEs")
    return {"ports": ports, "blobs": blobs}


@_room_for_the_answer()
def infer(request: dict[str, Any]) -> dict[str, Any]:
    """Run the network on the CPU plugin, in float32, on each sample; outputs go to `NAME/INDEX` in one .npz."""
    engine, network = _open(request)
    ports = _set_ports(network, request["ports"], floats="FP32")
    # Without this the plugin computes in bfloat16 on processors that have it.
    executable = engine.compile(network, "CPU", {"ENFORCE_BF16": "NO"})
    results: dict[str, Any] = {}
    for index, sample in enumerate(request["samples"]):
        feeds = {name: np.load(file, mmap_mode="r") for name, file in sample.items()}
        for name, values in executable.infer(feeds, network.outputs).items():
            results[f"{name}/{index}"] = values
        report(index + 1, len(request["samples"]), "images")
    np.savez(request["target"], **results)
    return {"ports": ports}


def tell_version(request: dict[str, Any]) -> dict[str, Any]:
    """The number of OpenVINO's build."""
    return {"build": Engine(Path(request["library"]), Path(request["usb"])).build}


def _open(request: dict[str, Any]) -> tuple[Engine, Network]:
    engine = Engine(Path(request["library"]), Path(request["usb"]))
    return engine, engine.read(Path(request["model"]))


def _set_ports(network: Network, ports: dict[str, Any], floats: str) -> dict[str, Any]:
    """Set precisions and layouts at the boundary, and say what they are then.

    Raises:
        Refused: one is of a type that the C API has no number for, as unsigned integers of 64 bits.
    """
    names = {"input": network.inputs, "output": network.outputs}
    for kind, known in names.items():
        asked = ports[f"{kind}s"]
        for name in known:
            precision = asked.get(name, {}).get("precision")
            if precision is None and network.precision(kind, name) == UNNAMED:  # truth values
                precision = "U8"
            if precision is None and kind == "output" and network.precision(kind, name) == "FP32":
                precision = floats
            if precision is not None:
                network.set_precision(kind, name, precision)
            if layout := asked.get(name, {}).get("layout"):
                network.set_layout(kind, name, layout)
    found = {f"{kind}s": {name: network.precision(kind, name) for name in names[kind]} for kind in names}
    unnamed = [name for side in found.values() for name, precision in side.items() if precision.isdigit()]
    if unnamed:
        raise Refused("engine", f"{unnamed[0]!r} is of a type that OpenVINO's interface has no number for")
    return found


TASKS = {"compile": compile_model, "infer": infer, "version": tell_version}

if __name__ == "__main__":
    sys.exit(serve(TASKS))
