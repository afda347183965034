"""Asks HubAI by its own SDK; all requests name `hosts` (see `outgoing`).

look   {"variant": "[TEAM/]MODEL:VARIANT[:VERSION]"}: the version, the licence, and the sources with their files
fetch  {"instance": ID, "total": BYTES}: the files of a source, in the folder `out`
prove  {}: the version of the SDK

The user's key comes by the input. Kinds of refusal: key, missing, several, refused, unreachable, host, write. The
address of the server is in the variable HUBAI_URL, where the SDK looks for it.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from frame import Refused, serve
from outgoing import Doorkeeper, key, unreachable, watched

OUT = Path("out")
_TRIES = 3
"""The SDK fetches a file whole or not at all."""


@contextmanager
def _client(request: dict[str, Any]) -> Iterator[Any]:
    """The SDK with the user's key, and its errors in our words."""
    Doorkeeper(request)
    import requests
    from hubai_sdk import HubAIClient, errors  # type: ignore[import-not-found]  # it asks a package index for itself
    from loguru import logger

    logger.remove()  # what it tells as it goes on is told here in our words
    try:
        try:
            client = HubAIClient(api_key=key())
        except ValueError as error:
            raise Refused("key", str(error)) from error
        yield client
    except errors.ResourceAmbiguousError as error:
        raise Refused("several", str(error)) from error
    except errors.ResourceNotFoundError as error:
        raise Refused("missing", str(error)) from error
    except errors.HubApiError as error:
        kind = {401: "key", 403: "key", 404: "missing"}.get(error.status_code or 0, "refused")
        raise Refused(kind, _plain(error)) from error
    except requests.HTTPError as error:  # of a file's own address
        status = error.response.status_code if error.response is not None else 0
        raise Refused("refused", f"a file cannot be fetched: {status or error}") from error
    except requests.RequestException as error:
        raise unreachable(error) from error
    except OSError as error:
        raise Refused("write", error.strerror or str(error)) from error


def _plain(error: Exception) -> str:
    """What the SDK says, without addresses: those of files are keys to them."""
    return re.sub(r"https?://[^\s']+", "(address)", str(error))[:300]


def look(request: dict[str, Any]) -> dict[str, Any]:
    """What there is of a variant; of a source that has no files yet, nothing."""
    with _client(request) as client:
        version = client.variants.get_variant(request["variant"])
        model = client.models.get_model(version.model_id)
        found = client.instances.list_instances(variant_id=version.id, model_class="base", limit=500)
        return {
            "model": model.slug,
            "team": model.team_slug or "",
            "version": version.version,
            "variant": version.variant_slug or version.slug,
            "licence": _word(model.license_type),
            "sources": [_source(client, item) for item in found if _word(item.status) == "available"],
        }


def _source(client: Any, item: Any) -> dict[str, Any]:
    files = client.instances.get_files(item.id)
    return {
        "id": str(item.id),
        "type": _word(item.model_type),
        "hash": item.hash or "",
        "short": item.hash_short or "",
        "files": [{"name": file.filepath, "size": file.file_size_bytes} for file in files],
    }


def _word(value: Any) -> str:
    return str(getattr(value, "value", value) or "")


def fetch(request: dict[str, Any]) -> dict[str, Any]:
    """All files of a source."""
    from requests import ConnectionError, Timeout
    from requests.exceptions import ChunkedEncodingError

    with _client(request) as client, watched(OUT, request["total"], "downloading"):
        for left in reversed(range(_TRIES)):
            try:
                with redirect_stdout(io.StringIO()):  # its own bar
                    client.instances.download_instance(request["instance"], output_dir=str(OUT))
            except (ChunkedEncodingError, ConnectionError, Timeout):
                if not left:
                    raise
                print("The connection broke; the file is fetched again from its start.", flush=True)
            else:
                break
    return {}


def prove(request: dict[str, Any]) -> dict[str, Any]:
    """That the SDK is whole. It asks for newer versions of itself, and is not answered."""
    import hubai_sdk

    return {"version": str(hubai_sdk.__version__), "client": hubai_sdk.HubAIClient.__name__}


TASKS = {"look": look, "fetch": fetch, "prove": prove}

if __name__ == "__main__":
    sys.exit(serve(TASKS))
