"""Traces for OpenTelemetry, where the operator switches them on: of requests, of attempts at jobs and their stages.

The API of OpenTelemetry comes with FastAPI and does nothing by itself; its SDK, which sends, is an extra of ours, and
is not loaded before it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from oakmill import __version__
from oakmill.errors import Unavailable
from oakmill.jobs.tables import Job
from oakmill.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span, Tracer


def provider(settings: Settings) -> TracerProvider | None:
    """What this process's spans go through, by OpenTelemetry's own variables; None where traces are off.

    Raises:
        Unavailable: they are on, and the extra is not installed.
    """
    return _provider() if settings.traces else None


@lru_cache(maxsize=1)
def _provider() -> TracerProvider:
    try:
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        exporter = _exporter()
    except ImportError as error:
        raise Unavailable(
            f"Traces are on, but what sends them is not installed: {error.name}",
            remedy="pip install 'oakmill[otel]', or switch off OAKMILL_TRACES.",
        ) from error
    ours = Resource.create({"service.name": "oakmill", "service.version": __version__})
    made = TracerProvider(resource=ours.merge(OTELResourceDetector().detect()))
    made.add_span_processor(BatchSpanProcessor(exporter))
    return made


def _exporter() -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


def flush(settings: Settings) -> None:
    """Send what waits, before the process ends."""
    if found := provider(settings):
        found.force_flush(5000)


def note(settings: Settings, name: str, value: str) -> None:
    """Add to what is told of the request that is being answered."""
    if settings.traces:
        from opentelemetry import trace

        trace.get_current_span().set_attribute(f"oakmill.{name}", value)


class JobTrace:
    """What is told of an attempt; here, nothing."""

    def add_event(self, event: Mapping[str, Any]) -> None:
        """Take an event of the conversion: stages begin and end."""

    def ended(self, outcome: str, error: str = "") -> None:
        """Take how it ended: the job's state, and why it failed."""


class _Spans(JobTrace):
    def __init__(self, tracer: Tracer, span: Span) -> None:
        self._tracer, self._span = tracer, span
        self._stage: Span | None = None

    def add_event(self, event: Mapping[str, Any]) -> None:
        if event["kind"] == "started":
            self.close()
            self._stage = self._tracer.start_span(str(event["stage"]))
        elif event["kind"] == "finished":
            self.close()

    def ended(self, outcome: str, error: str = "") -> None:
        from opentelemetry.trace import Status, StatusCode

        self._span.set_attribute("oakmill.outcome", outcome)
        for span in (self._span, self._stage) if error else ():
            if span is not None:
                span.set_status(Status(StatusCode.ERROR, error[:300]))
        self.close()

    def close(self) -> None:
        if self._stage is not None:
            self._stage.end()
            self._stage = None


@contextmanager
def of_job(settings: Settings, job: Job) -> Iterator[JobTrace]:
    """The trace of an attempt at a job, for the time of the block."""
    found = provider(settings)
    if found is None:
        yield JobTrace()
        return
    tracer = found.get_tracer("oakmill", __version__)
    about: dict[str, str | int | None] = {
        "id": job.id,
        "number": job.number,
        "kind": job.kind,
        "platform": job.platform,
        "attempt": job.attempt,
    }
    attributes = {f"oakmill.job.{name}": value for name, value in about.items() if value is not None}
    with tracer.start_as_current_span(f"{job.kind} {job.platform}", attributes=attributes) as span:
        spans = _Spans(tracer, span)
        try:
            yield spans
        finally:
            spans.close()
