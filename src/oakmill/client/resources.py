"""What a hub holds, kind by kind: models with their variants and versions, calibration sets, keys, webhooks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from oakmill.client.connection import Connection
from oakmill.client.uploads import Progress, Uploads, unwatched
from oakmill.hub.wire import (
    Dataset,
    DatasetDetail,
    Delivery,
    Key,
    Model,
    ModelDetail,
    NewKey,
    NewWebhook,
    Variant,
    Version,
    Webhook,
)
from oakmill.hub.wire_keeping import Alias, AliasMove, Trashed


class Models:
    """Models.

    Every method raises HubUnreachable where the hub does not answer, and what the hub refuses by name: NotFound for
    what the key does not see, Forbidden for what it may not, NoKey, SpecError.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, text: str = "", **filters: Any) -> Iterator[Model]:
        """The models that the key sees; filters are those of GET /api/v1/models: slug, task, platform, sort."""
        for item in self._connection.pages("/models", text=text or None, **filters):
            yield Model.model_validate(item)

    def get(self, model_id: str) -> ModelDetail:
        """A model with its card."""
        return ModelDetail.model_validate(self._connection.get(f"/models/{model_id}"))

    def create(self, name: str, **card: Any) -> ModelDetail:
        """A new model of the key's team: visibility, summary, card, license, tasks, tags may be given.

        Raises:
            Conflict: the team has one of that name.
        """
        return ModelDetail.model_validate(self._connection.ask("POST", "/models", json={"name": name, **card}))

    def change(self, model_id: str, **card: Any) -> ModelDetail:
        """Change what is given; the slug stays."""
        return ModelDetail.model_validate(self._connection.ask("PATCH", f"/models/{model_id}", json=card))

    def delete(self, model_id: str, *, force: bool = False) -> None:
        """Delete a model.

        Raises:
            Conflict: something depends on it, and `force` was not said.
        """
        self._connection.ask("DELETE", f"/models/{model_id}", params={"force": force})

    def variants(self, model_id: str) -> Sequence[Variant]:
        """A model's variants by name."""
        return [Variant.model_validate(item) for item in self._connection.pages(f"/models/{model_id}/variants")]

    def delete_variant(self, variant_id: str, *, force: bool = False) -> None:
        """Delete a variant.

        Raises:
            Conflict: something depends on it, and `force` was not said.
        """
        self._connection.ask("DELETE", f"/variants/{variant_id}", params={"force": force})

    def versions(self, model_id: str) -> Sequence[Version]:
        """A model's versions, the highest first."""
        return [Version.model_validate(item) for item in self._connection.pages(f"/models/{model_id}/versions")]

    def create_version(self, model_id: str, variant: str, version: str | None = None, **notes: Any) -> Version:
        """A new version, by default the next; its variant is made where there is none of that name.

        Raises:
            Conflict: there is that version.
        """
        body = {"variant": variant, **({"version": version} if version else {}), **notes}
        return Version.model_validate(self._connection.ask("POST", f"/models/{model_id}/versions", json=body))

    def delete_version(self, version_id: str, *, force: bool = False) -> None:
        """Delete a version.

        Raises:
            Conflict: something depends on it, and `force` was not said.
        """
        self._connection.ask("DELETE", f"/versions/{version_id}", params={"force": force})


class Aliases:
    """Names that point to versions: prod, staging. Methods raise as those of `Models` do."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, model_id: str) -> Sequence[Alias]:
        """A model's aliases, by variant and name."""
        return [Alias.model_validate(item) for item in self._connection.pages(f"/models/{model_id}/aliases")]

    def history(self, model_id: str) -> Sequence[AliasMove]:
        """Who moved a model's aliases, from where to where and why; the latest first."""
        found = self._connection.pages(f"/models/{model_id}/aliases/history")
        return [AliasMove.model_validate(item) for item in found]

    def move(self, version_id: str, name: str, *, why: str = "", expected: str | None = None) -> Alias:
        """Point an alias to a version; it is made where the version's variant has none of that name.

        Raises:
            Conflict: it points elsewhere than to the version `expected`.
        """
        path = f"/versions/{version_id}/aliases/{name}"
        return Alias.model_validate(self._connection.ask("PUT", path, json={"why": why, "expected": expected}))

    def back(self, variant_id: str, name: str, *, why: str = "", expected: str | None = None) -> Alias:
        """Point an alias to where it pointed before its last move.

        Raises:
            Conflict: it points elsewhere than to the version `expected`.
        """
        path = f"/variants/{variant_id}/aliases/{name}/back"
        return Alias.model_validate(self._connection.ask("POST", path, json={"why": why, "expected": expected}))

    def remove(self, variant_id: str, name: str) -> None:
        """Take an alias away; its history stays."""
        self._connection.ask("DELETE", f"/variants/{variant_id}/aliases/{name}")


