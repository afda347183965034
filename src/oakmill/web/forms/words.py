"""Says a conversion in other tongues: the command line, Python, and the YAML that Luxonis' modelconverter takes."""

from __future__ import annotations

import pprint
import shlex
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

import yaml

from oakmill.spec import ConversionSpec
from oakmill.spec.flags import options
from oakmill.spec.platforms import PLATFORMS
from oakmill.web.forms.fields import fields_of, input_fields


@dataclass(frozen=True)
class Words:
    """The same conversion, three times."""

    command: str
    python: str
    yaml: str


def words_of(
    kind: type[ConversionSpec], values: Mapping[str, Any], *, address: str, file: str, url: str, inputs: int = 1
) -> Words:
    """What is stated, for a source with so many inputs at an address of the hub at `url`; its file is for the YAML."""
    platform = kind.platform_name()
    parts = [
        ["oakmill", "convert", address],
        ["--to", platform, "--hub", url],
        *options(kind, {**_unsaid(kind, values), **values}, named=inputs > 1),
    ]
    command = " \\\n  ".join(shlex.join(part) for part in parts)
    return Words(command, _python(kind, values, address, url), _yaml(kind, values, file))


def _unsaid(kind: type[ConversionSpec], values: Mapping[str, Any]) -> dict[str, Any]:
    """Defaults of the spec that the command line has to be told, as with images it takes what is offered first."""
    offered = PLATFORMS[kind.platform_name()].offered if "quantization_data" in values else {}
    return {name: str(kind.model_fields[name].default) for name in offered}


def _python(kind: type[ConversionSpec], values: Mapping[str, Any], address: str, url: str) -> str:
    said = "".join(f"\n    {name}={_literal(value)}," for name, value in numbered(kind, values).items())
    return (
        f"from pathlib import Path\n\nfrom oakmill.client import Hub\nfrom oakmill.spec import {kind.__name__}\n\n"
        f"spec = {kind.__name__}({said}{chr(10) if said else ''})\n"
        f'with Hub("{url}", key="oak_...") as hub:\n'
        f"    job = hub.jobs.wait(hub.convert({address!r}, spec))\n"
        f'    hub.instances.download(job.result_id, Path("converted"))\n'
    )


def _literal(value: Any) -> str:
    return pprint.pformat(value, width=96, sort_dicts=False).replace("\n", "\n    ")


def numbered(kind: type[ConversionSpec], values: Mapping[str, Any]) -> dict[str, Any]:
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


def _yaml(kind: type[ConversionSpec], values: Mapping[str, Any], file: str) -> str:
    """A configuration, and in its first line the command with what no configuration can say."""
    values, platform = numbered(kind, values), kind.platform_name()
    keys = [name for name in PLATFORMS[platform].yaml_block.keys if name in kind.model_fields]
    document: dict[str, Any] = {"input_model": file}
    inputs = [_yaml_input(item) for item in values.get("inputs", ())]
    document |= {"inputs": inputs} if inputs else {}
    document |= {"outputs": [{"name": name} for name in values["outputs"]]} if "outputs" in values else {}
    block = {name: values[name] for name in keys if name in values}
    block |= {"superblob": False} if values.get("blob") else {}
    document |= {platform: block} if block else {}
    said = {"inputs", "outputs", *keys, "blob"}
    rest = options(kind, {name: value for name, value in values.items() if name not in said})
    command = shlex.join(
        ["oakmill", "convert", "config.yaml", "--to", platform, *(word for part in rest for word in part)]
    )
    return f"# {command}\n" + yaml.safe_dump(document, sort_keys=False, default_flow_style=None, width=96)


def _yaml_input(item: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: value for name, value in item.items() if not name.startswith("encoding_")}
    pair = {name: item[f"encoding_{name}"] for name in ("from", "to") if f"encoding_{name}" in item}
    return found | ({"encoding": pair} if pair else {})
