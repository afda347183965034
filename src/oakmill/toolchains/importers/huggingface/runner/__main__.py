"""Asks Hugging Face by its own library; all requests name `hosts` (see `outgoing`), and `endpoint`.

look   {"repo": "OWNER/REPO", "revision": TEXT}: the commit, the licence, and the files with what is said of their bytes
fetch  {"repo": ..., "revision": COMMIT, "names": [NAME, ...], "total": BYTES}: the files, below the folder `out`
prove  {}: the version of the library, by work on nothing

The user's token, or an empty line, comes by the input. Kinds of refusal: missing, revision, file, gated, key, refused,
unreachable, host, changed, write.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from frame import Refused, serve
from outgoing import Doorkeeper, key, unreachable, watched

OUT = Path("out")


@contextmanager
def told() -> Iterator[None]:
    """The library's errors in our words; those of a token before those of what it does not open."""
    import httpx2  # type: ignore[import-not-found]
    from huggingface_hub import errors  # type: ignore[import-not-found]

    kinds = (
        (errors.GatedRepoError, "gated"),
        (errors.RepositoryNotFoundError, "missing"),  # or it is private, or the token is not one of its team's
        (errors.DisabledRepoError, "missing"),
        (errors.RevisionNotFoundError, "revision"),
        (errors.RemoteEntryNotFoundError, "file"),
        (errors.HFValidationError, "missing"),
    )
    try:
        yield
    except Refused:
        raise
    except tuple(kind for kind, _ in kinds) as error:
        raise Refused(next(word for kind, word in kinds if isinstance(error, kind)), _first(error)) from error
    except errors.HfHubHTTPError as error:
        raise _answered(error) from error
    except httpx2.TransportError as error:
        raise unreachable(error) from error
    except errors.LocalEntryNotFoundError as error:  # what it makes of a connection that does not come about
        cause = error.__cause__
        raise unreachable(cause if isinstance(cause, Exception) else error) from error
    except OSError as error:
        if "Consistency check failed" in str(error):
            raise Refused("changed", _first(error)) from error
        raise Refused("write", f"{error.strerror or error}") from error


def _first(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def _answered(error: Any) -> Refused:
    status = error.response.status_code
    kind = {401: "key", 403: "key", 404: "missing"}.get(status, "refused")
    return Refused(kind, f"{status} {_first(error)}")


def _api(request: dict[str, Any]) -> Any:
    from huggingface_hub import HfApi

    return HfApi(endpoint=request["endpoint"], token=key() or False)


def look(request: dict[str, Any]) -> dict[str, Any]:
    """What there is of a repository."""
    Doorkeeper(request)
    with told():
        found = _api(request).model_info(request["repo"], revision=request["revision"] or None, files_metadata=True)
        card = found.card_data
        licence = (card.get("license_name") or card.get("license")) if card else ""
        return {
            "revision": found.sha or "",
            "licence": licence if isinstance(licence, str) else "",
            "files": [_file(item) for item in found.siblings or ()],
        }


def _file(item: Any) -> dict[str, Any]:
    return {
        "name": item.rfilename,
        "size": item.size or 0,
        "sha256": item.lfs.sha256 if item.lfs else "",
        "git": "" if item.lfs else item.blob_id or "",
    }


def fetch(request: dict[str, Any]) -> dict[str, Any]:
    """The files of a commit."""
    Doorkeeper(request)
    OUT.mkdir(exist_ok=True)
    with told(), watched(OUT, request["total"], "downloading"):
        api = _api(request)
        for name in request["names"]:
            api.hf_hub_download(request["repo"], name, revision=request["revision"], local_dir=OUT)
    return {}


def prove(request: dict[str, Any]) -> dict[str, Any]:
    """That the library is whole."""
    import huggingface_hub

    huggingface_hub.HfApi()
    return {"version": str(huggingface_hub.__version__)}


TASKS = {"look": look, "fetch": fetch, "prove": prove}

if __name__ == "__main__":
    sys.exit(serve(TASKS))
