"""The LLM server: one text engine, its socket and its completions."""

import os
from collections.abc import Callable
from typing import Final

from litestar import Litestar

from app.access import rules_of
from app.chat import chat
from app.llm_describe import describe
from app.llm_socket import socket_of
from app.metrics import metrics
from app.service import NUM_RESTARTS, end_process, make_app
from app.settings import LlmSettings, read_llm_settings
from app.text_metrics import TEXT_METRICS
from app.tracing import tracing_of
from engines.llm import llama
from engines.llm.engine import TextEngine
from engines.llm.model import TextLoader

MODES: Final = {"/ws": "socket", "/v1/chat/completions": "chat"}
"""By path, in the words of the speech server: what its log and its metrics are told apart by."""


def create_app(
    settings: LlmSettings | None = None,
    *,
    load: TextLoader | None = None,
    on_failure: Callable[[Exception], None] | None = None,
    num_restarts: int = NUM_RESTARTS,
) -> Litestar:
    """The ASGI app. Its lifespan begins to load the model and returns: `/health` answers at once.

    Without arguments everything comes from the environment. A model that fails is loaded again, `num_restarts` times.
    `on_failure` is called on a thread when that is used up, or the model cannot be loaded, or hangs; by default the
    process ends, for there is nothing it could still do.

    Raises:
        SettingsError: a `TIDING_` variable is unknown or malformed.
        ModelMissing: the model, or what it needs, is not there.
    """
    settings = settings or read_llm_settings(os.environ)
    tracing = tracing_of(os.environ, "llm")
    engine = TextEngine(
        load or llama.load(settings.options),
        limits=settings.limits,
        on_failure=on_failure or end_process("LLM", lambda: engine),
        num_restarts=num_restarts,
        stall_s=settings.stall_s,
        witnesses=tracing.witness if tracing else None,
    )
    engine.measures.expect(list(MODES.values()))
    sockets = socket_of(engine, settings.max_message_bytes)
    return make_app(
        engine,
        [*describe(engine), *chat(engine), sockets, metrics(engine, TEXT_METRICS)],
        title="Tiding LLM server",
        name="llm",
        rules=rules_of(settings, settings.speech_port),
        drain_s=settings.drain_s,
        max_body_bytes=settings.max_message_bytes,
        tracing=tracing,
        modes=MODES,
    )
