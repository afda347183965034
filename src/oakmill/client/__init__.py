"""A hub as Python sees it: `Hub(url, key)`, whose answers are typed, and whose refusals are the errors by name."""

from oakmill.client.answers import (
    Completed,
    Dataset,
    File,
    Instance,
    Job,
    Key,
    Line,
    Me,
    Model,
    ModelType,
    NewKey,
    Upload,
    Variant,
    Version,
)
from oakmill.client.following import Told
from oakmill.client.hub import Hub

__all__ = [
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
