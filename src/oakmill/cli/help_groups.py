"""Orders a long list of options into groups for `--help`: by what they are about, and by the platforms that have them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import click

from oakmill.spec import ConversionSpec, InputSpec

_SOURCE = ("platforms", "root", "stage", "hub")
_RESULT = ("output", "overwrite", "name", "output_format")
_OUTPUTS = ("outputs", "keep_outputs", "head", "class_names", "disable_onnx_simplification")
_ACCURACY = ("verification_images", "max_verification_images", "max_drop", "resize", "seed")
_OF_PLATFORMS = {"qairt_root": ("rvc4",)}
"""Options of the command itself that only some platforms read."""
_THIS_RUN = "This run"

Titles = Mapping[str, str]


def write(ctx: click.Context, params: Sequence[click.Parameter], kinds: Sequence[type[ConversionSpec]]) -> str:
    """The options' part of the help."""
    formatter = ctx.make_formatter()
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
    return formatter.getvalue()


def _titles(kinds: Sequence[type[ConversionSpec]]) -> Titles:
    """The group of each option, by its name."""
    known = {
        **dict.fromkeys(_SOURCE, "What is converted, and for what"),
        **{name: "Inputs and preprocessing" for name in InputSpec.model_fields if name != "name"},
        **dict.fromkeys(_OUTPUTS, "Network and head"),
        **dict.fromkeys(_ACCURACY, "Accuracy"),
        **dict.fromkeys(_RESULT, "Result"),
    }
    return {**dict(_of_platforms(kinds)), **known}


def _of_platforms(kinds: Sequence[type[ConversionSpec]]) -> Iterator[tuple[str, str]]:
    """What not all platforms have, by the names of those that do."""
    having: dict[str, list[str]] = {name: list(platforms) for name, platforms in _OF_PLATFORMS.items()}
    for kind in kinds:
        for name in kind.model_fields:
            having.setdefault(name, []).append(kind.platform_name())
    for name, platforms in having.items():
        if len(platforms) < len(kinds):
            what = "Quantization: " if len(platforms) > 1 and name != "mo_args" else ""
            yield name, what + ", ".join(platforms).upper()


def _order(titles: Titles) -> list[str]:
    """What all have first, then what concerns several platforms, then each alone."""
    shared = [title for title in dict.fromkeys(titles.values()) if not title.isupper() and ":" not in title]
    several = sorted({title for title in titles.values() if title not in shared}, key=lambda title: (-len(title), title))
    return [*shared, *several, _THIS_RUN]
