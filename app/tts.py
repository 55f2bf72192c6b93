"""The speech server: one engine, and whatever modes are installed."""

import logging
import os
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint

from litestar import Litestar

from app.access import rules_of
from app.describe import describe
from app.errors import document_refusals
from app.metrics import metrics
from app.playground import playground
from app.service import NUM_RESTARTS, OWN_PATHS, end_process, make_app
from app.settings import TtsSettings, read_settings
from app.speech_metrics import SPEECH_METRICS
from app.tracing import tracing_of
from engines.catalog import MODELS
from engines.engine import Engine
from engines.model import Loader
from modes.registry import MountedMode, installed, mount, paths_of

logger = logging.getLogger("tiding.app")


def create_app(
    settings: TtsSettings | None = None,
    *,
    load: Loader | None = None,
    mode_points: Sequence[EntryPoint] | None = None,
    on_failure: Callable[[Exception], None] | None = None,
    num_restarts: int = NUM_RESTARTS,
) -> Litestar:
    """The ASGI app. Its lifespan begins to load the model and returns: `/health` answers at once.

    Without arguments everything comes from the environment and from what is installed. A model that fails is loaded
    again, `num_restarts` times. `on_failure` is called on a thread when that is used up, or the model cannot be loaded,
    or hangs; by default the process ends, for there is nothing it could still do.

    Raises:
        SettingsError: a `TIDING_` variable is unknown or malformed, or the lexicon cannot be read.
        ModelMissing: what the model needs is not installed.
        ModeError: a mode cannot be used.
    """
    settings = settings or read_settings(os.environ)
    load = load or MODELS[settings.model](settings.model_options)
    tracing = tracing_of(os.environ, "speech")
    engine = Engine(
        load,
        limits=settings.limits,
        lexicon=settings.pronunciations,
        on_failure=on_failure or end_process("speech", lambda: engine),
        num_restarts=num_restarts,
        stall_s=settings.stall_s,
        witnesses=tracing.witness if tracing else None,
    )
    points = installed(settings.modes) if mode_points is None else mode_points
    own = [*describe(engine, [point.name for point in points]), metrics(engine, SPEECH_METRICS)]
    if settings.page:
        own += playground(settings.host, settings.page_llm_port)
    modes = mount(engine, points, reserved_paths=[*paths_of(own), *OWN_PATHS])
    for mode in modes:
        logger.info("mode %s serves %s", mode.origin, ", ".join(mode.paths))
    handlers = [*own, *(handler for mode in modes for handler in mode.handlers)]
    engine.measures.expect([mode.name for mode in modes])
    app = make_app(
        engine,
        handlers,
        title="Tiding speech server",
        name="speech",
        rules=rules_of(settings, settings.port),
        drain_s=settings.drain_s,
        max_body_bytes=settings.max_message_bytes,
        tracing=tracing,
        modes=_by_path(modes),
    )
    document_refusals(app, [path for mode in modes for path in mode.paths])
    return app


def _by_path(modes: Sequence[MountedMode]) -> dict[str, str]:
    return {path: mode.name for mode in modes for path in mode.paths}
