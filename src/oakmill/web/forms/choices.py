"""The choices that a conversion's form takes from this hub: calibration sets and tool versions, with how they stand."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy.orm import Session

from oakmill.heads import families
from oakmill.registry.callers import Caller
from oakmill.settings import Settings
from oakmill.spec.platforms import PLATFORMS, Tools
from oakmill.toolchains import catalog
from oakmill.toolchains.base import State, Status
from oakmill.web.forms import images
from oakmill.web.forms.fields import Option


def families_by_hand() -> list[Option]:
    """What somebody may say that a network's outputs are."""
    return [Option("", "as recognised"), *(Option(row.name, f"{row.name}: {row.words}") for row in families.ROWS)]


def choices_of(session: Session, caller: Caller, platform: str, settings: Settings) -> dict[str, list[Option]]:
    """For each field whose choices are this hub's, what there is."""
    found = {
        images.FIELD: images.options(session, caller, settings),
        "head": families_by_hand(),
        "verification_images": [
            Option("", "Those of the quantization", "held out, never those that calibrated it"),
            *images.own_sets(session, caller),
        ],
    }
    facts = PLATFORMS[platform]
    if not facts.quantizes:
        found["verification_images"][0] = Option("", "Generated", "images made here; nothing is quantized")
    if facts.tools:
        found[facts.tools.field] = list(_versions(facts.tools, settings))
    return found


def _versions(tools: Tools, settings: Settings) -> Iterator[Option]:
    """Installed ones first, then those that can be installed, then what needs a vendor's own software."""
    every = (tool for tool in catalog.all_toolchains(settings) if tool.name.startswith(tools.prefix))
    found = sorted((tool.status() for tool in every), key=lambda status: status.state is not State.INSTALLED)
    here: dict[str, Status] = {}
    for status in found:
        here.setdefault(status.asked_as or status.name.removeprefix(tools.prefix), status)
    for version, status in here.items():
        yield _version(status, version)
    for version in tools.others:
        if version not in here:
            yield Option(version, f"{version} – needs {tools.setting}", off=True)


def _version(status: Status, version: str) -> Option:
    if status.state is not State.INSTALLED:
        way = " --from FILE_OR_URL" if status.needs_source else ""
        return Option(version, f"{version} – {status.state}: oakmill toolchains install {status.name}{way}")
    stated = status.versions.get("openvino", version) if status.asked_as else version
    return Option(version, f"{version} – installed{f' ({stated})' * (stated != version)}")
