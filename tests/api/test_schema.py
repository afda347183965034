"""Our OpenAPI against the hub itself, by schemathesis: no answer is a 5xx, and none breaks its own description."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as effort

from oakmill.api.app import create_app
from oakmill.settings import Settings
from tests.api.conftest import API, World, open_world

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
)
DOCUMENT = create_app(Settings(home=Path("/nowhere"))).openapi()  # described, not started
DOWNLOADS = f"{API}/toolchains/{{name}}/install"
OPERATIONS = [(method, path) for path, item in DOCUMENT["paths"].items() for method in item if path != DOWNLOADS]
KINDS = {"model_id": "model", "version_id": "version", "instance_id": "instance", "variant_id": "variant"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    yield from open_world(Settings(home=tmp_path_factory.mktemp("schema")))


@pytest.fixture(scope="module")
def schemathesis() -> Any:
    """Two seconds to load: nobody does who only looks for tests."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import schemathesis
        import schemathesis.checks
    return schemathesis


@pytest.fixture(scope="module")
def schema(schemathesis: Any, running: World) -> Any:
    return schemathesis.openapi.from_asgi(f"{API}/openapi.json", running.client.app)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_answers_are_as_described(method: str, path: str, schemathesis: Any, schema: Any, running: World) -> None:
    count = 0
    checks = [getattr(schemathesis.checks, name) for name in CHECKS]

    @effort(max_examples=20, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(case=schema[path][method].as_strategy())
    def ask(case: Any) -> None:
        nonlocal count
        count += 1
        for name, kind in KINDS.items():
            if name in (case.path_parameters or {}) and count % 2:  # half of the time what there is
                case.path_parameters[name] = running.ids[f"Ours team {kind}"]
        case.call_and_validate(headers=running.as_("Ours admin"), checks=checks)

    ask()


def test_the_document_is_of_openapi_3_1_and_names_every_refusal() -> None:
    assert DOCUMENT["openapi"].startswith("3.1")
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            assert "application/problem+json" in operation["responses"]["4XX"]["content"], f"{method} {path}"
            assert operation.get("summary"), f"{method} {path}"
