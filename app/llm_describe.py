"""What the LLM server is: read-only routes that any client may ask before it asks for text."""

from collections.abc import Sequence
from importlib.metadata import version

import msgspec
from litestar import get
from litestar.types import ControllerRouterHandler

from app.describe import ModelEntry, ModelList
from app.errors import refusals
from app.gate import OPEN
from app.llm_messages import ACTIONS
from engines.llm.engine import TextEngine


class TextHealth(msgspec.Struct, frozen=True):
    """`status` is "ok" or "loading" (or "failed", shortly before the process ends). The counts are null until the model
    is loaded.

    A stream is active from its start to its end, a completion while it is written; `running` of them are in the middle
    of a chunk. `busy_slots` hold a sequence for one of them; `used_cells` of the cache hold a token, some of them of
    remembered conversations.
    """

    status: str
    active_streams: int
    max_streams: int
    model: str | None = None
    context: int | None = None
    slots: int | None = None
    busy_slots: int | None = None
    running: int | None = None
    cells: int | None = None
    used_cells: int | None = None


class Service(msgspec.Struct, frozen=True):
    """What is served where."""

    name: str
    version: str
    description: str
    model: str | None
    websocket: str
    actions: Sequence[str]
    http: Sequence[str]
    openapi: str


def describe(engine: TextEngine) -> list[ControllerRouterHandler]:
    """The routes. They read the engine when they are asked, not before."""

    @get("/health", opt=OPEN, summary="The process is alive, and what it is doing")
    async def health() -> TextHealth:
        return _health(engine)

    @get("/", opt=OPEN, summary="What this server is")
    async def service() -> Service:
        return Service(
            name="tiding-llm",
            version=version("tiding"),
            description="A language model whose answers can be paused at any token, and go on without their prompt "
            "being read again",
            model=engine.model_name if engine.state == "ready" else None,
            websocket="/ws",
            actions=ACTIONS,
            http=[
                "GET /health",
                "GET /ready",
                "GET /metrics",
                "GET /v1/models",
                "POST /v1/chat/completions",
                "POST /admin/drain",
            ],
            openapi="/schema/openapi.json",
        )

    @get("/v1/models", summary="The model, in OpenAI's shape", responses=refusals(503, 500))
    async def models() -> ModelList:
        return ModelList([ModelEntry(engine.model_name)])

    return [health, service, models]


def _health(engine: TextEngine) -> TextHealth:
    max_streams = engine.limits.max_sessions
    if engine.state != "ready":
        return TextHealth("loading" if engine.state in ("new", "loading") else "failed", 0, max_streams)
    return TextHealth(
        "ok",
        engine.num_sessions,
        max_streams,
        model=engine.model_name,
        context=engine.context_length,
        slots=engine.num_slots,
        busy_slots=engine.num_busy_slots,
        running=engine.num_running,
        cells=engine.num_cells,
        used_cells=engine.num_used_cells,
    )
