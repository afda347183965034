"""What the hub answers of bundles of models: what one holds and would bring, and what it has brought."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from oakmill.hub.wire import Answer

BundleState = Literal["new", "adds", "there", "taken"]


class BundleModel(Answer):
    """A model of a bundle, as it would be here. `state`: it is new; it adds to the one here; all of it is here; or
    its name is another's."""

    slug: str = Field(description="What the bundle calls it.")
    address: str = Field(description="What it is called here: team/model.")
    name: str
    state: BundleState | str
    why: str = Field("", description="Why its name is another's.")
    variants: int = 0
    versions: int = 0
    instances: int = 0
    coming: int = Field(0, description="Instances that are not here yet.")
    size: int = Field(0, description="Bytes of their files.")
    model_id: str | None = None


class BundleSet(Answer):
    """A calibration set of a bundle; `state` is new, there or taken."""

    name: str
    slug: str
    state: str
    size: int = 0
    count: int = 0


class BundlePreview(Answer):
    """What a bundle would bring."""

    upload_id: str | None = None
    sha256: str = Field(description="The manifest's, which stands for all of it.")
    made: datetime
    by: str = ""
    hub: str = Field("", description="Address of the hub that made it.")
    oakmill: str = ""
    size: int = Field(description="Bytes of all its files.")
    models: tuple[BundleModel, ...]
    datasets: tuple[BundleSet, ...] = ()


class BundleTaken(Answer):
    """What a bundle has brought: each model as it was found before, with its identifier here."""

    sha256: str
    models: tuple[BundleModel, ...]
    datasets: tuple[BundleSet, ...] = ()
