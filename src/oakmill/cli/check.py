"""`oakmill check`: whether a model can go to each platform, and which nodes stand in the way, within a second."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oakmill.cli.options import PlatformWords, build_spec, together
from oakmill.cli.severities import COLOURS, MARKS
from oakmill.errors import UnsupportedModel
from oakmill.findings import Severity
from oakmill.spec import ConversionSpec
from oakmill.spec.platforms import PLATFORMS

if TYPE_CHECKING:
    from oakmill.findings import Finding
    from oakmill.model.source import SourceModel
    from oakmill.preflight.findings import Report

_FORMATS = {
    "openvino_ir": "OpenVINO IR",
    "tflite": "TFLite",
    "torchscript": "TorchScript",
    "checkpoint": "checkpoint of Ultralytics",
}
_NAMED = 3


@click.command(context_settings={"max_content_width": 110})
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--to", "platforms", type=PlatformWords(), multiple=True, callback=together,
    help="Platform to check for; several with commas between them.  [default: all]",
)  # fmt: skip
@click.option(
    "--shape", multiple=True, metavar="[INPUT=]N,N,...", help="Input shape, as `oakmill convert` takes it: 1,3,224,224."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def command(model: Path, platforms: tuple[str, ...], shape: tuple[str, ...], as_json: bool) -> None:
    """Say whether MODEL can be converted, to each platform, without converting it.

    Operators are looked up in tables that were measured with the vendors' compilers. The exit code is 0 where every
    platform asked for is ok or has warnings, and 4 where one has errors.
    """
    source, reports = examine(model, platforms or tuple(PLATFORMS), shape)
    if as_json:
        click.echo(json.dumps(as_data(source, reports), indent=1, ensure_ascii=False))
    else:
        _show(source, reports)
    if any(report.verdict is Severity.ERROR for report in reports):
        sys.exit(UnsupportedModel.exit_code)


def examine(path: Path, platforms: tuple[str, ...], shapes: tuple[str, ...]) -> tuple[SourceModel, list[Report]]:
    """Read the model, all but its weights, and report on each platform.

    Raises:
        SpecError: a shape cannot be read.
        SourceError, UnsupportedModel: the file is no model that can be read.
    """
    asked = build_spec(ConversionSpec, {"shape": shapes}).inputs

    import onnx

    from oakmill.model import merge_inputs, open_source, prefill
    from oakmill.model.source import SourceFormat
    from oakmill.preflight.check import Preflight, unread
    from oakmill.preflight.formats import operations_of
    from oakmill.settings import current

    with tempfile.TemporaryDirectory(prefix="oakmill-") as folder:
        source = open_source(path, Path(folder) / "source", current())
        if source.format is not SourceFormat.ONNX:
            operations = operations_of(source, current())
            return source, [unread(source, platform, operations) for platform in platforms]
        inputs = merge_inputs(asked, prefill(source.archive, source.inputs)).inputs
        graph = onnx.load(source.graph, load_external_data=False)
        preflight = Preflight(graph, inputs)
        return source, [preflight.report(platform) for platform in platforms]


def as_data(source: SourceModel, reports: list[Report]) -> dict[str, Any]:
    """All that was found, as plain data."""
    return {
        "model": {
            "name": source.files[0].name,
            "format": source.format.value,
            "opset": source.opset,
            "bytes": source.size,
            "inputs": [{"name": item.name, "shape": list(item.shape), "dtype": item.dtype} for item in source.inputs],
            "outputs": [item.name for item in source.outputs],
        },
        "platforms": [report.as_dict() for report in reports],
    }


def _show(source: SourceModel, reports: list[Report]) -> None:
    opset = f", opset {source.opset}" if source.opset else ""
    click.echo(
        f"{source.files[0].name}: {_FORMATS.get(source.format.value, 'ONNX')}{opset}, {source.size / 1e6:.1f} MB"
    )
    for report in reports:
        click.echo(_headline(report))
        for finding in report.findings:
            _show_finding(finding)


def _headline(report: Report) -> str:
    verdict = report.verdict
    counted = ", ".join(filter(None, (_counted(report, item) for item in (Severity.ERROR, Severity.WARNING))))
    mode = f" in {report.mode.upper()}" if report.table else ""
    words = click.style(verdict.value, fg=COLOURS[verdict]) + (f" ({counted})" if counted else "")
    return click.style(f"{report.platform.upper()}{mode}: ", bold=True) + words


def _counted(report: Report, severity: Severity) -> str:
    count = sum(len(item.others) + 1 for item in report.at(severity))
    return f"{count} {severity}{'' if count == 1 else 's'}" if count else ""


def _show_finding(finding: Finding) -> None:
    where = f"node {finding.subject!r}: " if finding.evidence.get("op") else ""
    if finding.others:
        named = ", ".join(map(repr, finding.others[:_NAMED]))
        more = f" and {len(finding.others) - _NAMED} more" if len(finding.others) > _NAMED else ""
        where = f"nodes {finding.subject!r}, {named}{more}: "
    mark = click.style(MARKS[finding.severity], fg=COLOURS[finding.severity])
    click.echo(f"  {mark} {where}{finding.message}")
    if finding.remedy and finding.severity is not Severity.NOTE:
        click.echo(f"      {click.style('try:', fg='green')} {finding.remedy}")
