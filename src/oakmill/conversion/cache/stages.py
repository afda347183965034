"""Single stages from the cache: where another conversion did the same work, its result is taken instead."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from pydantic import TypeAdapter

from oakmill.conversion import camera_app
from oakmill.conversion.cache import identity
from oakmill.conversion.cache.store import Lent, Store, key_of
from oakmill.conversion.camera_app import CameraApp
from oakmill.conversion.events import Progress
from oakmill.conversion.images.samples import SampleSet
from oakmill.conversion.passport import Passport
from oakmill.conversion.passport.layers import Layers
from oakmill.conversion.platform import Built, Images, Network, Platform
from oakmill.conversion.prepare import Prepared
from oakmill.files import file_sha256
from oakmill.model import weights
from oakmill.model.source import SourceModel, Tensor
from oakmill.spec.recipe import CalibrationRecord

LARGEST = weights.STAY
"""Bytes of a source whose graphs are kept: larger ones cost more to write and read than they save."""

_NAMES = {"name", "output_format", "verification_images", "quantization_data", "max_drop"}
"""Parameters that say how things are called, and what is thought of them; the contents of what they name are looked at
instead."""
_NOT_COMPILED = {
    *_NAMES, "inputs", "disable_onnx_simplification", "max_verification_images", "resize", "seed", "proof_images",
    "max_quantization_images", "range_method", "quantizer_search", "search_seconds", "aimet_encodings",
    "tensor_overrides", "class_names", "no_equalization", "silu_int16", "improve", "improve_minutes",
    "no_bias_correction",
}  # fmt: skip
"""Parameters that the compiler sees in its network only."""
_ONLY_COMPILED = {"blob", "number_of_shaves"}

Found = TypeVar("Found")


@dataclass(frozen=True)
class Reuse:
    """What one conversion takes from the cache and gives to it.

    `source` is the model's sha256; `tools` are the digests of the toolchains, None where the user's own take part:
    their work is not kept.
    """

    store: Store
    platform: Platform
    progress: Progress
    source: str
    tools: Mapping[str, str] | None

    @classmethod
    def of(cls, platform: Platform, source: SourceModel, progress: Progress) -> Reuse:
        """For a conversion; one of a very large model keeps nothing."""
        settings = platform.settings
        store = Store.of(settings) if source.size <= LARGEST else Store(Path(), 0)
        own = identity.uses_own_tools(platform.spec, settings)
        tools = {item.name: item.digest for item in (each.status() for each in platform.toolchains)}
        return cls(store, platform, progress, source.sha256, None if own else tools)

    def proved(self, network: onnx.ModelProto, asked: object, prove: Callable[[], str]) -> str:
        """How a network with other ends differs from its source; empty where it does not."""
        return self._once(
            "heads",
            lambda: (_graph(network), asked),
            prove,
            lambda wrong: ({}, {"wrong": wrong}),
            lambda lent: str(lent.about["wrong"]),
        )

    def as_onnx(
        self, source: SourceModel, asked: object, tools: Mapping[str, str], job: Path, make: Callable[[], SourceModel]
    ) -> SourceModel:
        """A source of another format with a graph in ONNX, by tools of these digests; its own files stay what they are.

        `job` is a folder that does not exist yet.
        """
        if not (tools and all(tools.values())):
            return make()

        def save(made: SourceModel) -> tuple[dict[str, bytes | Path], dict[str, Any]]:
            if _together(made.graph) != [made.graph]:
                raise TypeError("its weights lie beside it")
            return {"graph.onnx": made.graph}, {"source": written(_Described, _Described.of(made))}

        def load(lent: Lent) -> SourceModel:
            found = read(_Described, lent.about["source"])
            _copied(lent, job)
            return replace(source, graph=job / "graph.onnx", **vars(found))

        return self._once("as-onnx", lambda: (self.source, source.name, asked, tools), make, save, load)

    def prepared(self, fixed: onnx.ModelProto, asked: object, make: Callable[[], onnx.ModelProto]) -> onnx.ModelProto:
        """A source graph with fixed shapes, made plain for the compiler; `asked` is what decides how."""
        return self._once(
            "prepare",
            lambda: (_graph(fixed), asked),
            make,
            lambda model: ({"plain.onnx": model.SerializeToString(deterministic=True)}, {}),
            lambda lent: _parsed(lent.read("plain.onnx")),
        )

    def calibrated(self, prepared: Prepared, images: Images, network: Network, job: Path) -> Network:
        """The quantized network, where finding it took a search; the platforms themselves keep what ranges cost."""
        spec: Any = self.platform.spec
        make = partial(self.platform.calibrate, prepared, images, network, job, self.progress)
        if not getattr(spec, "quantizer_search", False):
            return make()

        def load(lent: Lent) -> Network:
            name, record = lent.about["name"], CalibrationRecord.model_validate(lent.about["calibration"])
            model = _parsed(lent.read(name))
            _copied(lent, job)
            layers = read(Layers, lent.about["layers"]) if lent.about["layers"] else None
            return Network(job / name, model, record, images.calibration_images, layers)

        return self._once(
            "calibrate",
            lambda: (_graph(prepared.model), _facts(prepared), self._without(_NAMES), _seen(images)),
            make,
            lambda made: (
                {made.file.name: made.file},
                {
                    "calibration": made.calibration.model_dump(mode="json"),
                    "name": made.file.name,
                    "layers": written(Layers, made.layers) if made.layers else None,
                },
            ),
            load,
        )

    def compiled(self, prepared: Prepared, network: Network, job: Path) -> Built:
        """The compiled file, with what belongs to it."""
        make: Callable[[], Built] = partial(self.platform.compile, prepared, network, job, self.progress)
        if self.tools is None:
            return make()

        def save(made: Built) -> tuple[dict[str, bytes | Path], dict[str, Any]]:
            files = {file.name: file for file in (made.file, *made.parts)}
            text = json.dumps(written(self.platform.built, made))
            for name, file in files.items():
                text = text.replace(json.dumps(str(file)), json.dumps(f"@{name}"))
            if str(job) in text:
                raise TypeError("it speaks of files that do not belong to it")
            return dict(files), {"built": text}

        def load(lent: Lent) -> Built:
            text = lent.about["built"]
            for name in lent.files:
                text = text.replace(json.dumps(f"@{name}"), json.dumps(str(job / name)))
            made = read(self.platform.built, json.loads(text))
            _copied(lent, job)
            return made

        return self._once(
            "compile",
            lambda: (_files(network.file), _facts(prepared), self._without(_NOT_COMPILED), self.tools),
            make,
            save,
            load,
        )

    def measured(
        self, prepared: Prepared, network: Network, built: Built, images: Images, work: Path, app: CameraApp | None
    ) -> Passport:
        """The passport, as far as it was measured; `app` reads the file's outputs as a camera's program does."""
        make = partial(self._measured, prepared, network, built, images, work, app)
        if self.tools is None:
            return make()
        looks_at_file = self.platform.runs_the_file
        spec = self._without(_NAMES if looks_at_file else _NAMES | _ONLY_COMPILED)
        return self._once(
            "measure",
            lambda: (
                *(self.source, _graph(prepared.original), _files(network.file), _facts(prepared), spec, _seen(images)),
                *(self.tools, network.calibration.model_dump(mode="json"), _files(built.file) if looks_at_file else ""),
                app is not None,
            ),
            make,
            lambda made: ({}, {"passport": written(Passport, made)}),
            lambda lent: read(Passport, lent.about["passport"]),
        )

    def _measured(
        self, prepared: Prepared, network: Network, built: Built, images: Images, work: Path, app: CameraApp | None
    ) -> Passport:
        subject = self.platform.subject(prepared, network, built, images, work, self.progress)
        return camera_app.measured(subject, self.progress, app)

    def _once(
        self,
        stage: str,
        parts: Callable[[], tuple[object, ...]],
        make: Callable[[], Found],
        save: Callable[[Found], tuple[Mapping[str, bytes | Path], Mapping[str, Any]]],
        load: Callable[[Lent], Found],
    ) -> Found:
        """What the cache has, with the notes and warnings that were told then; else made, and kept."""
        if not self.store.max_bytes:
            return make()
        key = key_of(stage, identity.maker(), *parts())
        with self.store.lend(stage, key) as lent:
            try:
                if lent is not None:
                    found = load(lent)
                    self._tell_again(stage, lent.about)
                    return found
            except (KeyError, ValueError, TypeError, AttributeError, DecodeError):
                self.store.drop(stage, key)  # of another form, which the key should have told
        notes, warnings = len(self.progress.notes), len(self.progress.warnings)
        made = make()
        said = {"notes": self.progress.notes[notes:], "warnings": self.progress.warnings[warnings:]}
        try:
            files, about = save(made)
        except (TypeError, ValueError):  # it cannot be written down
            return made
        self.store.put(stage, key, files, {**about, **said})
        return made

    def _tell_again(self, stage: str, about: Mapping[str, Any]) -> None:
        self.progress.note(f"reused from the cache: {stage}")
        for note in about["notes"]:
            self.progress.note(note)
        for warning in about["warnings"]:
            self.progress.warn(warning)

    def _without(self, names: set[str]) -> dict[str, Any]:
        found = self.platform.spec.model_dump(mode="json", exclude=names)
        encodings = found.get("aimet_encodings")
        return {**found, "aimet_encodings": file_sha256(Path(encodings))} if encodings else found


@dataclass(frozen=True)
class _Described:
    """What writing a source as ONNX finds of it."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    opset: int | None
    metadata: Mapping[str, str]

    @classmethod
    def of(cls, source: SourceModel) -> _Described:
        return cls(source.inputs, source.outputs, source.opset, dict(source.metadata))


