"""The choices that a conversion's form takes from this hub: calibration sets and tool versions, with how they stand."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy.orm import Session

from oakmill.calibration.datasets import store
from oakmill.calibration.datasets.catalog import SETS
from oakmill.registry import datasets
from oakmill.registry.callers import Caller
from oakmill.settings import Settings
from oakmill.toolchains import catalog
from oakmill.toolchains.base import State, Status
from oakmill.web.forms.fields import Option
from oakmill.web.views.filters import counted

DEFAULT_SET = "general"
_FAMILIES = {"rvc2": ("ir_version", "openvino-"), "rvc4": ("snpe_version", "qairt-")}
_ELSEWHERE = {
    "ir_version": (("2022.3.0", "2021.4.2"), "needs an OpenVINO of yours: OAKMILL_RVC2_LIBRARIES"),
    "snpe_version": (("2.41", "2.32.6"), "needs a Qualcomm SDK of yours: OAKMILL_QAIRT_ROOT"),
}


def choices_of(session: Session, caller: Caller, platform: str, settings: Settings) -> dict[str, list[Option]]:
    """For each field whose choices are this hub's, what there is."""
    own = list(_own_sets(session, caller))
    found = {
        "quantization_data": [*_named_sets(settings), *own],
        "verification_images": [
            Option("", "Those of the quantization", "held out, never those that calibrated it"),
            *own,
        ],
    }
    if platform == "rvc2":
        found["verification_images"][0] = Option("", "Generated", "images made here; nothing is quantized")
    if platform in _FAMILIES:
        field, family = _FAMILIES[platform]
        found[field] = list(_versions(f"{platform}/{family}", field, settings))
    return found


def _named_sets(settings: Settings) -> Iterator[Option]:
    for entry in store.entries(settings):
        if entry.name not in SETS:
            continue
        there = entry.state is store.State.INSTALLED
        state = counted(entry.images, "image") if there else f"{entry.state}: oakmill datasets install {entry.name}"
        note = f"{entry.description} {state[0].upper()}{state[1:]}."
        if entry.name == "random":
            note = SETS["random"].note
        yield Option("" if entry.name == DEFAULT_SET else entry.name, entry.name.capitalize(), note)


def _own_sets(session: Session, caller: Caller) -> Iterator[Option]:
    if caller.is_known:
        for row in datasets.listed(session, caller):
            yield Option(row.slug, row.name, f"The team's own. {counted(row.count, 'image')}.")


def _versions(family: str, field: str, settings: Settings) -> Iterator[Option]:
    """Installed ones first, then those that can be installed, then what needs a vendor's own software."""
    found = [tool.status() for tool in catalog.all_toolchains(settings) if tool.name.startswith(family)]
    found.sort(key=lambda status: status.state is not State.INSTALLED)
    for status in found:
        yield _version(status, status.name.removeprefix(family))
    others, why = _ELSEWHERE[field]
    here = {status.name.removeprefix(family) for status in found}
    yield from (Option(version, f"{version} – {why}", off=True) for version in others if version not in here)


def _version(status: Status, version: str) -> Option:
    if status.state is State.INSTALLED:
        return Option(version, f"{version} – installed")
    return Option(version, f"{version} – {status.state}: oakmill toolchains install {status.name}")
