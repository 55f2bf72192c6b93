"""`GET /metrics`: what Prometheus asks for.

A scrape reads numbers that are there anyway. On the event loop it takes references to them, and the engine's lock for a
few assignments; the text is written by a thread.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, cast

from litestar import Request, Response, get
from litestar.enums import ScopeType
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.plugins.prometheus import PrometheusConfig, PrometheusMiddleware
from prometheus_client import REGISTRY, disable_created_metrics
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from app.metric import Metric, Reading

GONE: Final = 499
"""The client went away before it was answered. Source: nginx, `NGX_HTTP_CLIENT_CLOSED_REQUEST`."""

HTTP_BUCKETS_S: Final = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0]

disable_created_metrics()  # a gauge beside every counter, that nothing here asks for


class Scrape(Collector):
    """What was read for one scrape, and what the process and its HTTP requests have counted themselves."""

    def __init__(self, readings: Sequence[tuple[Metric, Reading]]) -> None:
        self._readings = readings

    def collect(self) -> Iterator[Family]:
        for metric, reading in self._readings:
            yield metric.family(reading)
        yield from REGISTRY.collect()


def metrics(engine: object, known: Iterable[Metric]) -> HTTPRouteHandler:
    """The route."""
    known = tuple(known)

    @get(
        "/metrics",
        summary="What Prometheus asks for",
        responses={200: ResponseSpec(str, generate_examples=False, media_type="text/plain", description="Metrics")},
    )
    async def scrape(request: Request[Any, Any, Any]) -> Response[bytes]:
        readings = [(metric, metric.read(engine)) for metric in known]
        write, media_type = choose_encoder(request.headers.get("accept", ""))
        text = await asyncio.to_thread(write, Scrape(readings))
        return Response(text, headers={"Content-Type": media_type})

    return scrape


class _Middleware(PrometheusMiddleware):
    """Litestar's, which would count who went away unanswered as answered with 200."""

    def _get_wrapped_send(self, send: Any, request_span: dict[str, float]) -> Any:
        request_span["status_code"] = GONE
        return cast(Any, super())._get_wrapped_send(send, request_span)


def count_requests(server: str) -> PrometheusConfig:
    """HTTP requests by route, method and status. Sockets are none: what happens on them, the engine counts."""
    return PrometheusConfig(
        app_name=server,
        prefix="tiding_http",
        buckets=list(HTTP_BUCKETS_S),
        group_path=True,
        scopes={ScopeType.HTTP},
        middleware_class=_Middleware,
    )
