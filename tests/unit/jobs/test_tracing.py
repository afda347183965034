"""Traces tell of requests and jobs where the operator wants them, and load nothing where not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from oakmill.errors import Unavailable
from oakmill.jobs import tracing, worker
from oakmill.jobs.tables import JobStatus
from oakmill.settings import Settings
from tests import fakes
from tests.api.conftest import open_world
from tests.receiver import receiving
from tests.unit.jobs.conftest import Hub
from tests.unit.jobs.test_worker import Workshop


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """What a collector would get."""
    found = InMemorySpanExporter()
    monkeypatch.setattr(tracing, "_exporter", lambda: found)
    tracing._provider.cache_clear()
    yield found
    tracing._provider.cache_clear()


@pytest.fixture
def workshop(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workshop]:
    monkeypatch.setattr(worker, "Children", fakes.Children)
    hub.settings = hub.settings.model_copy(update={"traces": True})
    with fakes.toys():
        yield Workshop(hub, tmp_path)


def spans(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    tracing.flush(Settings(traces=True))
    return {span.name: span for span in exporter.get_finished_spans()}


def test_a_jobs_stages_are_spans_below_it(workshop: Workshop, exporter: InMemorySpanExporter) -> None:
    job = workshop.done()
    found = spans(exporter)
    root = found.pop("convert toy")
    assert list(found) == [stage["name"] for stage in job.stages]
    assert {span.parent.span_id for span in found.values() if span.parent} == {root.context.span_id}
    told = dict(root.attributes or {})
    assert (told["oakmill.job.id"], told["oakmill.job.attempt"], told["oakmill.outcome"]) == (job.id, 1, "succeeded")
    assert root.resource.attributes["service.name"] == "oakmill"


def test_a_job_that_fails_says_where(workshop: Workshop, exporter: InMemorySpanExporter) -> None:
    job = workshop.done(refused="Relu")
    assert job.status == JobStatus.FAILED, job.failure
    found = spans(exporter)
    assert found["convert toy"].status.status_code is StatusCode.ERROR
    assert [name for name, span in found.items() if span.status.status_code is StatusCode.ERROR] == [
        job.stages[-1]["name"],
        "convert toy",
    ]


def test_a_request_is_a_span_with_its_name_and_goes_on_with_the_clients_trace(
    tmp_path: Path, exporter: InMemorySpanExporter
) -> None:
    for world in open_world(Settings(home=tmp_path / "home", traces=True)):
        trace_id = "0af7651916cd43dd8448eb211c80319c"
        headers = {"traceparent": f"00-{trace_id}-b7ad6b7169203331-01", "X-Request-ID": "trace-7"}
        world.client.get("/api/v1/models/none", headers={**world.as_("Ours read"), **headers})
        found = spans(exporter)
    span = next(span for name, span in found.items() if name.startswith("GET") and name.endswith("/models/{model_id}"))
    assert (span.attributes or {})["oakmill.request_id"] == "trace-7"
    assert f"{span.context.trace_id:032x}" == trace_id


def test_spans_arrive_at_a_collector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By OpenTelemetry's own protocol, to where its own variable says."""
    with receiving(200) as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_SERVICE_NAME", "our-hub")
        tracing._provider.cache_clear()
        found = tracing.provider(Settings(traces=True))
        assert found is not None
        found.get_tracer("oakmill").start_span("compile").end()
        tracing.flush(Settings(traces=True))
        found.shutdown()
        tracing._provider.cache_clear()
    (heard,) = collector.heard
    assert heard.path == "/hook/v1/traces"
    told = ExportTraceServiceRequest.FromString(heard.body).resource_spans[0]
    assert "our-hub" in {item.value.string_value for item in told.resource.attributes}
    assert told.scope_spans[0].spans[0].name == "compile"


OFF = """
import sys
from pathlib import Path
from oakmill.settings import Settings
from oakmill.server.app import create
create(Settings(home=Path(sys.argv[1])))
print(*sorted(name for name in sys.modules if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))))
"""
WORKER = """
import sys
import oakmill.jobs.worker
print(*sorted(name for name in sys.modules if name.startswith("opentelemetry")))
"""


@pytest.mark.heavy
@pytest.mark.parametrize("program", [OFF, WORKER], ids=["web", "worker"])
def test_nothing_is_loaded_where_they_are_off(tmp_path: Path, program: str) -> None:
    """Not even where the environment has an address to send to."""
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "FASTAPI_OTEL_AUTO_CONFIGURE": "true"}
    said = subprocess.check_output([sys.executable, "-c", program, str(tmp_path)], env=variables, text=True)
    assert said.strip() == ""


def test_what_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    tracing._provider.cache_clear()
    with pytest.raises(Unavailable, match="not installed") as raised:
        tracing.provider(Settings(traces=True))
    assert "pip install 'oakmill[otel]'" in raised.value.remedy
