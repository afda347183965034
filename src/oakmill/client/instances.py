"""Instances of a hub: found by their address, made of files that are uploaded, downloaded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from oakmill.client.connection import Connection
from oakmill.client.downloads import fetch, on_hub
from oakmill.client.uploads import Progress, Uploads, unwatched
from oakmill.errors import NotFound, OutputError, SourceError
from oakmill.files import atomic_write
from oakmill.hub.wire import File, FileLink, Instance
from oakmill.spec.evidence import Evidence, name_of
from oakmill.spec.imported import Imported

ModelType = Literal["ONNX", "IR", "TFLITE", "PYTORCH"]
"""What a source's file is, in HubAI's words."""
_TYPES: dict[str, ModelType] = {".xml": "IR", ".bin": "IR", ".tflite": "TFLITE", ".pt": "PYTORCH", ".pth": "PYTORCH"}


class Instances:
    """Instances. Methods raise as those of `Models` do."""

    def __init__(self, connection: Connection, uploads: Uploads) -> None:
        self._connection, self._uploads = connection, uploads

    def list(self, **filters: Any) -> Iterator[Instance]:
        """The instances that the key sees; filters are those of GET /api/v1/instances: model_id, platform, hash."""
        return map(Instance.model_validate, self._connection.pages("/instances", **filters))

    def get(self, instance_id: str) -> Instance:
        """An instance with its files."""
        return Instance.model_validate(self._connection.get(f"/instances/{instance_id}"))

    def resolve(self, address: str, platform: str | None = None) -> Instance:
        """What stands at `[team/]model[:variant[:version or short hash]]`: the latest, where it does not say which.

        Raises:
            NotFound: there is no available one that the key sees.
            Conflict: several teams have a public model of that name.
            SpecError: it is no address.
        """
        kind = platform.upper() if platform else None
        return Instance.model_validate(self._connection.get("/resolve", address=address, platform=kind))

    def create(
        self, version_id: str, files: Sequence[Path], *, name: str | None = None, model_type: ModelType | None = None,
        imported: Imported | None = None, progress: Progress = unwatched,
    ) -> Instance:  # fmt: skip
        """A source of these files: a model with its external data, or an IR with its weights. All, or nothing is left.

        Files beside the first that the model names are sent too. `imported` is where they come from.

        Raises:
            SourceError: a file cannot be read, is no model, or the model names files that were not given.
            UnsupportedModel: it cannot be converted.
            TooLarge: the hub, the team's quota or the disk has no room for it.
        """
        body: dict[str, Any] = {"version_id": version_id, "name": name or files[0].stem}
        body["model_type"] = model_type or _type_of(files)
        body |= {"imported": imported.model_dump(mode="json")} if imported else {}
        instance = Instance.model_validate(self._connection.ask("POST", "/instances", json=body))
        try:
            return self._filled(instance, files, progress)
        except BaseException:
            self.delete(instance.id, force=True)
            raise

    def delete(self, instance_id: str, *, force: bool = False) -> None:
        """Delete an instance.

        Raises:
            Conflict: something was made from it, and `force` was not said.
        """
        self._connection.ask("DELETE", f"/instances/{instance_id}", params={"force": force})

    def files(self, instance_id: str) -> Sequence[FileLink]:
        """An instance's files, each with a link to its bytes."""
        return [FileLink.model_validate(item) for item in self._connection.pages(f"/instances/{instance_id}/files")]

    def passport(self, instance_id: str) -> dict[str, Any]:
        """The accuracy passport of a converted instance."""
        found: dict[str, Any] = self._connection.get(f"/instances/{instance_id}/passport")
        return found

    def download(
        self, instance_id: str, folder: Path, *, everything: bool = False, overwrite: bool = False,
        progress: Progress = unwatched,
    ) -> Sequence[Path]:  # fmt: skip
        """Bring an instance's model into a folder, the model first; `everything` adds its recipe, its passport
        and the hub's evidence.

        Raises:
            OutputExists: a file of that name is there already, with other bytes.
            OutputError: the folder cannot be written.
            HashMismatch: what came is not what the hub says it is.
        """
        wanted = [file for file in self.files(instance_id) if everything or file.role in {"model", "part"}]
        if not wanted:
            raise NotFound("The instance has no files yet.", subject=instance_id)
        wanted.sort(key=lambda file: file.role != "model")
        found = [
            self._fetched(instance_id, file, folder / Path(file.name).name, overwrite=overwrite, progress=progress)
            for file in wanted
        ]
        return [*found, self._evidence(instance_id, found[0])] if everything else found

    def evidence(self, instance_id: str) -> Evidence:
        """What the hub signs of an instance: the digests of its files."""
        return Evidence.model_validate(self._connection.get(f"/instances/{instance_id}/evidence"))

    def _evidence(self, instance_id: str, model: Path) -> Path:
        """The hub's word on it, beside the model; it is newer than one that is there."""
        path = model.with_name(name_of(model.name))
        try:
            atomic_write(path, self.evidence(instance_id).model_dump_json(indent=1))
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {error.strerror}", subject=str(path)) from error
        return path

    def _fetched(self, instance_id: str, file: File, target: Path, *, overwrite: bool, progress: Progress) -> Path:
        def link() -> str:
            fresh = next((item for item in self.files(instance_id) if item.id == file.id), None)
            if fresh is None:
                raise NotFound(f"{file.name} is gone.", subject=file.id)
            return on_hub(self._connection, fresh.url)

        return fetch(self._connection, file, link, target, overwrite=overwrite, progress=progress)

    def _filled(self, instance: Instance, files: Sequence[Path], progress: Progress) -> Instance:
        """Send the files, and those beside the first that the model names."""
        waiting, sent = list(files), set[str]()
        missing: Sequence[str] = ()
        while waiting:
            path = waiting.pop(0)
            purpose = {"kind": "instance", "instance_id": instance.id}
            missing = self._uploads.file(path, purpose, progress=progress).missing
            sent.add(path.name)
            if not waiting:
                beside = [files[0].parent / Path(name).name for name in missing]
                waiting = [path for path in beside if path.name not in sent and path.is_file()]
        if missing:
            words = ", ".join(missing)
            raise SourceError(f"The model needs {words}.", subject=missing[0], remedy=f"Upload it together: {words}")
        return self.get(instance.id)


def _type_of(files: Sequence[Path]) -> ModelType:
    """By the names alone; the hub looks into the files, and says it when they are something else."""
    return next((_TYPES[path.suffix.lower()] for path in files if path.suffix.lower() in _TYPES), "ONNX")
