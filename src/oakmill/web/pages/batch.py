"""Convert for all: the form that asks for several platforms and number formats at once, and its Export."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi.responses import Response
from sqlalchemy.orm import Session

from oakmill.errors import OakmillError
from oakmill.findings import Severity
from oakmill.hub import files, jobs
from oakmill.preflight.findings import Report
from oakmill.registry import access
from oakmill.registry.tables import Instance
from oakmill.spec import preprocessing_rules
from oakmill.spec.flags import options
from oakmill.spec.platforms import PLATFORMS, PlatformFacts
from oakmill.toolchains import catalog
from oakmill.toolchains.base import Status
from oakmill.web.forms import asked as asked_of
from oakmill.web.forms import batch, decided, images
from oakmill.web.forms import values as spec_values
from oakmill.web.forms.batch import Asked, Tick
from oakmill.web.forms.choices import choices_of
from oakmill.web.forms.fields import fields_of, groups_of, input_fields
from oakmill.web.forms.source import Source, source_of
from oakmill.web.forms.submitted import Fields, Form
from oakmill.web.forms.values import Checked
from oakmill.web.page_context import Changing, Known, PageContext, Reading, Writing
from oakmill.web.routing import Id, page_router
from oakmill.web.views.filters import model_path, plain

pages = page_router()

HIDDEN = ("target_precision",)
"""Fields that the platforms share and that the ticks say."""


@pages.get("/instances/{instance_id}/batch")
def form_page(instance_id: Id, context: Changing, session: Reading) -> Response:
    """The form: all platforms that the source can go to, with the shapes that the address asks for, are ticked."""
    source = source_of(session, context.caller, instance_id)
    given = asked_of.given(context.request.query_params.multi_items())
    found = spec_values.untouched({}, source)
    if list(given):
        found = spec_values.read(PLATFORMS[_quantizing()].spec, given, source, context.at.settings)
    return _form(context, session, source, given, found)


@pages.post("/instances/{instance_id}/batch/check")
def check(instance_id: Id, context: Known, session: Reading, form: Form) -> Response:
    """What is wrong with the form as it stands, field by field; and the same as a command."""
    source = source_of(session, context.caller, instance_id)
    asked = batch.read(form, source, context.at.settings)
    names = [item.name for item in fields_of(batch.shared_kind())]
    for at in range(len(source.tensors)):
        names += [f"inputs.{at}", *(f"inputs.{at}.{item.name}" for item in input_fields())]
    found = batch.together(asked)
    command = command_of(context, source, asked)
    return context.part("batch/check.html", found=found, fields=["", *names], command=command, count=len(asked))


@pages.post("/instances/{instance_id}/batch")
def export(instance_id: Id, context: Changing, session: Writing, form: Form) -> Response:
    """Ask for all that is ticked, and go to where the results will stand side by side."""
    source = source_of(session, context.caller, instance_id)
    asked = batch.read(form, source, context.at.settings)
    found = requested(context, session, source, asked, form.get("name").strip())
    if found is None:
        return context.go(f"/instances/{instance_id}/matrix")
    return _form(context, session, source, form, found, on=[item.tick.value for item in asked], status=422)


def offered(reports: Mapping[str, Report]) -> list[str]:
    """What is ticked at first: of each platform that the source can go to, what people are offered first."""
    found = []
    for name, facts in PLATFORMS.items():
        if reports[name].verdict is not Severity.ERROR:
            spec = facts.spec.model_fields
            word = facts.offered.get(batch.PRECISION) or (str(spec[batch.PRECISION].default) if facts.quantizes else "")
            found.append(f"{name}:{word}" if word else name)
    return found


def requested(
    context: PageContext, session: Session, source: Source, asked: Sequence[Asked], name: str = ""
) -> Checked | None:
    """Ask for each of the conversions; where anything is wrong with one, for none, and what is wrong is given back."""
    found = batch.together(asked)
    parsed = []
    for item in asked:
        found.errors |= images.missing(item.checked.spec, context.at.settings)
        if item.checked.spec is None or found.errors:
            continue
        try:
            parsed.append((item, *jobs.parse(session, context.caller, item.tick.platform, item.checked.values)))
        except OakmillError as error:
            known = error.subject in batch.shared_kind().model_fields
            found.errors.setdefault(error.subject if known else "", error.message)
    if found.errors:
        return found
    row = access.changeable(session, context.caller, Instance, source.row.id)
    for item, spec, named in parsed:
        own = f"{name}.{item.tick.platform}" if name else None
        jobs.convert(session, context.caller, context.at, row, spec, files=named, name=own, suffix=item.suffix)
    return None


def command_of(context: PageContext, source: Source, asked: Sequence[Asked]) -> str:
    """All of them as one command; empty where nothing is ticked."""
    if not asked:
        return ""
    platforms = dict.fromkeys(item.tick.platform for item in asked)
    precisions = dict.fromkeys(item.tick.precision for item in asked if item.tick.precision)
    values: dict[str, Any] = {name: value for item in asked for name, value in item.checked.values.items()}
    values = {name: value for name, value in values.items() if name not in ("platform", batch.PRECISION)}
    several = len(source.tensors) > 1
    parts = [
        ["oakmill", "convert", source.address],
        ["--to", ",".join(platforms), "--hub", files.base_url(context.at, context.request)],
        *(
            [["--target-precision", ",".join(word.removesuffix("_STANDARD") for word in precisions)]]
            if precisions
            else []
        ),
        *options(batch.shared_kind(), values, named=several),
    ]
    return " \\\n  ".join(map(shlex.join, parts))


@dataclass(frozen=True)
class PlatformTicks:
    """A platform with what can be ticked of it, and how it stands with the source and on this machine."""

    facts: PlatformFacts
    report: Report
    state: Status
    ticks: list[Tick]


def ticks_of(context: PageContext, reports: Mapping[str, Report], on: Sequence[str] | None) -> list[PlatformTicks]:
    """All platforms, as a form shows them; ticked is what is `on`, or at first what they can do."""
    on = offered(reports) if on is None else on
    return [
        PlatformTicks(facts, reports[name], catalog.find(name, context.at.settings).status(), batch.ticks(name, on))
        for name, facts in PLATFORMS.items()
    ]


def _quantizing() -> str:
    """A platform whose spec has all that the form shows."""
    return next(name for name, facts in PLATFORMS.items() if facts.quantizes)


def _form(
    context: PageContext,
    session: Session,
    source: Source,
    form: Fields,
    found: Checked,
    *,
    on: Sequence[str] | None = None,
    status: int = 200,
) -> Response:
    kind = batch.shared_kind()
    texts = asked_of.texts(form)
    texts.setdefault(images.FIELD, images.first_choice(session, context.caller, context.at.settings, source.model))
    choices = choices_of(session, context.caller, _quantizing(), context.at.settings)
    before = {
        f"inputs.{at}.{name}": plain(value) for at, item in enumerate(source.archive) for name, value in item.items()
    }
    groups = [
        (group.title, [item for item in group.fields if item.name not in HIDDEN])
        for group in groups_of(kind, texts, found.errors, choices)
    ]
    return context.page(
        "batch/page.html",
        status=status,
        source=source,
        platforms=ticks_of(context, asked_of.reports(context.at, source, found), on),
        groups=groups,
        input_fields=input_fields(),
        texts={**before, **texts},
        origins=source.prefilled(),
        found=found,
        unsaid=decided.defaults(source),
        presets=preprocessing_rules.PRESETS,
        back=model_path(source.model),
    )