_form: Callable[[Any], TypeAdapter[Any]] = lru_cache(TypeAdapter)


def written(kind: type[Found], value: Found) -> Any:
    """A frozen dataclass as plain data: numbers to the last bit, infinite ones and NaN too, which Python's JSON knows.

    Raises:
        TypeError, ValueError: something in it is not what the class says, or nothing that could be written down.
    """
    plain = _form(kind).dump_python(value, warnings="error")
    return json.loads(json.dumps(plain, default=_path))


def _path(value: object) -> str:
    if not isinstance(value, Path):
        raise TypeError(f"{type(value).__name__} cannot be stored")
    return str(value)


def read(kind: type[Found], plain: object) -> Found:
    """What `written` was given.

    Raises:
        ValueError: it is of another form.
    """
    found: Found = _form(kind).validate_python(plain)
    return found


def _copied(lent: Lent, job: Path) -> None:
    """Put the entry's files into a new folder."""
    job.mkdir(parents=True)
    for name, file in lent.files.items():
        shutil.copyfile(file, job / name)


def _parsed(data: bytes) -> onnx.ModelProto:
    model = onnx.ModelProto()
    model.ParseFromString(data)
    return model


def _graph(model: onnx.ModelProto) -> str:
    return hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()


def _files(graph: Path) -> list[str]:
    return [file_sha256(path) for path in _together(graph)]


def _together(graph: Path) -> list[Path]:
    """A graph's file, and those of the same name beside it that hold its weights; nothing where it is not written."""
    return sorted(path for path in graph.parent.glob("*") if path.stem == graph.stem) if graph.is_file() else []


def _facts(prepared: Prepared) -> list[object]:
    """What is known of a prepared graph beside the graph itself."""
    tensors = [repr(item) for item in (*prepared.inputs, *prepared.boundary, *prepared.outputs)]
    heads = json.dumps([dict(head) for head in prepared.heads], sort_keys=True, default=str)
    return [tensors, sorted(prepared.turned), heads, dict(prepared.names)]


def _seen(images: Images) -> list[object]:
    """The images by name and content, in their order, for each input."""
    return [
        images.calibration_set,
        [images.labels.sha256, images.resize.value] if images.labels else None,
        _listed(images.held_out),
        _listed(images.calibration_images) if images.calibration_images else None,
    ]


def _listed(chosen: SampleSet) -> list[object]:
    return [[samples.source, list(samples.names), list(samples.sha256)] for samples in chosen.samples]
