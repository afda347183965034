"""Quick conversion: a model is dropped, platforms are ticked, results stand side by side; kept only where wanted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from fastapi import Query
from fastapi.responses import Response
from sqlalchemy.orm import Session

from oakmill.calibration.datasets.catalog import DEFAULT
from oakmill.errors import OakmillError
from oakmill.findings import Severity
from oakmill.hub import visibility
from oakmill.registry import instances, models, places, resolve, search
from oakmill.registry.identifiers import Address
from oakmill.registry.tables import Instance, InstanceStatus, Model, Origin, Visibility
from oakmill.spec import Precision, preprocessing_rules
from oakmill.spec.platforms import PLATFORMS
from oakmill.web.forms import batch, decided
from oakmill.web.forms import values as spec_values
from oakmill.web.forms.fields import input_fields
from oakmill.web.forms.images import first_choice
from oakmill.web.forms.source import Source, source_of
from oakmill.web.forms.submitted import Fields, Form
from oakmill.web.forms.values import Checked
from oakmill.web.page_context import Changing, PageContext, Reading, Writing
from oakmill.web.pages import arrival
from oakmill.web.pages.batch import requested, ticks_of
from oakmill.web.routing import Id, page_router
from oakmill.web.views import heads
from oakmill.web.views.filters import model_path, plain

pages = page_router()

MOST = 50
Upload = Annotated[str, Query(max_length=64, pattern=r"^(aiu_\w+)?$")]


@pages.get("/quick")
def quick_page(context: Changing, session: Reading) -> Response:
    """Where a model is dropped; below, what was converted so before and is not kept."""
    context.caller.require_whole_team()
    return context.page("quick/page.html", source=None, images="", **_earlier(context, session))


@pages.post("/quick")
def create(context: Changing, session: Writing, form: Form) -> Response:
    """A quick model, whose source waits for its files."""
    name = re.sub(r"[/:\x00-\x1f]+", "-", form.get("name")).strip() or "model"
    model = models.create_quick(session, context.caller, name=name)
    row = arrival.source_for(session, context.caller, model.id, form)
    return arrival.placed(row, f"/quick/{row.id}")


@pages.post("/quick/withdrawn")
def withdraw(context: Changing, session: Writing, form: Form) -> Response:
    """What came is no model: nothing of it is left."""
    places.withdraw(session, context.caller, form.get("instance"), with_model=True)
    return Response(status_code=204)


@pages.get("/quick/{instance_id}")
def form_page(instance_id: Id, context: Changing, session: Reading, images: Upload = "") -> Response:
    """What was found of the model, and what can be ticked; as a piece, what is still missing of it."""
    row = instances.instance(session, context.caller, instance_id)
    if row.status != InstanceStatus.AVAILABLE:
        if not context.is_htmx:
            return context.go(f"/instances/{instance_id}/upload")
        return context.part("detected.html", row=row, reports=[], back="/quick")
    source = source_of(session, context.caller, instance_id)
    return _form(
        context,
        session,
        source,
        Fields([]),
        spec_values.untouched({}, source),
        images,
        on=offered(source, bool(images)),
    )


@pages.post("/quick/{instance_id}")
def export(instance_id: Id, context: Changing, session: Writing, form: Form) -> Response:
    """Convert to all that is ticked, and go to the results."""
    source, images = source_of(session, context.caller, instance_id), form.get("images")
    given = form.with_value(batch.IMAGES, images or _set_of(context, session, source))
    asked = batch.read(given, source, context.at.settings)
    found = requested(context, session, source, asked, source.model.name)
    if found is None:
        return context.go(f"/instances/{instance_id}/matrix")
    on = [item.tick.value for item in asked]
    return _form(context, session, source, form, found, images, on=on, status=422)


@pages.post("/quick/{instance_id}/keep")
def keep(instance_id: Id, context: Changing, session: Writing, form: Form) -> Response:
    """From now on it is a model like others."""
    row = instances.instance(session, context.caller, instance_id)
    kept = models.keep(session, context.caller, row.model_id, name=form.get("name"))
    session.flush()
    return context.go(model_path(resolve.model(session, context.caller, Address(kept.id))))


def _set_of(context: PageContext, session: Session, source: Source) -> str:
    """The set that calibrates 8 bits where no images were dropped, as a form's field says it."""
    return first_choice(session, context.caller, context.at.settings, source.model)


