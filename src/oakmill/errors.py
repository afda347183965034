"""The named errors: each says what happened, on what, and what to do next, and carries its exit code.

A class's docstring is its default message. Vendor tools' errors are turned into these where the tool is called.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class OakmillError(Exception):
    """Something went wrong inside Oakmill."""

    exit_code: ClassVar[int] = 1
    status: ClassVar[int] = 422
    """What the hub answers over HTTP when a request meets it."""

    def __init__(self, message: str = "", *, remedy: str = "", subject: str = "", log: str = "") -> None:
        self.message = message or (type(self).__doc__ or "").partition("\n")[0]
        self.remedy = remedy
        self.subject = subject
        self.log = log
        super().__init__(self.message)

    @property
    def code(self) -> str:
        """The machine-readable name of the error: its class name."""
        return type(self).__name__

    def as_dict(self) -> dict[str, str | int]:
        """The error as plain data, for `--json`, recipes and the API."""
        return {
            "code": self.code,
            "exit_code": self.exit_code,
            "message": self.message,
            "subject": self.subject,
            "remedy": self.remedy,
            "log": self.log,
        }


# What was asked


class SpecError(OakmillError):
    """The conversion was asked for in a way that cannot be carried out."""

    exit_code = 2


class ArgumentRefused(SpecError):
    """A raw tool argument is not on the list of those that are safe to pass on."""


class SettingRefused(SpecError):
    """An environment variable says what its setting does not take."""


class VersionNotAvailable(SpecError):
    """The tool version asked for is not available here."""


class NothingToKeep(SpecError):
    """The model has nothing of what is to be kept in 16 bits."""


# What came in


class SourceError(OakmillError):
    """The source is not a model that can be read."""

    exit_code = 3


class NotAModel(SourceError):
    """The file is not a model of a known format."""


class BrokenModel(SourceError):
    """The model file is damaged or contradicts itself."""


class UnsafeSource(SourceError):
    """The source tries to reach outside its own files, or to grow beyond reason."""


class BadBundle(SourceError):
    """The file is no bundle of models, or not one that this version takes in."""


class ImportFailed(SourceError):
    """The model could not be fetched from where it is."""


class ImportNotAllowed(ImportFailed):
    """The place that it is imported from does not let this key have it."""


class UnsupportedModel(OakmillError):
    """The model is sound, but the platform cannot run it as it is."""

    exit_code = 4


class DynamicShape(UnsupportedModel):
    """An input has open dimensions, and the platform needs fixed ones."""


class UnsupportedOpset(UnsupportedModel):
    """The model's opset cannot be brought to one that the compiler reads rightly."""


# What was changed


class PreparationFailed(OakmillError):
    """The model could not be prepared for the platform."""

    exit_code = 5


class ProofFailed(PreparationFailed):
    """The prepared model does not compute what the source model computes."""


# Who compiles


class ToolchainMissing(OakmillError):
    """A toolchain that the conversion needs is not installed."""

    exit_code = 6


class LicenceNotAccepted(ToolchainMissing):
    """The vendor tool is under a licence that somebody has to accept by its name first."""


class ToolchainBroken(ToolchainMissing):
    """A toolchain is installed but does not work."""


class ToolFailed(OakmillError):
    """A vendor tool failed."""

    exit_code = 7


class CompileFailed(ToolFailed):
    """The vendor's compiler refused the model."""


class ToolKilled(ToolFailed):
    """A vendor tool was ended from outside, or crashed; `signal` is the signal's name, where one ended it."""

    signal = ""


class LimitExceeded(ToolFailed):
    """A vendor tool needed more time, memory or output than it is allowed."""


# What came out


class VerificationFailed(OakmillError):
    """The converted file does not do what it should."""

    exit_code = 8


class AccuracyDropped(OakmillError):
    """The converted model loses more of its accuracy than --max-drop allows; its files are written."""

    exit_code = 11
    finding: ClassVar[str] = "accuracy_drop"
    """The code of a passport's finding that says so."""

    @classmethod
    def require_none(cls, passport: Mapping[str, Any]) -> None:
        """That a passport, as plain data, says no such thing.

        Raises:
            AccuracyDropped: it does.
        """
        for found in passport.get("findings") or ():
            if found.get("code") == cls.finding:
                raise cls(found["message"], remedy=found.get("remedy", ""))


class OutputError(OakmillError):
    """The result could not be written."""

    exit_code = 9


class OutputExists(OutputError):
    """A file of that name is there already."""


# What a camera does


class DeviceError(OakmillError):
    """The camera did not do what was asked of it."""

    exit_code = 12


class NoDevice(DeviceError):
    """There is no such camera at this machine."""


class DeviceInUse(DeviceError):
    """Another program uses the camera."""


class DeviceLost(DeviceError):
    """The camera vanished in the middle of its work."""


class NotPermitted(DeviceError):
    """This user may not use the camera."""


class WrongDevice(DeviceError):
    """The file is for another platform than the camera has."""


class ModelRefused(DeviceError):
    """The camera's firmware does not take the file."""


# What the hub refuses


class HubError(OakmillError):
    """The hub could not do what was asked of it."""

    exit_code = 10
    status = 500


class NotFound(HubError):
    """There is nothing of that name that this key may see."""

    status = 404


class NoKey(HubError):
    """No key was given, or it is not known, has expired or was revoked."""

    status = 401


class Forbidden(HubError):
    """The key does not allow this."""

    status = 403


class Conflict(HubError):
    """There is one of that name already, or it is in use."""

    status = 409


class OffsetConflict(Conflict):
    """The upload goes on at another byte than the one that was sent; `subject` says at which."""


class TooLarge(HubError):
    """It is larger than the hub takes, or than the team's quota or the disk leaves room for."""

    status = 413


class HashMismatch(HubError):
    """The bytes that came are not those that were announced: their sha256 differs."""

    status = 422


class BlobDamaged(HubError):
    """The store's bytes are no longer what was stored: their sha256 differs."""


class TooManyTries(HubError):
    """Too many failed tries came from this address; wait, then try again."""

    status = 429


class Unavailable(HubError):
    """The hub cannot do this at the moment."""

    status = 503


class TooManyRequests(Unavailable):
    """This key made too many requests; wait, then go on."""

    status = 429


class DatabaseUnreachable(Unavailable):
    """The hub's database does not answer."""


class StoreUnreachable(Unavailable):
    """The store of the hub's files does not answer, or refuses."""


class TokenRefused(HubError):
    """The identity token is not one that this hub believes."""

    status = 401


class SignInRefused(HubError):
    """The sign-in did not come to its end."""

    status = 403


class NoTeam(Forbidden):
    """No group of this user leads to a team of this hub."""


class UserDisabled(Forbidden):
    """This user is shut out of this hub."""


class LoginPending(HubError):
    """The code of this login was not approved yet."""

    status = 400


class LoginTooFast(LoginPending):
    """The login is asked after too often."""


class LoginRefused(HubError):
    """The login was refused."""

    status = 400


class LoginExpired(HubError):
    """The code of this login works no more: too much time passed, or it was used."""

    status = 400


class ProviderUnreachable(Unavailable):
    """The sign-in provider does not answer, or not as one."""


class HubUnreachable(HubError):
    """The hub does not answer at its address."""

    status = 502
