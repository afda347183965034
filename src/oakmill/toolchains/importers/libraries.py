"""The two libraries that models are fetched by, each in an environment of its own that is made when it is needed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from oakmill import outside
from oakmill.errors import ToolchainBroken
from oakmill.processes.events import Watcher
from oakmill.processes.sandbox import Limits
from oakmill.settings import Settings
from oakmill.toolchains import door
from oakmill.toolchains.base import Managed, State
from oakmill.toolchains.making import Contents

_HERE = Path(__file__).parent.absolute()
_SHARED = _HERE / "for-runners"
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
"""Where a company's own certificates are said to be."""
_NO_KEYRING = "keyring.backends.null.Keyring"


class Library(Managed):
    """A library that speaks to the place that it is for."""

    version: str
    variables: ClassVar[Mapping[str, str]]

    def prove(self, folder: Path) -> Mapping[str, Any]:
        """Import it, where there is no network."""
        seen = self.ask("prove", {}, folder / "job", read=[_SHARED], variables=self._variables())
        if seen.get("version") != self.version:
            raise ToolchainBroken(f"it is {seen.get('version')} instead of {self.version}")
        return seen

    def at_hand(self, watch: Watcher) -> None:
        """Install it where it is not, and where the settings let a command do so.

        Raises:
            ToolchainMissing: it is not here, or its packages cannot be had.
        """
        if self.status().state is not State.INSTALLED and self._settings.install_toolchains:
            self.install(watch)
        self.require()

    def speak(
        self,
        action: str,
        request: Mapping[str, Any],
        job: Path,
        *,
        key: str,
        variables: Mapping[str, str],
        limits: Limits,
        watch: Watcher,
    ) -> dict[str, Any]:
        """What the library answers to a request; it may speak to the request's hosts. Raises as the door."""
        rules = job.absolute() / "rules"
        rules.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(outside.__file__, rules / "outside.py")
        return door.run_outside(
            self.require(), self.package, {"action": action, **request}, job, secret=key,
            variables={**self._variables(rules), **variables}, limits=limits, watch=watch,
        )  # fmt: skip

    def _variables(self, *more: Path) -> dict[str, str]:
        given = {name: os.environ[name] for name in _CERTIFICATES if name in os.environ}  # noqa: TID251 - OpenSSL's names
        return {**given, **self.variables, "PYTHONPATH": ":".join(map(str, (self.package, _SHARED, door.FRAME, *more)))}


class HuggingFaceLibrary(Library):
    """huggingface_hub, without its own transport: what it fetches comes over HTTP, from hosts that are looked at."""

    version = "2.4.0"
    name = f"import/huggingface-hub-{version}"
    what = "huggingface_hub (5 MB to download, 20 MB on disk), which models are imported by from Hugging Face"
    package = _HERE / "huggingface"
    contents = Contents(package / "requirements.lock")
    variables: ClassVar[Mapping[str, str]] = {
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DOWNLOAD_TIMEOUT": "30",
    }


class HubAiLibrary(Library):
    """hubai-sdk as it is published; here it asks no index for newer versions of itself, and tells nobody of itself."""

    version = "0.3.4"
    name = f"import/hubai-sdk-{version}"
    what = "hubai-sdk (60 MB to download, 200 MB on disk), which models are imported by from HubAI"
    package = _HERE / "hubai"
    contents = Contents(package / "requirements.lock")
    variables: ClassVar[Mapping[str, str]] = {
        "LUXONIS_TELEMETRY_ENABLED": "false",
        "PYTHON_KEYRING_BACKEND": _NO_KEYRING,
    }


def every(settings: Settings) -> list[Library]:
    """Both."""
    return [HuggingFaceLibrary(settings), HubAiLibrary(settings)]
