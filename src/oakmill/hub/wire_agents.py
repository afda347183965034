"""What the hub and its agents tell each other: the machines with cameras that prove and time files on them."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from oakmill.hub.wire import Answer, Job


class Camera(Answer):
    """A camera at an agent's machine. Product and firmware are known once it was opened."""

    identifier: str = ""
    name: str = Field("", description="Its address, or its USB port.")
    platform: str = Field("", description="RVC2, RVC3 or RVC4; empty where its connection does not tell.")
    product: str = ""
    firmware: str = ""
    state: str = ""
    problem: str = Field("", description="Why it cannot be used, in a sentence.")


class Agent(Answer):
    """An agent that was heard of in the last hour."""

    name: str
    machine: str
    version: str
    cameras: tuple[Camera, ...] = ()
    since: datetime
    beat: datetime
    job_id: str | None = None


class HeldImages(Answer):
    """A zip of images, or one image, that the job's holder may fetch."""

    name: str
    sha256: str
    size: int


class Claimed(Answer):
    """A job that an agent holds from now on, by the token; the file is the job's source."""

    job: Job
    token: str = Field(description="What every word about the job is to come with; without it nothing is written.")
    lease_seconds: float = Field(description="After this time without a word, the job is another agent's.")
    beat_seconds: float = Field(description="How often to give one.")
    job_seconds: float = Field(description="How long the job may take.")
    source_id: str | None = Field(None, description="The model that the file was made of.")
    images: HeldImages | None = Field(None, description="Null where they are a named set, or generated.")
    set: str | None = Field(None, description="The named set that they are.")
    held_out: bool = Field(False, description="Whether those alone count that the file's own passport names.")


class Standing(Answer):
    """How the lease of a job stands: held; cancel, which is held still; or lost, after which nothing is written."""

    state: str
