"""The user's own Qualcomm SDK (QAIRT, SNPE): its libraries, its version, and its three tools run behind the wall.

It was not run against a real SDK: none is public on the machine where it was written. The folder's layout, the tools'
options and the version file are those of Qualcomm's documentation and of public build scripts that use them; the
tests run programs that stand in for the tools.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from oakmill.errors import CompileFailed, OutputError, ToolchainBroken, ToolchainMissing, ToolKilled
from oakmill.files import expanded
from oakmill.processes import plain, sandbox
from oakmill.processes.events import Watcher, ignore
from oakmill.processes.run import Finished, run
from oakmill.processes.sandbox import Limits
from oakmill.settings import Settings
from oakmill.toolchains.rvc4.sdk_python import Python, converter_python
from oakmill.toolchains.rvc4.snpe_options import GRAPH_PREPARE, ONNX_TO_DLC, QUANT

HOST = "x86_64-linux-clang"
LIBRARIES = ("libQnnHtp.so", "libQnnIr.so", "libQnnSystem.so", "libSNPE.so")
TOOLS: Mapping[str, tuple[str, ...]] = {
    ONNX_TO_DLC: ("snpe-onnx-to-dlc",),
    QUANT: ("snpe-dlc-quant", "snpe-dlc-quantize"),
    GRAPH_PREPARE: ("snpe-dlc-graph-prepare",),
    "snpe-dlc-info": ("snpe-dlc-info",),
}
"""The tools by their names now, each with the names that SDKs have for it."""

_SCRIPTS = (ONNX_TO_DLC, "snpe-dlc-info")
_STATED = re.compile(r"""^\s*version\s*:\s*["']?v?(\d+\.\d+(?:\.\d+){0,2})["']?\s*$""", re.MULTILINE)
_IN_NAME = re.compile(r"(?:^|[-_v])(\d+\.\d+\.\d+(?:\.\d+)?)$")
_VERSION_BYTES = 1 << 16
_ERROR_LINE = re.compile(r"\berror|exception|fail|\[\s*E\s*\]", re.IGNORECASE)
_NO_MODULE = re.compile(r"No module named '([\w.]+)'")
_ERROR_LINES, _OTHER_LINES = 5, 3


@dataclass(frozen=True)
class Sdk:
    """An SDK that was found whole: its folder and its version, such as "2.41.0" or "2.41.0.251128"."""

    root: Path
    version: str

    @classmethod
    def at(cls, root: Path) -> Sdk:
        """The SDK in the folder `root`, checked.

        Raises:
            ToolchainMissing: there is no such folder, or it is none of an SDK.
            ToolchainBroken: a tool or library is missing, or the version cannot be told.
        """
        root = expanded(root).absolute()
        _require_sdk(root)
        _require_parts(root)
        return cls(root, _version(root))

    @property
    def libraries(self) -> Path:
        """The folder of its libraries for Linux on x86-64."""
        return self.root / "lib" / HOST

    def tool(self, name: str) -> Path:
        """The file of a tool of TOOLS.

        Raises:
            ToolchainBroken: it is missing.
        """
        return _tool(self.root, name)

    def onnx_to_dlc(
        self,
        model: Path,
        out: Path,
        words: Sequence[str],
        *,
        job: Path,
        settings: Settings,
        overrides: Path | None = None,
        watch: Watcher = ignore,
    ) -> Path:
        """Convert an ONNX model to a DLC of float numbers, and return `out`.

        `words` are checked by `snpe_arguments`, with what the caller adds (--input_dim, --input_layout, --out_node).
        Weights beside the model are readable. Raises as `quantize`, and:

        Raises:
            ToolchainMissing: there is no Python that the tool runs on, or packages are missing there.
        """
        python = converter_python(self.root, settings, watch)
        files = ["--quantization_overrides", str(overrides.absolute())] if overrides else []
        return self._run(
            ONNX_TO_DLC,
            ["--input_network", str(model.absolute()), *files, *words],
            out,
            read=[model.absolute().parent, *([overrides.absolute()] if overrides else [])],
            job=job,
            settings=settings,
            python=python,
            watch=watch,
        )

    def quantize(
        self,
        dlc: Path,
        input_list: Path,
        out: Path,
        words: Sequence[str],
        *,
        job: Path,
        settings: Settings,
        data: Sequence[Path] = (),
        watch: Watcher = ignore,
    ) -> Path:
        """Quantize a DLC by the files that `input_list` names, which lie in the folders `data`, and return `out`.

        Raises:
            CompileFailed: the tool refused; the message holds its own last words.
            ToolKilled, LimitExceeded: it did not come to its end.
            IsolationMissing: the settings require a sandbox and none works here.
        """
        arguments = ["--input_dlc", str(dlc.absolute()), "--input_list", str(input_list.absolute()), *words]
        read = [dlc.absolute(), input_list.absolute(), *(folder.absolute() for folder in data)]
        return self._run(QUANT, arguments, out, read=read, job=job, settings=settings, watch=watch)

    def graph_prepare(
        self,
        dlc: Path,
        out: Path,
        words: Sequence[str],
        *,
        job: Path,
        settings: Settings,
        watch: Watcher = ignore,
    ) -> Path:
        """Add a prepared cache to a DLC, by `snpe_spec.prepare_words`, and return `out`. Raises as `quantize`."""
        arguments = ["--input_dlc", str(dlc.absolute()), *words]
        return self._run(GRAPH_PREPARE, arguments, out, read=[dlc.absolute()], job=job, settings=settings, watch=watch)

    def _run(
        self,
        name: str,
        arguments: Sequence[str],
        out: Path,
        *,
        read: Sequence[Path],
        job: Path,
        settings: Settings,
        python: Python | None = None,
        watch: Watcher = ignore,
    ) -> Path:
        """Run a tool that writes a DLC, in the folder `job`, which may be new, and bring that DLC to `out`."""
        job = job.absolute()
        (job / "tmp").mkdir(parents=True, exist_ok=True)
        written = job / "written.dlc"
        written.unlink(missing_ok=True)
        target = ["--output_path" if name == ONNX_TO_DLC else "--output_dlc", str(written)]
        limits = Limits.of(settings)
        interpreter = [str(python.program), "-s"] if python else []
        command = sandbox.command(
            [*interpreter, str(self.tool(name)), *arguments, *target],
            read=list(dict.fromkeys([self.root, *read, *(python.folders if python else ())])),
            write=[job],
            env=self._environment(job, python.libraries if python else ()),
            limits=limits,
            isolation=sandbox.choose(settings),
        )
        finished = run(command, cwd=job, limits=limits, watch=watch, name=name)
        _require_success(name, finished, written, self.root)
        plain.require(job, name, log=finished.log_tail)
        return _bring(written, out)

    def _environment(self, job: Path, libraries: Sequence[Path]) -> dict[str, str]:
        """What the SDK's own envsetup.sh sets, and nothing of the user's."""
        return {
            "PATH": f"{self.root / 'bin' / HOST}:/usr/bin:/bin",
            "LD_LIBRARY_PATH": ":".join(map(str, (self.libraries, *libraries))),
            "PYTHONPATH": str(self.root / "lib" / "python"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            "PYTHONHASHSEED": "0",
            **dict.fromkeys(("SNPE_ROOT", "QNN_SDK_ROOT", "QAIRT_SDK_ROOT"), str(self.root)),
            "HOME": str(job),
            "TMPDIR": str(job / "tmp"),
            "LANG": "C.UTF-8",
        }


def _require_sdk(root: Path) -> None:
    if not root.is_dir():
        raise ToolchainMissing(
            f"{root} is not a folder, so it holds no Qualcomm SDK.",
            subject=str(root),
            remedy="Name the unpacked SDK's folder, the one with bin, lib and sdk.yaml.",
        )
    if (root / "bin" / HOST).is_dir() or (root / "lib" / HOST).is_dir():
        return
    inside = sorted({found.parent.parent for depth in ("*", "*/*") for found in root.glob(f"{depth}/bin/{HOST}")})
    hint = f"It lies deeper: {inside[0].relative_to(root)}." if inside else ""
    raise ToolchainMissing(
        f"{root} holds no Qualcomm SDK for Linux on x86-64: there is no bin/{HOST}.",
        subject=str(root),
        remedy=hint or "Name the unpacked SDK's folder, the one with bin, lib and sdk.yaml.",
    )


def _require_parts(root: Path) -> None:
    for name in TOOLS:
        _tool(root, name)
    wanted = [Path("lib", HOST, library) for library in LIBRARIES]
    missing = [str(part) for part in wanted if not (root / part).is_file()]
    if not (root / "lib" / "python").is_dir():
        missing.append("lib/python")
    if missing:
        raise ToolchainBroken(
            f"The SDK in {root} is not whole: {', '.join(missing)} missing.",
            subject=str(root),
            remedy="Unpack it again, the whole archive.",
        )


def _tool(root: Path, name: str) -> Path:
    """The file of a tool; unzipped by some programs, it lacks the permission to run."""
    found = next((path for own in TOOLS[name] if (path := root / "bin" / HOST / own).is_file()), None)
    if found is None:
        raise ToolchainBroken(
            f"The SDK in {root} is not whole: bin/{HOST}/{' or '.join(TOOLS[name])} missing.",
            subject=str(root),
            remedy="Unpack it again, the whole archive.",
        )
    if name not in _SCRIPTS and not os.access(found, os.X_OK):
        raise ToolchainBroken(f"{found} may not be run.", subject=str(root), remedy=f"chmod +x {root / 'bin' / HOST}/*")
    return found


def _version(root: Path) -> str:
    """The version that sdk.yaml states, or else the folder's name, as Qualcomm's archives have it."""
    file = root / "sdk.yaml"
    try:
        with file.open("rb") as opened:
            stated = _STATED.search(opened.read(_VERSION_BYTES).decode(errors="replace"))
    except OSError:
        stated = None
    found = stated or _IN_NAME.search(root.resolve().name)
    if found is None:
        raise ToolchainBroken(
            f"The version of the SDK in {root} cannot be told: sdk.yaml states none, nor does the folder's name.",
            subject=str(root),
            remedy="Give the folder its own name back, such as 2.41.0.251128, or write `version: 2.41.0` in sdk.yaml.",
        )
    return found[1]


def _require_success(name: str, finished: Finished, written: Path, root: Path) -> None:
    """Turn a failed run into the error that it stands for."""
    code, log = finished.returncode, finished.log_tail
    number = -code if code < 0 else code - 128
    if number in signal.valid_signals() and number < signal.SIGRTMIN:
        raise ToolKilled(
            f"{name} was ended by signal {number} ({signal.Signals(number).name}).",
            remedy="The end of its log may name the layer; free some memory and try again.",
            log=log,
        )
    if code == 0 and written.is_file() and written.stat().st_size:
        return
    if missing := _NO_MODULE.search(log):
        raise ToolchainMissing(
            f"{name} needs the Python package {missing[1]!r}, and its Python has none.",
            subject=str(root),
            remedy=f"Install what the SDK asks for in that Python: python {root / 'bin' / 'check-python-dependency'}",
            log=log,
        )
    ended = f"{name} failed (exit code {code})" if code else f"{name} ended well but wrote no DLC"
    raise CompileFailed(f"{ended}. It says: {last_words(log)}", remedy="see the log with -v", log=log)


def last_words(log: str) -> str:
    """The last lines of a tool's log that speak of an error, or else its last lines."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if _ERROR_LINE.search(line)][-_ERROR_LINES:]
    return " / ".join(errors or lines[-_OTHER_LINES:]) or "nothing"


def _bring(written: Path, out: Path) -> Path:
    """Move the DLC out of the job's folder."""
    try:
        shutil.move(written, out)
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error.strerror}.", subject=str(out)) from None
    return out
