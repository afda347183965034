"""What a user of hubai-sdk writes; run by that client's own Python: `use_sdk.py CALLS.json`.

CALLS is [[what, {parameters}], ...]: a target converts, and `instances.get_config` and the like are called as they are;
"$0.id" as a parameter is the id of what the first call gave. Prints, for each, a line of JSON with what came back or
what was said.
"""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path
from typing import Any

from hubai_sdk import HubAIClient  # type: ignore[import-not-found]
from hubai_sdk.utils.types import ModelType  # type: ignore[import-not-found]


def main(calls: str) -> None:
    client = HubAIClient()
    answers: list[Any] = []
    for what, parameters in json.loads(Path(calls).read_text()):
        try:
            given = {name: meant(name, value, answers) for name, value in parameters.items()}
            found = called(client, what, given) if "." in what else converted(client, what, given)
        except Exception as error:  # noqa: BLE001 - whatever a user sees
            found = {"error": f"{type(error).__name__}: {error}"}
        answers.append(found)
        print("ANSWER " + json.dumps(found))


def meant(name: str, value: Any, answers: list[Any]) -> Any:
    if name == "model_type":
        return ModelType[value]
    if isinstance(value, str) and value.startswith("$"):
        path = [int(key) if key.isdecimal() else key for key in value[1:].split(".")]
        found: Any = answers
        for key in path:
            found = found[key]
        return found
    return value


def called(client: Any, what: str, parameters: dict[str, Any]) -> Any:
    found = functools.reduce(getattr, what.split("."), client)(**parameters)
    return plain(found)


def plain(found: Any) -> Any:
    if isinstance(found, list):
        return [plain(item) for item in found]
    return json.loads(found.model_dump_json()) if hasattr(found, "model_dump_json") else found and str(found)


def converted(client: Any, target: str, parameters: dict[str, Any]) -> dict[str, Any]:
    made = getattr(client.convert, target)(**parameters)
    return {
        "path": str(Path(made.downloaded_path).resolve()),
        "instance": plain(made.instance),
        "config": plain(client.instances.get_config(made.instance.id)),
    }


main(sys.argv[1])
