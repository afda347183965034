"""The process that looks: behind the wall before anybody asks, it answers one question and ends.

A zygote forks it, or where bubblewrap is the wall, `python -m oakmill.untrusted.worker FOLDER` starts it. It waits for
a line on its input. Then the question and its files are in the folder; what it answers, an error of ours too, it
writes there.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import luxonis_ml.nn_archive  # noqa: F401 - every NN Archive needs it, and it takes long

from oakmill.errors import OakmillError
from oakmill.preflight.tables import tables
from oakmill.settings import Settings
from oakmill.untrusted import colours, dataset, graph, heads, model
from oakmill.untrusted.folder import Folder, Place
from oakmill.untrusted.questions import (
    Answer,
    CheckModel,
    DescribeGraph,
    ExamineSet,
    InspectModel,
    Question,
    RecogniseHead,
    TryColours,
)

ANSWERS: Mapping[type[Question[Any]], Callable[[Any, Place], Answer]] = {
    InspectModel: model.inspect,
    CheckModel: model.check,
    ExamineSet: dataset.examine_set,
    DescribeGraph: graph.describe,
    RecogniseHead: heads.recognise,
    TryColours: colours.react,
}
"""All that can be asked, and who answers."""

_NICER = 5
"""The server and the system go before looks."""


def load() -> None:
    """Load what answers need, beyond what is loaded with this module."""
    tables()


def main() -> None:
    """Answer one question; end at once when the input does."""
    root = Path(sys.argv[1])
    os.nice(_NICER)
    load()
    if sys.stdin.readline():
        folder = Folder(root)
        folder.answer.write_text(json.dumps(_answered(json.loads(folder.question.read_text()), root)))
    sys.stdout.flush()
    os._exit(0)  # whoever asked waits for the end, and to tidy up all that was loaded takes long


def _answered(asked: Mapping[str, Any], root: Path) -> dict[str, Any]:
    kind = next(kind for kind in ANSWERS if kind.__name__ == asked["kind"])
    place = Place(root, Settings.model_validate(asked["settings"]))
    try:
        return {"answer": ANSWERS[kind](kind.model_validate(asked["question"]), place).model_dump(mode="json")}
    except OakmillError as error:
        return {"error": error.as_dict()}


if __name__ == "__main__":
    main()
