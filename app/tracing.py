"""One OpenTelemetry span a request, with its segments and its first audio as events; off unless OTEL_* asks for it.

What is counted as a request is what has a line in the log: a stream, a chat, a refusal. A message is none. The spans of
a client that sends W3C's `traceparent` are part of its trace.
"""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engines.requests import Origin, Witness

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

WANTED_BY: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_TRACES_EXPORTER")
"""Source: OpenTelemetry, environment variable specification."""

logger = logging.getLogger("tiding.app")


class Tracing:
    """Makes a span of each request, and sends them away in a thread of its own. Event loop only."""

    def __init__(self, provider: "TracerProvider") -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._tracer = provider.get_tracer("tiding")
        self._propagator = TraceContextTextMapPropagator()

    def witness(self, origin: Origin) -> Witness:
        """Of a request that begins now."""
        from opentelemetry.trace import SpanKind

        parent = self._propagator.extract({"traceparent": origin.traceparent, "tracestate": origin.tracestate})
        span = self._tracer.start_span(origin.mode or "request", context=parent, kind=SpanKind.SERVER)
        return _Spanned(span)

    def close(self) -> None:
        """Send what has not been sent. Takes as long as the collector lets it."""
        self._provider.shutdown()


class _Spanned:
    """A witness that keeps a span."""

    def __init__(self, span: "Span") -> None:
        self._span = span

    def event(self, name: str, **attributes: str | float) -> None:
        self._span.add_event(name, attributes)

    def close(self, account: dict[str, Any]) -> None:
        from opentelemetry.trace import StatusCode

        for name, value in account.items():
            if value is not None:
                self._span.set_attribute(f"tiding.{name}", value)
        if account["outcome"] in ("failed", "refused"):
            self._span.set_status(StatusCode.ERROR, account.get("code", account["outcome"]))
        self._span.end()


def is_wanted(environment: Mapping[str, str]) -> bool:
    """Whether anything names a place for spans, and nothing says not to."""
    is_off = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return not is_off and environment.get("OTEL_TRACES_EXPORTER") != "none" and any(map(environment.get, WANTED_BY))


def tracing_of(environment: Mapping[str, str], server: str) -> Tracing | None:
    """What `environment` asks for. None: nothing, or the extra `tiding[otel]` is not installed, which is said."""
    if not is_wanted(environment):
        return None
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        exporter = _exporter(environment.get("OTEL_TRACES_EXPORTER", "otlp"))
    except ImportError as error:
        logger.warning("no traces are sent: %s; install tiding[otel]", error)
        return None
    name = environment.get("OTEL_SERVICE_NAME") or f"tiding-{server}"
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return Tracing(provider)


def _exporter(name: str) -> Any:
    if name == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter()
    if name != "otlp":
        logger.warning("OTEL_TRACES_EXPORTER=%s: expected otlp, console or none; otlp is used", name)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()
