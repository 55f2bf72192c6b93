"""What the two servers have in common: an app around one engine, which it starts and closes."""

import asyncio
import logging
import os
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from importlib.metadata import version
from typing import Final, Protocol

from litestar import Litestar
from litestar.datastructures import State
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.types import ControllerRouterHandler

from app.bodies import JsonRequest
from app.connections import Connections
from app.disconnect import cancel_on_disconnect, close_with_request
from app.drain import Drain, Drained
from app.errors import EXCEPTION_HANDLERS
from app.gate import Room, Rules, put_gate
from app.health import Watched, probes
from app.metrics import count_requests
from app.refusals import note_refused_sockets
from app.request_names import name_requests, send_name
from app.status import FAILED, GAVE_UP
from app.tracing import Tracing

OWN_PATHS: Final = ("/schema", "/schema/openapi.json", "/ready", "/admin/drain")
"""What `make_app` serves beside what it is given."""

NUM_RESTARTS: Final = 1
"""Of a model within its process. What fails again is more than one process can put right."""

LAST_WORDS_S: Final = 0.25
"""Between the failure of the engine and the end of the process: connections send their error in it."""

logger = logging.getLogger("tiding.app")


class Started(Room, Watched, Drained, Protocol):
    """An engine, as far as its app has to know it."""

    def start(self) -> None: ...
    async def close(self) -> None: ...


def make_app(
    engine: Started,
    handlers: Sequence[ControllerRouterHandler],
    *,
    title: str,
    name: str,
    rules: Rules,
    drain_s: float,
    max_body_bytes: int,
    tracing: Tracing | None = None,
    modes: Mapping[str, str] | None = None,
) -> Litestar:
    """The ASGI app. Its lifespan begins to load the model and returns: `/health` answers at once. `name` is the
    server's in metrics; `modes` is from path to mode, for metrics and the log; `rules` say who may ask. How it ends is
    `state["drain"]`.
    """
    connections = Connections()
    drain = Drain(engine, connections, drain_s)
    app = Litestar(
        route_handlers=[*handlers, *probes(engine, drain, is_keyed=bool(rules.keys))],
        lifespan=[_lifespan(engine, tracing)],
        middleware=[
            connections.track,
            partial(name_requests, modes=modes or {}),
            count_requests(name).middleware,
            cancel_on_disconnect,
        ],
        after_request=close_with_request,
        request_class=JsonRequest,
        exception_handlers=EXCEPTION_HANDLERS,
        before_send=[send_name, note_refused_sockets],
        cors_config=rules.origins.cors,
        openapi_config=OpenAPIConfig(
            title,
            version("tiding"),
            render_plugins=[JsonRenderPlugin()],
            components=Components(security_schemes={"key": SecurityScheme("http", scheme="bearer")}),
            security=[{}, {"key": []}],  # where no key is set, none is asked for
        ),
        request_max_body_size=max_body_bytes,
        state=State({"engine": engine, "drain": drain}),
        logging_config=None,
    )
    put_gate(app, engine, rules, modes or {})
    return app


def _lifespan(engine: Started, tracing: Tracing | None) -> Callable[[Litestar], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncGenerator[None]:
        engine.start()
        try:
            yield
        finally:
            await engine.close()
            if tracing is not None:
                await asyncio.to_thread(tracing.close)

    return lifespan


def end_process(server: str, engine: Callable[[], Started]) -> Callable[[Exception], None]:
    """What to do when the engine of `server` has failed for good. Nothing is served without a model: the worker ends,
    and its supervisor starts another one, unless this one has never had a model.
    """

    def end(error: Exception) -> None:
        logger.critical("the %s server ends: %s: %s", server, type(error).__name__, error)
        time.sleep(LAST_WORDS_S)
        logging.shutdown()
        os._exit(FAILED if engine().was_ready else GAVE_UP)

    return end
