"""The process apart: `python -m oakmill.web.apart KIND INSIDE OUTSIDE` answers the question that lies inside."""

from __future__ import annotations

import json
import sys
import tempfile
from importlib import import_module
from pathlib import Path

from oakmill.errors import OakmillError
from oakmill.web.apart import ANSWER


def main(kind: str, inside: Path, outside: Path) -> None:
    """Answer; an error of ours is an answer too."""
    tempfile.tempdir = str(outside / "tmp")
    request = json.loads((inside / "request.json").read_text())
    try:
        found = import_module(f"oakmill.web.apart.{kind}").answer(inside, outside, request)
    except OakmillError as error:
        found = {"error": error.as_dict()}
    partial = outside / "answer.part"
    partial.write_text(json.dumps(found))
    partial.rename(outside / ANSWER)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