class TrashCan:
    """What was deleted and can be restored. Methods raise as those of `Models` do."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self) -> Sequence[Trashed]:
        """What lies there that the key may restore, what was deleted last first."""
        return [Trashed.model_validate(item) for item in self._connection.pages("/trash")]

    def restore(self, trash_id: str, *, name: str | None = None) -> Trashed:
        """Bring back what was deleted together.

        Raises:
            Conflict: its name is taken by now, and `name` says no other; or what it stood below is deleted, too.
        """
        return Trashed.model_validate(self._connection.ask("POST", f"/trash/{trash_id}/restore", json={"name": name}))

    def purge(self, trash_id: str) -> None:
        """Delete it for good."""
        self._connection.ask("DELETE", f"/trash/{trash_id}")

    def empty(self) -> None:
        """Delete for good all that lies in the team's trash; for its admins."""
        self._connection.ask("DELETE", "/trash")


class Datasets:
    """Calibration sets of the team's own. Methods raise as those of `Models` do."""

    def __init__(self, connection: Connection, uploads: Uploads) -> None:
        self._connection, self._uploads = connection, uploads

    def list(self) -> Iterator[Dataset]:
        """The team's sets by name."""
        return map(Dataset.model_validate, self._connection.pages("/datasets"))

    def get(self, name: str) -> DatasetDetail:
        """A set, by identifier or slug, with what the calibration doctor says of it."""
        return DatasetDetail.model_validate(self._connection.get(f"/datasets/{name}"))

    def add(self, name: str, images: Path, *, progress: Progress = unwatched) -> DatasetDetail:
        """Make a set of a zip of images.

        Raises:
            Conflict: there is one of that name with other images.
            SourceError: it is no zip of images, or not to be read.
            UnsafeSource, TooLarge: it is more than the hub takes.
        """
        made = self._uploads.file(images, {"kind": "dataset", "name": name}, progress=progress)
        return self.get(str(made.dataset_id))

    def delete(self, name: str) -> None:
        """Delete a set."""
        self._connection.ask("DELETE", f"/datasets/{name}")


class Keys:
    """The team's keys, for its admins. Methods raise as those of `Models` do."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self) -> Iterator[Key]:
        """The team's keys."""
        return map(Key.model_validate, self._connection.pages("/keys"))

    def create(
        self,
        name: str,
        scopes: Sequence[str] = ("read",),
        *,
        model_id: str | None = None,
        expires: datetime | None = None,
    ) -> NewKey:
        """A new key; the hub tells it this once."""
        body: dict[str, Any] = {"name": name, "scopes": [*scopes], "model_id": model_id}
        body["expires"] = expires.isoformat() if expires else None
        return NewKey.model_validate(self._connection.ask("POST", "/keys", json=body))

    def revoke(self, key_id: str) -> Key:
        """End a key's force, at once and for good."""
        return Key.model_validate(self._connection.ask("DELETE", f"/keys/{key_id}"))


class Webhooks:
    """The team's webhooks, for its admins. Methods raise as those of `Models` do."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self) -> Iterator[Webhook]:
        """The team's webhooks, the oldest first."""
        return map(Webhook.model_validate, self._connection.pages("/webhooks"))

    def add(self, url: str, events: Sequence[str] = ()) -> NewWebhook:
        """A new webhook, by default for all events; the hub tells its secret this once.

        Raises:
            Conflict: the team has as many as it may have.
        """
        body: dict[str, Any] = {"url": url, **({"events": [*events]} if events else {})}
        return NewWebhook.model_validate(self._connection.ask("POST", "/webhooks", json=body))

    def remove(self, webhook_id: str) -> None:
        """Tell it nothing more."""
        self._connection.ask("DELETE", f"/webhooks/{webhook_id}")

    def rotate(self, webhook_id: str) -> NewWebhook:
        """Give it a new secret, which is told this once; the one of before signs too for a day."""
        return NewWebhook.model_validate(self._connection.ask("POST", f"/webhooks/{webhook_id}/secret"))

    def test(self, webhook_id: str) -> Delivery:
        """Send it a message that tells of nothing; `delivery` says later what came of it."""
        return Delivery.model_validate(self._connection.ask("POST", f"/webhooks/{webhook_id}/test"))

    def deliveries(self, webhook_id: str, limit: int = 50) -> Sequence[Delivery]:
        """What it was sent last, or is to be sent, the latest first."""
        found = self._connection.get(f"/webhooks/{webhook_id}/deliveries", limit=limit)
        return [Delivery.model_validate(item) for item in found["items"]]

    def delivery(self, delivery_id: str) -> Delivery:
        """One message, and what came of it."""
        return Delivery.model_validate(self._connection.get(f"/deliveries/{delivery_id}"))

    def again(self, delivery_id: str) -> Delivery:
        """Send the same message again, under the same identifier."""
        return Delivery.model_validate(self._connection.ask("POST", f"/deliveries/{delivery_id}/again"))
