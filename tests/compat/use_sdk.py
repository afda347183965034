"""What a user of hubai-sdk writes; run by that client's own Python: `use_sdk.py CALLS.json`.

CALLS is [[target, {parameters}], ...]; prints, for each, a line of JSON with what came back or what was said.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from hubai_sdk import HubAIClient  # type: ignore[import-not-found]


def main(calls: str) -> None:
    client = HubAIClient()
    for target, parameters in json.loads(Path(calls).read_text()):
        try:
            made = getattr(client.convert, target)(**parameters)
        except Exception as error:  # noqa: BLE001 - whatever a user sees
            print("ANSWER " + json.dumps({"error": f"{type(error).__name__}: {error}"}))
            continue
        found = {
            "path": str(Path(made.downloaded_path).resolve()),
            "instance": json.loads(made.instance.model_dump_json()),
            "config": json.loads(client.instances.get_config(made.instance.id).model_dump_json()),
        }
        print("ANSWER " + json.dumps(found))


main(sys.argv[1])
