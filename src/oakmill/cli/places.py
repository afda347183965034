"""Finds the place in a hub that an address means, and makes what is missing of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from oakmill.errors import NotFound, SpecError
from oakmill.registry.identifiers import Address, is_id, slugify
from oakmill.registry.words import License

if TYPE_CHECKING:
    from oakmill.client import Hub, Instance, Model, ModelType, Version
    from oakmill.client.uploads import Progress
    from oakmill.spec.imported import Imported

VARIANT = "default"
"""The variant of a model for which none is named."""


def find_model(hub: Hub, text: str) -> Model:
    """The model of `[team/]model`, or of an identifier; one's own team's goes before others'.

    Raises:
        NotFound: there is none that the key sees.
        SpecError: it is no address.
        HubUnreachable: the hub does not answer.
    """
    found = _model(hub, Address.parse(text))
    if found is None:
        raise NotFound(f"There is no model {text!r} that this key sees.", subject=text, remedy="oakmill models list")
    return found


def _model(hub: Hub, at: Address) -> Model | None:
    if is_id(at.model) and at.team is None:
        try:
            return hub.models.get(at.model)
        except NotFound:
            pass
    own = hub.me().team.slug
    found = [model for model in hub.models.list(slug=slugify(at.model)) if at.team in {None, model.team}]
    return next((model for model in found if model.team == own), found[0] if len(found) == 1 else None)


def find_version(hub: Hub, text: str) -> Version:
    """The version of `[team/]model:variant[:version]`; the highest where none is named.

    Raises:
        NotFound: there is none that the key sees.
        SpecError: it is no address, or leaves open which variant is meant.
        HubUnreachable: the hub does not answer.
    """
    at, model = Address.parse(text), find_model(hub, text)
    variant, wanted = at.variant or _only_variant(hub, model), at.version or at.hash
    for version in hub.models.versions(model.id):
        if variant in {version.variant, version.variant_slug} and wanted in {None, version.version}:
            return version
    raise NotFound(
        f"There is no version {text!r} that this key sees.", subject=text, remedy=f"oakmill models show {model.slug}"
    )


def place(
    hub: Hub, text: str, files: Sequence[Path], *, model_type: ModelType | None, progress: Progress,
    imported: Imported | None = None,
) -> tuple[Model, Version, Instance]:  # fmt: skip
    """Upload files to `[team/]model[:variant[:version]]`; the model, the variant and the version are made as needed.

    `imported` is where they come from, where that is known. Without a version the files become the next one. Where the
    upload fails, what was made for it goes too.

    Raises:
        SpecError: the address leaves open which variant is meant, or is none.
        NotFound: the model is to be another team's, which has none of that name.
        OakmillError: what the hub refuses, by name.
    """
    at = Address.parse(text)
    model = _model(hub, at)
    made = model is None
    if model is None:
        if at.team not in {None, hub.me().team.slug}:
            raise NotFound(f"The team {at.team} has no model {at.model!r}.", subject=text)
        model = hub.models.create(at.model, license=License.called(imported.licence if imported else "").value)
    try:
        version, instance = _version_with(hub, model, at, files, model_type, progress, imported)
    except BaseException:
        if made:
            hub.models.delete(model.id, force=True)
        raise
    return model, version, instance


def _version_with(
    hub: Hub, model: Model, at: Address, files: Sequence[Path], model_type: ModelType | None, progress: Progress,
    imported: Imported | None,
) -> tuple[Version, Instance]:  # fmt: skip
    variant = at.variant or _only_variant(hub, model)
    wanted = at.version or at.hash
    there = [
        item for item in hub.models.versions(model.id)
        if variant.lower() in {item.variant.lower(), item.variant_slug} and item.version == wanted
    ]  # fmt: skip
    version = there[0] if there else hub.models.create_version(model.id, variant, wanted)
    try:
        made = hub.instances.create(version.id, files, model_type=model_type, imported=imported, progress=progress)
        return version, made
    except BaseException:
        if not there:
            hub.models.delete_version(version.id, force=True)
        raise


def _only_variant(hub: Hub, model: Model) -> str:
    variants = hub.models.variants(model.id)
    if len(variants) > 1:
        names = ", ".join(variant.slug for variant in variants)
        raise SpecError(
            f"{model.slug} has several variants: {names}.",
            subject=model.slug,
            remedy=f"Name one: {model.slug}:{variants[0].slug}",
        )
    return variants[0].name if variants else VARIANT


def type_of(path: Path) -> ModelType | None:
    """What a model file is, by its content; None where that cannot be said, and the hub will say it.

    Raises:
        NotAModel, UnsupportedModel: it is something that cannot be converted.
    """
    from oakmill.model import sniff
    from oakmill.model.source import SourceFormat

    if not path.is_file():
        return None
    types: dict[SourceFormat, ModelType] = {
        SourceFormat.ONNX: "ONNX",
        SourceFormat.OPENVINO_IR: "IR",
        SourceFormat.TFLITE: "TFLITE",
        SourceFormat.TORCHSCRIPT: "PYTORCH",
    }
    found = sniff(path)
    return _in_archive(path) if found is SourceFormat.NN_ARCHIVE else types[found]


def _in_archive(path: Path) -> ModelType:
    import tarfile

    suffixes: dict[str, ModelType] = {".xml": "IR", ".tflite": "TFLITE"}
    try:
        with tarfile.open(path) as archive:
            return next(
                (suffixes[end] for name in archive.getnames() if (end := Path(name).suffix) in suffixes), "ONNX"
            )
    except (tarfile.TarError, OSError, EOFError):
        return "ONNX"  # the hub says what is wrong with it
