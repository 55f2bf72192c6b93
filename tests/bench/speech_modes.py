"""The modes of the speech server as the benchmark's clients use them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, Literal, TypeAlias, get_args

from tests.bench.speech_texts import Talk, first_segment
from tests.listening import Heard, browsing, calling, speak_adaptive, speak_batch, speak_stream, tokens_of
from tests.serving import Served

Mode: TypeAlias = Literal["batch", "stream", "adaptive", "websocket", "tokens"]
MODES: Final[tuple[Mode, ...]] = get_args(Mode)
SOCKETS: Final[frozenset[Mode]] = frozenset({"websocket", "tokens"})

TITLES: Final[dict[Mode, str]] = {
    "batch": "POST /v1/audio/speech",
    "stream": "POST /v1/audio/speech/stream",
    "adaptive": "/v1/tts/stream, by the sentence",
    "websocket": "WebSocket, by the sentence",
    "tokens": "WebSocket, token by token",
}

Speak: TypeAlias = Callable[[Talk, int], Awaitable[Heard]]
"""Say a talk with a seed, and hear all of it."""


@asynccontextmanager
async def _batch(served: Served, _: float | None) -> AsyncIterator[Speak]:
    async with browsing(served) as client:
        yield lambda talk, seed: speak_batch(client, " ".join(talk), seed=seed)


@asynccontextmanager
async def _stream(served: Served, _: float | None) -> AsyncIterator[Speak]:
    async with browsing(served) as client:
        yield lambda talk, seed: speak_stream(client, " ".join(talk), seed=seed)


@asynccontextmanager
async def _adaptive(served: Served, _: float | None) -> AsyncIterator[Speak]:
    async with browsing(served) as client:
        yield lambda talk, seed: speak_adaptive(client, [f"{sentence} " for sentence in talk], seed=seed)


@asynccontextmanager
async def _websocket(served: Served, send_rate: float | None) -> AsyncIterator[Speak]:
    async with calling(served) as caller:
        yield lambda talk, seed: caller.say_sentences(talk, "stream", seed=seed, send_rate=send_rate)


@asynccontextmanager
async def _tokens(served: Served, send_rate: float | None) -> AsyncIterator[Speak]:
    async with calling(served) as caller:
        yield lambda talk, seed: caller.say_tokens(tokens_of(" ".join(talk)), seed=seed, send_rate=send_rate)


Connect: TypeAlias = Callable[[Served, float | None], AbstractAsyncContextManager[Speak]]
"""A client with an open connection. The second is a socket's `send_rate`: None is the server's own, 0 is unpaced."""

CONNECT: Final[dict[Mode, Connect]] = {
    "batch": _batch,
    "stream": _stream,
    "adaptive": _adaptive,
    "websocket": _websocket,
    "tokens": _tokens,
}


def first_text(mode: Mode, talk: Talk) -> str:
    """What has to be synthesised before a client of this mode hears anything."""
    if mode == "batch":
        return " ".join(talk)
    return talk[0] if mode == "websocket" else first_segment(" ".join(talk))
