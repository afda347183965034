"""What a measurement tells can be sent and stored, whatever bytes a camera or a file's name put into it."""

from __future__ import annotations

import json

from oakmill.jobs.told import Told


def test_words_of_no_character_set_can_be_sent() -> None:
    """Half a character, out of a file's name, ended the thread that keeps an agent's lease: no JSON takes it."""
    told = Told()
    told.add_event({"stage": "verify", "kind": "started"})
    told.add_event({"stage": "verify", "kind": "warning", "text": "image \udcff\0.png"})
    told.add_event({"stage": "verify", "kind": "progress", "text": "\udcff", "done": 1, "total": 2})
    told.add_line("\udcff")
    said = [line.text for line in told.lines]
    json.dumps([said, told.progress], ensure_ascii=False).encode()
    assert said[1] == "image ?\N{REPLACEMENT CHARACTER}.png"
