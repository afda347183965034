"""Converting: which platforms a source can go to, the form that is drawn from the spec, its check, and the request."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Query
from fastapi.responses import Response
from sqlalchemy.orm import Session

from oakmill.calibration.datasets import SETS
from oakmill.errors import NotFound, OakmillError
from oakmill.hub import files, jobs, visibility
from oakmill.registry import access, datasets, instances
from oakmill.registry.tables import Instance
from oakmill.spec import preprocessing_rules
from oakmill.spec.class_names import as_option
from oakmill.spec.platforms import PLATFORMS, PlatformName
from oakmill.toolchains import catalog
from oakmill.web.forms import asked, decided, images
from oakmill.web.forms import values as spec_values
from oakmill.web.forms.advice import advice
from oakmill.web.forms.choices import choices_of
from oakmill.web.forms.fields import fields_of, groups_of, input_fields
from oakmill.web.forms.source import Source, source_of
from oakmill.web.forms.submitted import Form
from oakmill.web.forms.values import Checked
from oakmill.web.forms.words import words_of
from oakmill.web.page_context import Changing, Known, Open, PageContext, Reading, Writing
from oakmill.web.pages import job_actions
from oakmill.web.routing import Id, page_router
from oakmill.web.views import edits, heads
from oakmill.web.views.filters import model_path, plain

pages = page_router()


@pages.get("/instances/{instance_id}/convert")
def platforms(instance_id: Id, context: Open, session: Reading) -> Response:
    """Every platform: where the source can go, and where not and why."""
    source = source_of(session, context.caller, instance_id)
    given = asked.given(context.request.query_params.multi_items())
    found = spec_values.read(next(iter(PLATFORMS.values())).spec, given, source, context.at.settings)
    reports = list(asked.reports(context.at, source, found).values())
    states = {name: catalog.find(name, context.at.settings).status() for name in PLATFORMS}
    draw = context.part if context.is_htmx else context.page
    template = "convert/choice.html" if context.is_htmx else "convert/platforms.html"
    return draw(
        template, source=source, reports=reports, about=PLATFORMS, states=states, back=model_path(source.model),
        shapes=edits.shapes_wanted(reports, source.names), asked=urlencode(asked.texts(given)), edits=edits,
    )  # fmt: skip


@pages.get("/instances/{instance_id}/convert/{platform}")
def form_page(
    instance_id: Id,
    platform: PlatformName,
    context: Changing,
    session: Reading,
    job: Annotated[str, Query(max_length=64)] = "",
    remedy: Annotated[str, Query(max_length=8)] = "",
) -> Response:
    """The platform's form; with the identifier of a job, as it asked; with values of inputs, or a head, with these."""
    source = source_of(session, context.caller, instance_id)
    stated: dict[str, Any] = _offered(context, session, source, platform)
    if job:
        row = visibility.job(session, context.caller, job)
        own = {name: value.removeprefix("dataset:") for name, value in row.files.items()}
        edited = job_actions.edited(row, remedy).model_dump(mode="json", exclude_unset=True)
        stated = {**edited, **{name: value for name, value in own.items() if edited.get(name) == row.spec.get(name)}}
    given = asked.given(context.request.query_params.multi_items())
    found = spec_values.read(PLATFORMS[platform].spec, given, source, context.at.settings) if list(given) else None
    texts = {**spec_values.shown(stated, source.names), **asked.texts(given)}
    return _form(context, session, source, platform, texts, found or spec_values.untouched(stated, source))


@pages.post("/instances/{instance_id}/convert/{platform}/check")
def check(instance_id: Id, platform: PlatformName, context: Known, session: Reading, form: Form) -> Response:
    """What is wrong with the form as it stands, field by field, and the same conversion in other tongues."""
    source = source_of(session, context.caller, instance_id)
    found = spec_values.read(PLATFORMS[platform].spec, form, source, context.at.settings)
    found.errors |= images.missing(found.spec, context.at.settings)
    fields = [item.name for item in fields_of(PLATFORMS[platform].spec)]
    for at in range(len(source.tensors)):
        fields += [f"inputs.{at}", *(f"inputs.{at}.{item.name}" for item in input_fields())]
    words = _words(context, source, platform, found)
    return context.part("convert/check.html", found=found, fields=["", *fields], words=words)


@pages.post("/instances/{instance_id}/convert/{platform}/preflight")
def preflight(instance_id: Id, platform: PlatformName, context: Known, session: Reading, form: Form) -> Response:
    """Whether the source can go to the platform with the shapes that the form asks for."""
    source = source_of(session, context.caller, instance_id)
    found = spec_values.read(PLATFORMS[platform].spec, form, source, context.at.settings)
    report = asked.reports(context.at, source, found, [platform])[platform]
    return context.part("convert/verdict.html", report=report, source=source, edits=edits)


