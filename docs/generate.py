"""Writes docs/reference out of the code: the options of a conversion, the operators, the settings, the exit codes.

.venv/bin/python docs/generate.py       # a test fails while the pages and the code differ
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from oakmill import errors
from oakmill.conversion.failures.rulebook import Rule, RuleRemedy, rules
from oakmill.preflight import tables
from oakmill.settings import Settings
from oakmill.spec import ConversionSpec, InputSpec
from oakmill.spec.bundle import (
    LARGEST_MANIFEST,
    VERSION,
    BundledFile,
    BundledFrom,
    BundledInstance,
    BundledModel,
    BundledNumber,
    BundledProof,
    BundledSet,
    BundledSpeed,
    BundledVariant,
    BundledVersion,
    Manifest,
)
from oakmill.spec.flags import flag_of
from oakmill.spec.imported import Imported, ImportedFile
from oakmill.spec.platforms import PLATFORMS, PlatformFacts
from oakmill.toolchains.rvc2 import compile_tool
from oakmill.toolchains.rvc4 import snpe_options
from oakmill.toolchains.rvc4.snpe_words import Argument, Way

FOLDER = Path(__file__).parent / "reference"


def main() -> None:
    """Write all pages."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text)


def pages() -> dict[str, str]:
    """Each page's file name and text."""
    return {
        "convert.md": convert_page(),
        "operators.md": operators_page(),
        "settings.md": settings_page(),
        "exit-codes.md": exit_codes_page(),
        "troubleshooting.md": troubleshooting_page(),
        "bundle.md": bundle_page(),
    }


def convert_page() -> str:
    """The parameters of a conversion, from the spec."""
    per_input = {name: field for name, field in InputSpec.model_fields.items() if name != "name"}
    platforms = "\n".join(map(platform_part, PLATFORMS.values()))
    return f"""# oakmill convert

    oakmill convert MODEL --to {"|".join(PLATFORMS)} [options] [-o FOLDER]

Made by `docs/generate.py` from the typed spec that the conversion itself uses.

## Several platforms and precisions

    oakmill convert MODEL --to rvc2,rvc4 --target-precision INT8,FP16

Each platform with each precision is a conversion (one where nothing is quantized); what they share is made once. An
option goes to the platforms that know it. One that is refused stops no other. A table of all of them ends it, with the
choice in words; the exit code is that of the first that failed, else of a loss of accuracy. With `--hub`, all are asked
for at once. The results are called `model.rvc4.int8.tar.xz`, or begin with `--name`.

## For each input

With one input, give the value alone: `--mean-values 104,117,123`. With several, name the input:
`--mean-values left=104,117,123`. What you omit is taken from the NN Archive, if the model came in one, else from
the model; an image of three channels counts as trained on RGB, and the converted model takes BGR, as cameras give it.

{table(per_input)}
{platforms}"""


def platform_part(facts: PlatformFacts) -> str:
    """A platform's parameters, and what becomes of the arguments of its vendor's tools."""
    arguments = ARGUMENTS.get(facts.name, str)()
    return (
        f"## To {facts.title}\n\n{facts.about} For the {facts.devices}.\n\n{table(own_fields(facts.spec))}{arguments}"
    )


def compile_tool_table() -> str:
    """The keys that compile_tool takes for RVC2."""
    keys = "".join(f"| `{key}` | {described.words} |\n" for key, described in compile_tool.CONFIG_KEYS.items())
    return f"""
### compile_tool's configuration keys

`--compile-tool-args "-c KEY=VALUE"`, once for each:

| key | values |
|---|---|
{keys}"""


def snpe_tables() -> str:
    """What becomes of each argument of the SNPE tools."""
    parts = []
    for tool, options in snpe_options.KNOWN.items():
        rows = "".join(f"| `{name}` | {what_becomes_of(option)} |\n" for name, option in options.items())
        parts.append(f"`{tool}`\n\n| argument | without an SDK |\n|---|---|\n{rows}")
    tables_of_tools = "\n".join(parts)
    return f"""
### Arguments of the SNPE tools

`--qairt-root FOLDER` names your own Qualcomm SDK: see [howto/own-qairt-sdk.md](../howto/own-qairt-sdk.md). Without one,
each argument is carried out by Oakmill, changes nothing (and a note says so), or is refused by name.

{tables_of_tools}"""


ARGUMENTS: dict[str, Callable[[], str]] = {"rvc2": compile_tool_table, "rvc4": snpe_tables}
"""What is said of the arguments of a platform's tools."""


def own_fields(spec: type[ConversionSpec]) -> dict[str, FieldInfo]:
    """A platform's parameters."""
    return {name: field for name, field in spec.model_fields.items() if name not in ("inputs", "platform")}


