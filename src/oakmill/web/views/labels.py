"""What a conversion's parameters are called on every page."""

from __future__ import annotations

import re

LABELS = {
    "name": "Model instance name", "ir_version": "IR version", "snpe_version": "SNPE version",
    "max_drop": "Accuracy that may be lost", "silu_int16": "SiLU inputs in 16 bits",
    "improve": "Learned rounding", "improve_minutes": "Minutes for learning",
    "blob": "Convert to blob", "number_of_shaves": "SHAVEs", "pot_target_device": "POT target device",
    "mo_args": "Mo Args", "compile_tool_args": "Compile Tool Args", "htp_socs": "Chips",
    "disable_onnx_simplification": "Disable ONNX simplification", "keep_outputs": "Keep the source's own outputs",
}  # fmt: skip
"""By HubAI's words, where they differ from the field's own."""
_ACRONYMS = re.compile(r"\b(snpe|onnx|dlc|htp|ir)\b", re.IGNORECASE)


def label_of(name: str) -> str:
    """A field's name for people."""
    words = LABELS.get(name) or name.replace("_", " ").capitalize()
    return _ACRONYMS.sub(lambda found: found.group().upper(), words) if name not in LABELS else words