@pages.post("/instances/{instance_id}/convert/{platform}/head")
def head(instance_id: Id, platform: PlatformName, context: Known, session: Reading, form: Form) -> Response:
    """What the source's outputs are taken for, with the shapes and the family that the form asks for."""
    source = source_of(session, context.caller, instance_id)
    found = spec_values.read(PLATFORMS[platform].spec, form, source, context.at.settings)
    inputs, named = (found.spec.inputs, len(found.spec.class_names)) if found.spec else ((), 0)
    family = heads.family_of(form.get("head"))
    facts = heads.of(context.at, source.row, inputs, platform, family, named)
    keeps = form.get("keep_outputs") == "yes" or bool(form.all("outputs"))
    names = as_option(facts.names, between="\n")
    return context.part(
        "convert/head.html",
        head=facts,
        names=names,
        source=source,
        platform=platform,
        marks=heads.MARKS,
        keeps=keeps,
        family=family,
        needs=heads.needs(family),
    )


@pages.post("/instances/{instance_id}/convert/{platform}")
def export(instance_id: Id, platform: PlatformName, context: Changing, session: Writing, form: Form) -> Response:
    """Ask for the conversion, and go to its job; where the form is wrong, it is shown again."""
    source = source_of(session, context.caller, instance_id)
    found = spec_values.read(PLATFORMS[platform].spec, form, source, context.at.settings)
    found.errors |= images.missing(found.spec, context.at.settings)
    if found.spec is not None and not found.errors:
        try:
            spec, named = jobs.parse(session, context.caller, platform, found.values)
        except OakmillError as error:
            found.errors[error.subject if error.subject in values_known(platform) else ""] = error.message
        else:
            row = access.changeable(session, context.caller, Instance, source.row.id)
            job = jobs.convert(session, context.caller, context.at, row, spec, files=named)
            return context.go(f"/jobs/{job.id}")
    return _form(context, session, source, platform, asked.texts(form), found, status=422)


@pages.get("/instances/{instance_id}/convert/{platform}/images")
def images_field(
    instance_id: Id,
    platform: PlatformName,
    context: Changing,
    session: Reading,
    chosen: Annotated[str, Query(max_length=255)] = "",
) -> Response:
    """The form's sets anew, where one has come since: that one is chosen."""
    source = source_of(session, context.caller, instance_id)
    kind, settings = PLATFORMS[platform].spec, context.at.settings
    name = images.value_of(chosen)
    if chosen and chosen not in SETS:
        name = datasets.seen(session, context.caller, chosen).slug
    groups = groups_of(kind, {images.FIELD: name}, {}, choices_of(session, context.caller, platform, settings))
    item = next((item for group in groups for item in group.fields if item.name == images.FIELD), None)
    if item is None:
        raise NotFound(f"{platform.upper()} takes no images.", subject=platform)
    return context.part(
        "convert/images.html", item=item, here=f"/instances/{source.row.id}/convert/{platform}",
        ways=images.ways(session, context.caller, context.at, kind),
        may_install=context.caller.may_for_whole_team("admin"), may_add=context.caller.may_for_whole_team("convert"),
    )  # fmt: skip


def _offered(context: PageContext, session: Session, source: Source, platform: str) -> dict[str, Any]:
    """What a new form states beyond the spec's defaults: what people are offered first, and images that are there."""
    found: dict[str, Any] = dict(PLATFORMS[platform].offered)
    if PLATFORMS[platform].quantizes:
        chosen = images.first_choice(session, context.caller, context.at.settings, source.model)
        found |= {images.FIELD: chosen} if chosen else {}
    return found


def values_known(platform: str) -> set[str]:
    """The names of the platform's fields."""
    return {item.name for item in fields_of(PLATFORMS[platform].spec)}


def _form(
    context: PageContext,
    session: Session,
    source: Source,
    platform: str,
    texts: dict[str, str],
    found: Checked,
    *,
    status: int = 200,
) -> Response:
    kind, settings = PLATFORMS[platform].spec, context.at.settings
    choices = choices_of(session, context.caller, platform, settings)
    before = {
        f"inputs.{at}.{name}": plain(value) for at, item in enumerate(source.archive) for name, value in item.items()
    }
    return context.page(
        "convert/form.html",
        status=status,
        source=source,
        platform=platform,
        about=PLATFORMS[platform],
        groups=groups_of(kind, texts, found.errors, choices),
        input_fields=input_fields(),
        texts={**before, **texts},
        origins=source.prefilled(),
        found=found,
        unsaid=decided.defaults(source),
        presets=preprocessing_rules.PRESETS,
        report=asked.reports(context.at, source, found, [platform])[platform],
        edits=edits,
        words=_words(context, source, platform, found),
        back=model_path(source.model),
        ways=images.ways(session, context.caller, context.at, kind),
        advice=advice(platform, instances.children(session, source.row)),
        may_install=context.caller.may_for_whole_team("admin"),
        may_add=context.caller.may_for_whole_team("convert"),
        largest=settings.datasets_max_mb,
    )


def _words(context: PageContext, source: Source, platform: str, found: Checked) -> Any:
    values = {name: value for name, value in found.values.items() if name != "platform"}
    url = files.base_url(context.at, context.request)
    return words_of(
        PLATFORMS[platform].spec, values, address=source.address, file=source.file, url=url, inputs=len(source.tensors)
    )
