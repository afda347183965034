"""Nothing reports home: not Oakmill, and not the libraries that would if they were let.

onnxruntime 1.29 began to report every session to its maker; it also wrote an identifier into the temporary folder,
which is how it was noticed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

USE = """
import oakmill.graph.equality as equality
from onnx import parser
model = parser.parse_model('<ir_version: 8, opset_import: ["": 16]> g (float[1] x) => (float[1] y) { y = Relu (x) }')
import numpy
equality.Session(model).run({"x": numpy.ones(1, numpy.float32)})
"""


def test_onnxruntime_leaves_no_identifier_and_starts_no_uploader(tmp_path: Path) -> None:
    variables = {**os.environ, "TMPDIR": str(tmp_path), "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}  # noqa: TID251
    variables.pop("ORT_DISABLE_TELEMETRY", None)
    variables.pop("CI", None)  # where onnxruntime keeps still by itself
    subprocess.run([sys.executable, "-c", USE], check=True, env=variables)  # noqa: TID251
    assert not list(tmp_path.rglob("*"))