def what_becomes_of(option: Argument) -> str:
    """What Oakmill does with an argument where there is no SDK."""
    words = {
        Way.OURS: "carried out",
        Way.MAPPED: "carried out",
        Way.SAME: "done anyway",
        Way.SDK: "refused",
        Way.NEVER: "refused, with an SDK too",
    }[option.way]
    return f"{words}: {option.why}" if option.why else words


def settings_page() -> str:
    """The settings and their environment variables."""
    rows = "".join(
        f"| `OAKMILL_{name.upper()}` | {field.description} | {shown_default(field)} |\n"
        for name, field in Settings.model_fields.items()
    )
    return f"""# Settings

Made by `docs/generate.py`. Each is an environment variable.

| variable | what it is | default |
|---|---|---|
{rows}"""


PARTS = (
    Manifest, BundledFrom, BundledModel, BundledVariant, BundledVersion, BundledInstance, BundledFile, BundledSpeed,
    BundledProof, BundledNumber, Imported, ImportedFile, BundledSet,
)  # fmt: skip


def bundle_page() -> str:
    """The form of a bundle, from the shapes that it is read by."""
    parts = "".join(
        f"\n## {kind.__name__}\n\n{inspect.cleandoc(kind.__doc__ or '')}\n\n| field | what it takes |\n|---|---|\n"
        + "".join(f"| `{name}` | {taken(about)} |\n" for name, about in fields_of(kind).items())
        for kind in PARTS
    )
    return f"""# The form of a bundle

Made by `docs/generate.py`. [How bundles are made and taken in](../howto/bundle.md).

A bundle (`.oakbundle`, format {VERSION}) is a zip that packs nothing, which any zip program opens:

    manifest.json            what it holds, as below; its sha256 stands for all of it
    files/SHA256             each file once, by the sha256 of its bytes, in that order

Sizes have 64 bits. Nothing else is in it: an entry that the manifest does not name, that comes twice, is packed,
encrypted or a link, or lies in another one, is refused, as are a manifest of more than {LARGEST_MANIFEST >> 20} MB,
a field that is not known, and a newer format. The same models give the same bytes, but for the manifest, which says
when and by whom it was made.
{parts}"""


def fields_of(kind: type[BaseModel]) -> dict[str, Any]:
    """The fields of a shape, as its JSON schema has them."""
    found: dict[str, Any] = kind.model_json_schema()["properties"]
    return found


def taken(about: dict[str, Any]) -> str:
    """What a field takes, in words, and what it is."""
    if "anyOf" in about:
        words = " or ".join(taken(item) for item in about["anyOf"])
    elif "$ref" in about:
        words = f"a {about['$ref'].rpartition('/')[2]}"
    elif about.get("type") == "array":
        words = f"a list: {taken(about['items'])}"
    elif about.get("type") == "object":
        words = "sizes in bytes by sha256" if "patternProperties" in about else "an object"
    elif "enum" in about:
        words = ", ".join(f"`{item}`" for item in about["enum"])
    elif "const" in about:
        words = f"`{about['const']}`"
    else:
        words = _plain(about)
    return words + (f". {about['description']}" if about.get("description") else "")


def _plain(about: dict[str, Any]) -> str:
    words = {
        "string": "text",
        "integer": "a whole number",
        "number": "a number",
        "boolean": "true or false",
        "null": "null",
    }[about["type"]]
    if about.get("format") == "date-time":
        words = "a time with its zone (ISO 8601)"
    if about.get("pattern") == "^[0-9a-f]{64}$":
        words = "a sha256"
    if "maxLength" in about:
        words += f" of up to {about['maxLength']} characters"
    return words


def exit_codes_page() -> str:
    """The errors by exit code."""
    rows = "".join(f"| {kind.exit_code} | `{kind.__name__}` | {first_line(kind)} |\n" for kind in error_kinds())
    return f"""# Exit codes

Made by `docs/generate.py`. With `--json`, the last line names the error:
`{{"error": {{"code": "CompileFailed", ...}}}}`.

| code | error | meaning |
|---|---|---|
| 0 | | converted and verified |
{rows}| 130 | | interrupted; nothing half-made is left behind |
"""


def troubleshooting_page() -> str:
    """The failures that are known, from the book of rules."""
    return f"""# Troubleshooting

Made by `docs/generate.py` from the book of rules, by which `oakmill convert` explains a failure. With `--json`, the
last line holds the same as data: `{{"error": {{"code": ..., "failure": {{"rule": "dynamic-shape", ...}}}}}}`.
What no rule explains is called an unknown failure; `--debug-bundle FILE` packs its evidence, without weights, images
and paths. Words in capitals stand for names and numbers of the conversion that failed.

{"".join(map(troubleshooting_entry, rules()))}"""


def troubleshooting_entry(rule: Rule) -> str:
    """One rule in words."""
    codes = ", ".join(f"`{code}`" for code in rule.code)
    ways = "".join(f"- {remedy_words(remedy)}\n" for remedy in rule.remedies)
    return f"""## {rule.title}

{codes}, rule `{rule.id}`. {shown_template(rule.cause)}

{ways}
"""


