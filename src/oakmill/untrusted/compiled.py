"""Looks at uploaded files that are converted already: for which platform, and what their NN Archive says of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from oakmill.errors import NotAModel
from oakmill.model.nn_archive import look_into
from oakmill.model.sniff import Finding, identify
from oakmill.model.source import SourceFormat, Tensor
from oakmill.untrusted.folder import Place
from oakmill.untrusted.questions import Inspection, InspectModel, SourceFacts

FORMAT = "compiled"
_IR_PLATFORM = "rvc3"
"""Its results are IRs, as nobody outside of the vendor has its compiler."""


def inspect(asked: InspectModel, place: Place) -> Inspection:
    """What is known of a platform's file, or of an NN Archive that holds one.

    Raises:
        NotAModel: it is no converted model.
        BrokenModel, UnsafeSource, UnsupportedModel: as `look_into`.
    """
    path = place.files / asked.names[-1]
    found, config = identify(path), None
    if found.format is SourceFormat.NN_ARCHIVE:
        config, found = look_into(path, place.scratch / "compiled", place.settings)
    return Inspection(model=asked.names[-1], source=_facts(path, _platform(path, found), config))


def _platform(path: Path, found: Finding) -> str:
    platform = found.compiled or (_IR_PLATFORM if found.format is SourceFormat.OPENVINO_IR else "")
    if not platform:
        raise NotAModel(
            f"{path.name} is {found.what}, and the instance is for a converted model.",
            subject=path.name,
            remedy="Create an instance of the type that the file is, such as ONNX.",
        )
    return platform.upper()


def _facts(path: Path, model_type: str, config: Mapping[str, Any] | None) -> SourceFacts:
    model = (config or {}).get("model") or {}
    return SourceFacts(
        model_type=model_type,
        format=FORMAT,
        is_nn_archive=config is not None,
        size=path.stat().st_size,
        opset=None,
        producer="",
        inputs=tuple(_tensors(model.get("inputs"))),
        outputs=tuple(_tensors(model.get("outputs"))),
        archive=dict(config) if config is not None else None,
        heads=list(model.get("heads") or []),
        preflight={},
    )


def _tensors(said: Any) -> Iterator[Tensor]:
    for item in said or []:
        yield Tensor(str(item["name"]), tuple(item.get("shape") or ()), str(item.get("dtype") or ""))
