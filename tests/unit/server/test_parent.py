"""The process that outlives the others is small."""

from __future__ import annotations

import subprocess
import sys


def test_the_parent_loads_nothing_of_what_answers() -> None:
    """The small process that outlives the others had all of the application in it, and took 3 s longer to be there."""
    program = (
        "import sys\nimport oakmill.server.parent, oakmill.hub.sessions, oakmill.jobs.executors.local\n"
        "print([name for name in ('fastapi', 'uvicorn', 'jinja2', 'onnx') if name in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "[]"
