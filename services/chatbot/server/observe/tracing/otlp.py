"""Spans by OpenTelemetry's SDK, sent in the background by OTLP over HTTP (https://opentelemetry.io/docs/specs/otlp/).

An answer never waits for the collector: what has no room in the queue is lost, and while the collector is away one line
in the log says so.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    set_span_in_context,
)

from chatbot import __version__
from chatbot.api.wire.tracing import Told
from chatbot.server.observe.tracing.attributes import attributes_of, is_failed, phases_of, span_name

_LOG = logging.getLogger(__name__)
MAX_WAITING: Final = 2048
"""Spans in memory; more are lost."""

SEND_SECONDS: Final = 3.0
CLOSE_SECONDS: Final = 2.0
_NANOSECONDS: Final = 1_000_000_000


class OtlpTraces:
    """`Traces` for a collector.

    Args:
        url: Where it takes traces, as `http://collector:4318/v1/traces`.
        name: Of this service, as the collector shall call it.
        sampled: Share of traces that are told; of those that callers began, what the caller says.
        wait_seconds: A span waits for company at most so long.
    """

    def __init__(self, url: str, name: str, *, sampled: float = 1.0, wait_seconds: float = 2.0) -> None:
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # its lines repeat; ours are two for an outage
        self._provider = TracerProvider(
            resource=Resource.create({"service.name": name, "service.version": __version__}),
            sampler=ParentBased(TraceIdRatioBased(sampled)),
            shutdown_on_exit=False,
        )
        self._exporter = OTLPSpanExporter(endpoint=url, timeout=SEND_SECONDS)
        processor = BatchSpanProcessor(
            _TellingExporter(self._exporter),
            max_queue_size=MAX_WAITING,
            schedule_delay_millis=wait_seconds * 1000,
            max_export_batch_size=512,
            export_timeout_millis=SEND_SECONDS * 1000,
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("chatbot", __version__)

    def begin(self, traceparent: str) -> "OtlpTrace":
        """See `Traces`."""
        return OtlpTrace(self._tracer, _parent(traceparent))

    async def close(self) -> None:
        """Send what waits, as far as the collector takes it now."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await asyncio.to_thread(self._provider.shutdown)
        # Ends the pause before another try, which would hold up the end of the process.
        self._exporter.shutdown()  # type: ignore[no-untyped-call]


class OtlpTrace:
    """`Trace` of one request."""

    def __init__(self, tracer: Tracer, parent: Context) -> None:
        self._tracer = tracer
        self._began_ns = time.time_ns()
        self._span: Span = tracer.start_span("chat", context=parent, kind=SpanKind.SERVER, start_time=self._began_ns)
        own = self._span.get_span_context()
        self.traceparent = f"00-{own.trace_id:032x}-{own.span_id:016x}-{own.trace_flags:02x}"

    def end(self, told: Told) -> None:
        """See `Trace`."""
        span = self._span
        if not span.is_recording():
            return
        span.update_name(span_name(told))
        span.set_attributes(attributes_of(told))
        if is_failed(told.row):
            span.set_status(Status(StatusCode.ERROR))
        within = set_span_in_context(span, Context())
        for phase in phases_of(told.row):
            part = self._tracer.start_span(phase.name, context=within, start_time=self._at(phase.begins))
            part.end(self._at(phase.ends))
        span.end(self._at(told.row.seconds))

    def _at(self, seconds: float) -> int:
        return self._began_ns + int(seconds * _NANOSECONDS)


class _TellingExporter(SpanExporter):
    """Says once that the collector is away, and once that it is back. Used by one thread."""

    def __init__(self, inner: SpanExporter) -> None:
        self._inner = inner
        self._is_away = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result = self._inner.export(spans)
        except Exception:  # a collector may answer with whatever it likes
            result = SpanExportResult.FAILURE
        failed = result is not SpanExportResult.SUCCESS
        if failed and not self._is_away:
            _LOG.error("CHATBOT_TRACES_URL: the collector does not take spans; they are lost until it does")
        elif self._is_away and not failed:
            _LOG.warning("CHATBOT_TRACES_URL: the collector takes spans again")
        self._is_away = failed
        return result

    def shutdown(self) -> None:
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._inner.force_flush(timeout_millis)


def _parent(traceparent: str) -> Context:
    """The caller's span, or none."""
    if not traceparent:
        return Context()
    _, trace_id, span_id, flags = traceparent.split("-")
    caller = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
    return set_span_in_context(NonRecordingSpan(caller), Context()) if caller.is_valid else Context()