def remedy_words(remedy: RuleRemedy) -> str:
    """A way out, with what it changes."""
    words = [shown_template(remedy.text)]
    words += [f"Run `{shown_template(remedy.command)}`."] if remedy.command else []
    words += [f"Set `{name}={shown_template(value)}`." for name, value in remedy.settings.items()]
    words += [f"Changes {', '.join(f'`{shown_template(place)}`' for place in remedy.edit)}."] if remedy.edit else []
    return " ".join(words)


def shown_template(text: str) -> str:
    """A template with its places in capitals."""
    own = text.replace("{remedy}", "(as the error itself proposes)").replace("{message}", "(as the message says)")
    return re.sub(r"\{(\w+)\}", lambda found: found[1].upper(), own)


def operators_page() -> str:
    """Which operators each platform takes, from the measured tables."""
    measured = list(tables.tables().values())
    columns = [(item, mode) for item in measured for mode in item.modes]
    cells: dict[str, dict[tuple[str, str], list[tables.Outcome]]] = {}
    for item in measured:
        for variant, modes in item.variants():
            for mode, by_opset in modes.items():
                if by_opset:
                    newest = by_opset[max(by_opset)]
                    cells.setdefault(variant.op, {}).setdefault((item.platform, mode), []).append(newest)
    heads = [f"{item.platform.upper()} {mode.upper()}" for item, mode in columns]
    rows = "".join(
        f"| {op} | " + " | ".join(share(found.get((item.platform, mode), [])) for item, mode in columns) + " |\n"
        for op, found in sorted(cells.items())
    )
    details = "\n".join(f"## {item.platform.upper()}: what fails\n\n{failing(item)}" for item in measured)
    tools = ", ".join(f"{item.toolchain} ({item.cases} models)" for item in measured)
    return f"""# Operators

Made by `docs/generate.py` from the tables that `bench/coverage/measure.py` measured: {tools}.
Models of one operator, at the opsets 11 to 20 that have it, went through Oakmill's own preparation and the vendor's
compiler; what compiled was run on the host and compared with onnxruntime. No device was asked. `oakmill check MODEL`
looks a model's nodes up here.

A cell says in how many of the variants that were tried the operator converts and computes the same, at the newest opset
that has it; "no" means in none. Operators whose inputs are all constant are computed before, and need no support.

| operator | {" | ".join(heads)} |
|---|{"---|" * len(heads)}
{rows}
{details}"""


def share(outcomes: list[tables.Outcome]) -> str:
    """How many of an operator's variants convert."""
    good = sum(not outcome.is_bad for outcome in outcomes)
    if not outcomes:
        return ""
    return "yes" if good == len(outcomes) else "no" if not good else f"{good} of {len(outcomes)}"


def failing(item: tables.Table) -> str:
    """The variants of a table that do not convert, with the opsets and the reason."""
    rows = []
    for variant, modes in item.variants():
        for mode, by_opset in modes.items():
            spans: dict[tables.Outcome, list[int]] = {}
            for opset, outcome in by_opset.items():
                spans.setdefault(outcome, []).append(opset)
            for outcome, opsets in spans.items():
                if outcome.is_bad:
                    span = f"{min(opsets)}-{max(opsets)}" if len(opsets) > 1 else str(opsets[0])
                    reason = re.sub(r"([|<*_\[\]])", r"\\\1", outcome.reason)
                    rows.append(f"| {variant.words} | {mode.upper()} | {span} | {outcome.word}: {reason} |\n")
    return f"| variant | mode | opsets | outcome |\n|---|---|---|---|\n{''.join(rows)}"


def table(fields: dict[str, FieldInfo]) -> str:
    """A table of a model's fields."""
    rows = "".join(
        f"| `{flag_of(name, field)}` | {field.description} | {shown_default(field)} |\n"
        for name, field in fields.items()
    )
    return f"| option | what it is | default |\n|---|---|---|\n{rows}"


def shown_default(field: FieldInfo) -> str:
    """A field's default in words."""
    if field.default_factory is not None:
        made: Any = field.get_default(call_default_factory=True)
        return "" if made == {} else "`~/.local/share/oakmill`"
    unsaid = field.default is None or field.default is False or field.default == ()
    return "" if unsaid else f"`{field.default}`"


def error_kinds() -> Iterator[type[errors.OakmillError]]:
    """All error classes, by exit code, the general ones first."""
    found = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.OakmillError)]
    return iter(sorted(found, key=lambda kind: (kind.exit_code, len(kind.__mro__))))


def first_line(kind: type[errors.OakmillError]) -> str:
    """A class's docstring, which is its default message."""
    return (kind.__doc__ or "").partition("\n")[0]


if __name__ == "__main__":
    main()
