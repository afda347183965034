"""Says a conversion in other tongues: the command line, Python, and the YAML that Luxonis' modelconverter takes."""

from __future__ import annotations

import pprint
import shlex
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

import yaml

from oakmill.jobs.kinds import SPECS
from oakmill.spec import AnySpec
from oakmill.spec.flags import options
from oakmill.web.forms.fields import fields_of, input_fields

_YAML_BLOCK = {
    "rvc2": ("number_of_shaves", "mo_args", "compile_tool_args"),
    "rvc3": ("pot_target_device", "target_precision", "mo_args", "compile_tool_args"),
    "rvc4": (
        "target_precision", "htp_socs", "snpe_onnx_to_dlc_args", "snpe_dlc_quant_args", "snpe_dlc_graph_prepare_args",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Words:
    """The same conversion, three times."""

    command: str
    python: str
    yaml: str


def words_of(
    kind: type[AnySpec], values: Mapping[str, Any], *, address: str, file: str, url: str, inputs: int = 1
) -> Words:
    """What is stated, for a source with so many inputs at an address of the hub at `url`; its file is for the YAML."""
    platform = str(kind.model_fields["platform"].default)
    parts = [
        ["oakmill", "convert", address],
        ["--to", platform, "--hub", url],
        *options(kind, values, named=inputs > 1),
    ]
    command = " \\\n  ".join(shlex.join(part) for part in parts)
    return Words(command, _python(platform, values, address, url), _yaml(kind, platform, values, file))


def _python(platform: str, values: Mapping[str, Any], address: str, url: str) -> str:
    kind = SPECS[platform].__name__
    said = "".join(f"\n    {name}={_literal(value)}," for name, value in numbered(SPECS[platform], values).items())
    return (
        f"from pathlib import Path\n\nfrom oakmill.client import Hub\nfrom oakmill.spec import {kind}\n\n"
        f"spec = {kind}({said}{chr(10) if said else ''})\n"
        f'with Hub("{url}", key="oak_...") as hub:\n'
        f"    job = hub.jobs.wait(hub.convert({address!r}, spec))\n"
        f'    hub.instances.download(job.result_id, Path("converted"))\n'
    )


def _literal(value: Any) -> str:
    return pprint.pformat(value, width=96, sort_dicts=False).replace("\n", "\n    ")


def numbered(kind: type[AnySpec], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with numbers where the spec has numbers and a form has text."""
    numeric = {item.name for item in (*fields_of(kind), *input_fields()) if item.kind in ("number", "range", "numbers")}
    return {name: _numbered(name, value, numeric) for name, value in values.items()}


def _numbered(name: str, value: Any, numeric: Set[str]) -> Any:
    if isinstance(value, Mapping):
        return {inner: _numbered(inner, one, numeric) for inner, one in value.items()}
    if isinstance(value, list):
        return [_numbered(name, item, numeric) for item in value]
    if name not in numeric or not isinstance(value, str):
        return value
    try:
        return int(value) if value.isdigit() else float(value)
    except ValueError:  # the form says that it is wrong
        return value


def _yaml(kind: type[AnySpec], platform: str, values: Mapping[str, Any], file: str) -> str:
    """A configuration, and in its first line the command with what no configuration can say."""
    values = numbered(kind, values)
    document: dict[str, Any] = {"input_model": file}
    inputs = [_yaml_input(item) for item in values.get("inputs", ())]
    document |= {"inputs": inputs} if inputs else {}
    document |= {"outputs": [{"name": name} for name in values["outputs"]]} if "outputs" in values else {}
    block = {name: values[name] for name in _YAML_BLOCK[platform] if name in values}
    block |= {"superblob": False} if values.get("blob") else {}
    document |= {platform: block} if block else {}
    said = {"inputs", "outputs", *_YAML_BLOCK[platform], "blob"}
    rest = options(kind, {name: value for name, value in values.items() if name not in said})
    command = shlex.join(
        ["oakmill", "convert", "config.yaml", "--to", platform, *(word for part in rest for word in part)]
    )
    return f"# {command}\n" + yaml.safe_dump(document, sort_keys=False, default_flow_style=None, width=96)


def _yaml_input(item: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: value for name, value in item.items() if not name.startswith("encoding_")}
    pair = {name: item[f"encoding_{name}"] for name in ("from", "to") if f"encoding_{name}" in item}
    return found | ({"encoding": pair} if pair else {})
