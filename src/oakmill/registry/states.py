"""Where the registry's rows come from, who sees them, whether they can be used; for clients too, so without tables."""

from __future__ import annotations

from enum import StrEnum


class Visibility(StrEnum):
    """Who sees a model and all below it."""

    PRIVATE = "private"  #: who made it (a key, or a user), and the team's admins
    TEAM = "team"  #: every key of the team
    PUBLIC = "public"  #: every key of the hub, and everybody where the operator allows it
    QUICK = "quick"  #: as private, but in no list, and removed after a while unless it is kept


TRASHED = "trash"
"""In the place of its visibility, on what lies in the trash: nobody sees it, and no list walks through it."""

LISTED = (Visibility.PRIVATE, Visibility.TEAM, Visibility.PUBLIC)
"""What a person chooses among, and what lists show."""


class Origin(StrEnum):
    """Where an instance comes from."""

    SOURCE = "source"  #: uploaded
    CONVERTED = "converted"  #: made by a conversion


class KeyOrigin(StrEnum):
    """How a key came."""

    MADE = "made"  #: by an admin, or the operator
    SIGN_IN = "sign-in"  #: by signing in at the provider; what its web sessions act with
    LOGIN = "login"  #: by `oakmill login`, approved on a page of the hub
    EXCHANGE = "exchange"  #: for the identity token of a CI job


class LoginState(StrEnum):
    """Where a login of the command line stands."""

    WAITING = "waiting"  #: for somebody to approve its code
    APPROVED = "approved"
    REFUSED = "refused"
    DONE = "done"  #: its key was told


class InstanceStatus(StrEnum):
    """Whether an instance can be used."""

    PENDING = "pending"  #: its upload or its conversion is not through
    AVAILABLE = "available"
    FAILED = "failed"


class Role(StrEnum):
    """What a file of an instance is."""

    MODEL = "model"  #: what is downloaded: the uploaded file, or the converted one
    PART = "part"  #: belongs to the model: external data, an IR's weights
    PASSPORT = "passport"
    PASSPORT_PAGE = "passport_page"
    RECIPE = "recipe"
    MEASURED = "measured"  #: the passport with a camera in it
    MEASURED_PAGE = "measured_page"
    FACE = "face"  #: a small image of what the model sees, for lists
    DEBUG_BUNDLE = "debug_bundle"  #: the evidence that a failed conversion leaves
