"""The speech server: one engine, and whatever modes are installed."""

import logging
import os
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import EntryPoint, version
from typing import Final

from litestar import Litestar
from litestar.datastructures import MutableScopeHeaders, State
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.types import Message, Scope

from app.bodies import JsonRequest
from app.describe import describe
from app.disconnect import cancel_on_disconnect, close_with_request
from app.errors import EXCEPTION_HANDLERS, document_refusals
from app.settings import TtsSettings, read_settings
from engines.catalog import MODELS
from engines.engine import Engine
from engines.model import Loader
from modes.registry import installed, mount, paths_of

MAX_BODY_BYTES: Final = 4 * 1024 * 1024
"""More than the longest text takes: what is longer in characters gets a better answer than this limit gives."""

SCHEMA_PATHS: Final = ("/schema", "/schema/openapi.json")

LAST_WORDS_S: Final = 0.25
"""Between the failure of the engine and the end of the process: connections send their error in it."""

logger = logging.getLogger("tiding.app")


def create_app(
    settings: TtsSettings | None = None,
    *,
    load: Loader | None = None,
    mode_points: Sequence[EntryPoint] | None = None,
    on_failure: Callable[[Exception], None] | None = None,
) -> Litestar:
    """The ASGI app. Its lifespan begins to load the model and returns: `/health` answers at once.

    Without arguments everything comes from the environment and from what is installed. `on_failure` is called on the
    device thread when the model cannot be loaded or fails; by default the process ends, for there is nothing it could
    still do.

    Raises:
        SettingsError: a `TIDING_` variable is unknown or malformed.
        ModelMissing: what the model needs is not installed.
        ModeError: a mode cannot be used.
    """
    settings = settings or read_settings(os.environ)
    load = load or MODELS[settings.model](settings.model_options)
    engine = Engine(load, limits=settings.limits, on_failure=on_failure or _end_process)
    points = installed(settings.modes) if mode_points is None else mode_points
    own = describe(engine, [point.name for point in points])
    modes = mount(engine, points, reserved_paths=[*paths_of(own), *SCHEMA_PATHS])
    for mode in modes:
        logger.info("mode %s serves %s", mode.origin, ", ".join(mode.paths))
    app = Litestar(
        route_handlers=[*own, *(handler for mode in modes for handler in mode.handlers)],
        lifespan=[_lifespan(engine)],
        middleware=[cancel_on_disconnect],
        after_request=close_with_request,
        request_class=JsonRequest,
        exception_handlers=EXCEPTION_HANDLERS,
        before_send=[_add_request_id],
        openapi_config=OpenAPIConfig("Tiding speech server", version("tiding"), render_plugins=[JsonRenderPlugin()]),
        request_max_body_size=MAX_BODY_BYTES,
        state=State({"engine": engine}),
        logging_config=None,
    )
    document_refusals(app, [path for mode in modes for path in mode.paths])
    return app


def _lifespan(engine: Engine) -> Callable[[Litestar], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncGenerator[None]:
        engine.start()
        try:
            yield
        finally:
            await engine.close()

    return lifespan


async def _add_request_id(message: Message, scope: Scope) -> None:
    if message["type"] == "http.response.start":
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        MutableScopeHeaders.from_message(message)["X-Request-Id"] = given[:128] or uuid.uuid4().hex


def _end_process(error: Exception) -> None:
    """Nothing is served without a model. Granian's main process sees its worker go and ends with status 1."""
    logger.critical("the speech server ends: %s: %s", type(error).__name__, error)
    time.sleep(LAST_WORDS_S)
    logging.shutdown()
    os._exit(1)
