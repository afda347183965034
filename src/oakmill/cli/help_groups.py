"""Orders a long list of options into groups for `--help`: by what they are about, and by who has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import click

from oakmill.spec import ConversionSpec, InputSpec, QuantizingSpec

_SHARED: Mapping[str, Sequence[str]] = {
    "What is converted, and for what": ("platforms", "root", "stage", "hub"),
    "Inputs and preprocessing": tuple(name for name in InputSpec.model_fields if name != "name"),
    "Network and head": ("outputs", "keep_outputs", "head", "class_names", "disable_onnx_simplification"),
    "Accuracy": ("verification_images", "max_verification_images", "max_drop", "resize", "seed"),
    "Result": ("output", "overwrite", "name", "output_format"),
}
"""What all platforms have, by the titles of the groups."""
_QUANTIZATION = "Quantization"
_OF_PLATFORMS = {"qairt_root": ("rvc4",)}
"""Options of the command itself that only some platforms read."""
_THIS_RUN = "This run"

Titles = Mapping[str, str]


def write(
    ctx: click.Context,
    formatter: click.HelpFormatter,
    params: Sequence[click.Parameter],
    kinds: Sequence[type[ConversionSpec]],
) -> None:
    """Write the options' part of the help."""
    titles = _titles(kinds)
    grouped: dict[str, list[tuple[str, str]]] = {title: [] for title in _order(titles)}
    for param in params:
        record = param.get_help_record(ctx)
        if record is not None:
            grouped[titles.get(param.name or "", _THIS_RUN)].append(record)
    for title, records in grouped.items():
        if records:
            with formatter.section(title):
                formatter.write_dl(records)


def _titles(kinds: Sequence[type[ConversionSpec]]) -> Titles:
    """The group of each option, by its name."""
    known = {name: title for title, names in _SHARED.items() for name in names}
    return {**dict(_of_platforms(kinds)), **known}


def _of_platforms(kinds: Sequence[type[ConversionSpec]]) -> Iterator[tuple[str, str]]:
    """What not all platforms have, by the names of those that do."""
    having: dict[str, list[str]] = {name: list(platforms) for name, platforms in _OF_PLATFORMS.items()}
    for kind in kinds:
        for name in kind.model_fields:
            having.setdefault(name, []).append(kind.platform_name())
    for name, platforms in having.items():
        if len(platforms) < len(kinds):
            words = ", ".join(platforms).upper()
            yield name, f"{_QUANTIZATION} ({words})" if name in QuantizingSpec.model_fields else words


def _order(titles: Titles) -> list[str]:
    """What all have first, then how to quantize, then what single platforms have."""
    found = list(dict.fromkeys(titles.values()))
    alone = sorted((title for title in found if title.isupper()), key=lambda title: (-len(title), title))
    quantization = [title for title in found if title.startswith(_QUANTIZATION)]
    return [*_SHARED, *quantization, *alone, _THIS_RUN]
