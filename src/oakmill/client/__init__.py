"""A hub as Python sees it: `Hub(url, key)`, whose answers are typed, and whose refusals are the errors by name."""

from oakmill.client.following import Told
from oakmill.client.hub import Hub
from oakmill.client.instances import ModelType
from oakmill.hub.wire import (
    Completed,
    Dataset,
    File,
    Instance,
    Job,
    Key,
    Line,
    Me,
    Model,
    NewKey,
    Upload,
    Variant,
    Version,
)
from oakmill.hub.wire_keeping import Alias, AliasMove

__all__ = [
    "Alias",
    "AliasMove",
    "Completed",
    "Dataset",
    "File",
    "Hub",
    "Instance",
    "Job",
    "Key",
    "Line",
    "Me",
    "Model",
    "ModelType",
    "NewKey",
    "Told",
    "Upload",
    "Variant",
    "Version",
]
