"""Compiles ONNX through onnxruntime's QNN provider: the HTP backend judges each node, another writes the DLC."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnxruntime as ort
from frame import Refused
from onnxruntime.capi import onnxruntime_pybind11_state as native

PROVIDER = "QNNExecutionProvider"
_QUIET, _VERBOSE = 3, 0
_REFUSALS = tuple(
    getattr(native, name)
    for name in (
        "Fail",
        "InvalidArgument",
        "NoSuchFile",
        "NoModel",
        "EngineError",
        "RuntimeException",
        "InvalidProtobuf",
        "NotImplemented",
        "InvalidGraph",
        "EPFail",
    )
)
_UNIT = re.compile(r"Validation FAILED for \d+ nodes in OrtNodeUnit \((?P<op>[^)]*)\)")
_NODE = re.compile(r"\s*Operator type: (?P<op>\S+) Node name: (?P<name>.*?) Node index: \d+")
_REASON = re.compile(r"\s*REASON : (?P<reason>.*)")
_SETUP = re.compile(r"QNN SetupBackend failed (?P<words>[^\x1b\n]*)")
_HELPERS = ("QuantizeLinear", "DequantizeLinear")


class Compiler:
    """The provider with a folder of QNN libraries, and what is asked of each compilation."""

    def __init__(self, provider: Path, options: Mapping[str, str]) -> None:
        ort.register_execution_provider_library(PROVIDER, str(provider))
        self._devices = [device for device in ort.get_ep_devices() if device.ep_name == PROVIDER][:1]
        if not self._devices:
            raise Refused("library", "onnxruntime finds no device in its QNN provider")
        self._options = dict(options)

    def write_dlc(self, model: Path, folder: Path, soc_model: int, writer: Path) -> Path:
        """Compile for a chip, and write the one DLC that is not prepared for any.

        Raises:
            Refused: nodes would be left to the CPU, or the compiler refused.
        """
        dump = {"dump_qnn_ir_dlc": "1", "dump_qnn_ir_dlc_dir": str(folder), "qnn_ir_backend_path": str(writer)}
        _empty(folder)
        try:
            self._session(model, {**dump, "soc_model": str(soc_model)}, {"session.disable_cpu_ep_fallback": "1"})
        except _REFUSALS as error:
            raise self._explained(model, folder, soc_model, _words(error)) from None
        written = sorted(folder.glob("*.dlc"))
        if len(written) != 1:
            raise Refused("partitioned", f"the compiler wrote {len(written)} graphs", count=len(written))
        return written[0]

    def write_caches(self, model: Path, folder: Path, soc_models: list[int]) -> Path:
        """Prepare the graph for each chip, and write one DLC that holds the caches alone.

        Raises:
            Refused: the compiler refused.
        """
        _empty(folder)
        context = folder / "caches.onnx"
        # With a comma the provider writes a DLC, even for one chip; without one, a bare cache.
        chips = ",".join(map(str, soc_models)) + ("," if len(soc_models) == 1 else "")
        entries = {
            "session.disable_cpu_ep_fallback": "1",
            "ep.context_enable": "1",
            "ep.context_embed_mode": "0",
            "ep.context_file_path": str(context),
        }
        try:
            self._session(model, {"soc_model": chips}, entries)
        except _REFUSALS as error:
            raise Refused("session", _words(error)) from None
        written = sorted(folder.glob("*.bin"))
        if len(written) != 1:
            raise Refused("partitioned", f"the compiler wrote {len(written)} files of caches", count=len(written))
        return written[0]

    def _session(
        self, model: Path, options: Mapping[str, str], entries: Mapping[str, str], severity: int = _QUIET
    ) -> Any:
        wanted = ort.SessionOptions()
        wanted.log_severity_level = severity
        for name, value in entries.items():
            wanted.add_session_config_entry(name, value)
        wanted.add_provider_for_devices(self._devices, {**self._options, **options})
        return ort.InferenceSession(str(model), wanted)

    def _explained(self, model: Path, folder: Path, soc_model: int, message: str) -> Refused:
        """The refusal with the nodes that would be left to the CPU, found by a second try that allows that."""
        log = folder / "verbose.log"
        entries = {"session.record_ep_graph_assignment_info": "1"}
        left: list[tuple[str, str]] = []
        try:
            with _output_in(log):
                session = self._session(model, {"soc_model": str(soc_model)}, entries, _VERBOSE)
                left = _left_to_cpu(session)
        except _REFUSALS as error:
            message = _words(error)
        reasons, broken = _reasons(log)
        log.unlink(missing_ok=True)
        if broken:
            return Refused("library", broken)
        if not left:
            return Refused("session", message, reasons=sorted(set(reasons.values())))
        nodes = [{"op": op, "name": name, "reason": reasons.get((op, name), "")} for op, name in left]
        return Refused("not_on_npu", f"{len(nodes)} nodes are left to the CPU", nodes=nodes)


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()


def _words(error: BaseException) -> str:
    return re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", str(error)).strip()


def _left_to_cpu(session: Any) -> list[tuple[str, str]]:
    """Type and name of the nodes that the provider did not take; helpers only where there is nothing else."""
    parts = [part for part in session.get_provider_graph_assignment_info() if part.ep_name != PROVIDER]
    nodes = [(node.op_type, node.name) for part in parts for node in part.get_nodes()]
    return [node for node in nodes if node[0] not in _HELPERS] or nodes


def _reasons(log: Path) -> tuple[dict[tuple[str, str], str], str]:
    """From the provider's verbose log: why each node was refused, by type and name; and why all of QNN was, if so."""
    reasons: dict[tuple[str, str], str] = {}
    nodes: list[tuple[str, str]] = []
    broken = ""
    with log.open(errors="replace") as lines:
        for line in lines:
            if _UNIT.search(line):
                nodes = []
            elif found := _NODE.match(line):
                nodes.append((found["op"], found["name"]))
            elif found := _REASON.match(line):
                reasons.update({node: found["reason"].strip() for node in nodes if node not in reasons})
                nodes = []
            elif found := _SETUP.search(line):
                broken = found["words"].strip()
    return reasons, broken


@contextmanager
def _output_in(log: Path) -> Iterator[None]:
    """What this process writes to stdout and stderr, from native code too, goes into a file meanwhile."""
    copies = [(stream, os.dup(stream)) for stream in (1, 2)]
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        for stream, _ in copies:
            os.dup2(file, stream)
        yield
    finally:
        for stream, copy in copies:
            os.dup2(copy, stream)
            os.close(copy)
        os.close(file)