def offered(source: Source, has_images: bool) -> list[str]:
    """What is ticked at first: where the source can go, 8 bits only with images of the user's own."""
    found = []
    for name, facts in PLATFORMS.items():
        if source.report(name).verdict is Severity.ERROR:
            continue
        words = [Precision.INT8_STANDARD, Precision.FP16_STANDARD] if has_images else [Precision.FP16_STANDARD]
        found += [f"{name}:{word.value}" for word in words] if facts.quantizes else [name]
    return found


def fed_as(source: Source) -> list[str]:
    """How images reach each input, in words: its colours, and what is subtracted and divided by."""
    found = spec_values.untouched({}, source)
    return [" ".join((found.colours.get(f"inputs.{at}", ""), _values(said))) for at, said in enumerate(source.archive)]


def _values(said: Mapping[str, Any]) -> str:
    parts = [
        f"{words} {plain(said[name])}"
        for name, words in (("mean_values", "less"), ("scale_values", "divided by"))
        if said.get(name)
    ]
    return f"Pixels of 0 to 255, {' and '.join(parts)}." if parts else "Pixels of 0 to 255 as they are."


def _earlier(context: PageContext, session: Session) -> dict[str, Any]:
    query = search.Query(visibility=(Visibility.QUICK,), team_id=context.caller.team_id, limit=MOST)
    found = list(search.models(session, context.caller, query).items)
    return {"earlier": list(_with_sources(context, session, found)), "days": context.at.settings.quick_days}


def _with_sources(
    context: PageContext, session: Session, found: Sequence[Model]
) -> Iterator[tuple[Model, str, list[str]]]:
    """Each model with its source, where that has come, and the types of its results."""
    counts = models.counts(session, [model.id for model in found])
    named = [(model, model.id) for model in found]
    for model, model_id in named:
        query = search.Query(model_id=model_id, origin=Origin.SOURCE, status=InstanceStatus.AVAILABLE, limit=1)
        sources: Sequence[Instance] = search.instances(session, context.caller, query).items
        if sources:
            yield model, sources[0].id, [word for word in counts[model_id].available if word.startswith("RVC")]


def _images_name(context: PageContext, session: Session, images: str) -> str:
    """The name of the images that were uploaded; empty where they are not there any more."""
    try:
        return visibility.upload(session, context.caller, images).name if images else ""
    except OakmillError:
        return ""


def _form(
    context: PageContext,
    session: Session,
    source: Source,
    form: Fields,
    found: Checked,
    images: str,
    *,
    on: Sequence[str],
    status: int = 200,
) -> Response:
    name = _images_name(context, session, images)
    before = {
        f"inputs.{at}.{key}": plain(value) for at, item in enumerate(source.archive) for key, value in item.items()
    }
    values: dict[str, Any] = {
        "source": source,
        "images": images if name else "",
        "images_name": name,
        "set_name": _set_of(context, session, source) or DEFAULT,
        "platforms": ticks_of(context, source.reports, on),
        "head": source.row.facts.get("recognised"),
        "marks": heads.MARKS,
        "fed": fed_as(source),
        "input_fields": input_fields(),
        "texts": {**before, **{key: form.get(key) for key in form}},
        "origins": source.prefilled(),
        "unsaid": decided.defaults(source),
        "presets": preprocessing_rules.PRESETS,
        "found": found,
        "opened": bool(found.errors) or any(source.report(key).verdict is Severity.ERROR for key in PLATFORMS),
    }
    if context.is_htmx:
        return context.part("quick/form.html", **values)
    return context.page("quick/page.html", status=status, earlier=[], days=0, **values)
