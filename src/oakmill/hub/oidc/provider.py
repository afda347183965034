"""A provider by its issuer's address: what it says of itself, and the keys that it signs with; asked once an hour."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

from authlib.oidc.discovery import get_well_known_url
from joserfc import jwk
from joserfc.errors import JoseError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from oakmill.errors import ProviderUnreachable
from oakmill.hub.oidc.outgoing import Outgoing, Said
from oakmill.settings import Settings
from oakmill.spec import wrong

KEPT_SECONDS = 3600.0
AGAIN_SECONDS = 30.0
"""So long after the keys were asked for, an unknown one has them asked for again."""
FAILED_SECONDS = 5.0
_MOST_KEYS = 100
Url = Annotated[str, Field(pattern=r"^https?://[^\s#]+$", max_length=2000)]
_KINDS = ("RSA", "EC", "OKP")
SignedWith = jwk.RSAKey | jwk.ECKey | jwk.OKPKey
"""What signs with two keys, of which the provider shows the public one."""


class Document(BaseModel):
    """What a provider says of itself, of which its issuer and its keys are all that every one has."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    issuer: str
    jwks_uri: Url
    authorization_endpoint: Url | None = None
    token_endpoint: Url | None = None
    userinfo_endpoint: Url | None = None
    end_session_endpoint: Url | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


@dataclass(frozen=True)
class _Kept:
    """What was asked for, and when."""

    value: Any
    at: float

    @property
    def age(self) -> float:
        return time.monotonic() - self.at


class Provider:
    """One provider; all threads of a process share what it said."""

    def __init__(self, issuer: str, hosts: tuple[str, ...] = ()) -> None:
        named = {str(urlsplit(issuer).hostname), *(host.lower() for host in hosts)}
        self.issuer = issuer
        self.way = Outgoing(issuer, frozenset(named))
        self._kept: dict[str, _Kept] = {}
        self._lock = threading.Lock()

    @classmethod
    def of(cls, settings: Settings) -> Provider | None:
        """The provider that people sign in at, where the operator named one."""
        return cls(settings.oidc_issuer, settings.oidc_hosts) if settings.oidc_issuer else None

    def document(self) -> Document:
        """What it says of itself.

        Raises:
            ProviderUnreachable: it cannot be asked, or speaks for another issuer.
        """
        found: Document = self._once("document", self._document, KEPT_SECONDS)
        return found

    def known_document(self) -> Document | None:
        """What it said of itself, if it was asked; it is not asked now."""
        kept = self._kept.get("document")
        return kept.value if kept and isinstance(kept.value, Document) else None

    def key(self, kid: str | None) -> SignedWith | None:
        """The key of that name, or its only one where the token names none. None: it has no such key.

        Raises:
            ProviderUnreachable: it cannot be asked.
        """
        for seconds in (KEPT_SECONDS, AGAIN_SECONDS):
            found: SignedWith | None = self._once("keys", self._keys, seconds).get(kid)
            if found is not None:
                return found
        return None

    def post(self, url: str, form: bytes, headers: dict[str, str]) -> Said:
        """What it answers to a form."""
        return self.way.ask(url, form=form, headers=headers)

    def _once(self, name: str, ask: Any, seconds: float) -> Any:
        """What it said, unless that is too old; a failure is told for a while too, before it is asked again."""
        with self._lock:
            kept = self._kept.get(name)
            longest = FAILED_SECONDS if kept and isinstance(kept.value, ProviderUnreachable) else seconds
        if kept is None or kept.age > longest:
            kept = _Kept(_outcome(ask), time.monotonic())
            with self._lock:
                self._kept[name] = kept
        if isinstance(kept.value, ProviderUnreachable):
            raise kept.value.with_traceback(None)
        return kept.value

    def _document(self) -> Document:
        said = self.way.ask(get_well_known_url(self.issuer, external=True))
        if said.status != 200:
            raise self.way.unreachable(f"its discovery document answers {said.status}")
        try:
            found = Document.model_validate(said.body)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise self.way.unreachable(f"its discovery document: {place}: {wrong.in_words(first)}") from None
        if found.issuer != self.issuer:
            raise self.way.unreachable(f"its discovery document is that of another issuer, {found.issuer[:200]}")
        self._require_encrypted(found)
        return found

    def _require_encrypted(self, found: Document) -> None:
        """What https speaks for does not lead to http."""
        urls = (found.jwks_uri, found.authorization_endpoint, found.token_endpoint, found.userinfo_endpoint)
        plain = next((url for url in urls if url and url.startswith("http://")), None)
        if plain and self.issuer.startswith("https://"):
            raise self.way.unreachable(f"its discovery document names {plain}, which is not encrypted")

    def _keys(self) -> dict[str | None, SignedWith]:
        said = self.way.ask(self.document().jwks_uri)
        listed = said.body.get("keys")
        if said.status != 200 or not isinstance(listed, list):
            raise self.way.unreachable(f"its keys answer {said.status}, and no list of keys")
        found = [key for item in listed[:_MOST_KEYS] if (key := _read(item)) is not None]
        return {key.kid: key for key in found} | ({None: found[0]} if len(found) == 1 else {})


def _outcome(ask: Any) -> Any:
    try:
        return ask()
    except ProviderUnreachable as error:
        return error


def _read(item: Any) -> SignedWith | None:
    """A public key of the provider's list; None for other kinds, and for what is no key."""
    if not isinstance(item, dict) or item.get("use", "sig") != "sig" or item.get("kty") not in _KINDS:
        return None
    try:
        key = jwk.import_key(item)
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return key if isinstance(key, SignedWith) else None
