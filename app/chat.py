"""`POST /v1/chat/completions`: a conversation in, its next turn out, whole or token by token."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Final

import msgspec
from litestar import Response, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody
from litestar.response import Stream
from litestar.types import ControllerRouterHandler
from msgspec import UNSET

from app.chat_messages import (
    BrokenOff,
    ChatChunk,
    ChatCompletion,
    ChatRequest,
    Completion,
    Delta,
    DeltaChoice,
    chat_usage,
    finish_reason,
)
from app.disconnect import on_disconnect
from app.errors import detail_of, refusals
from app.gate import OPENS_SESSION
from app.turns import messages_of
from engines.errors import SpeechError
from engines.llm.engine import TextEngine
from engines.llm.session import TextSession
from engines.llm.types import ChunkEnd, Event, Pause, Token

DONE: Final = b"data: [DONE]\n\n"

REFUSALS: Final = {
    400: "The conversation is longer than the context, its template refuses it, or a field asks for what is not served",
    413: "The body is too long",
}


def chat(engine: TextEngine) -> Sequence[ControllerRouterHandler]:
    """The route. A conversation stays in the cache, so that its next turn costs what is new in it."""

    @post(
        "/v1/chat/completions",
        status_code=200,
        summary="Write the next turn of a conversation",
        opt=OPENS_SESSION,
        responses={200: ResponseSpec(ChatCompletion, generate_examples=False, description="The answer, or its chunks")}
        | refusals(400, 401, 403, 413, 422, 429, 500, 503, meanings=REFUSALS),
    )
    async def complete(data: JSONBody[ChatRequest]) -> Response[ChatCompletion] | Stream:
        data.refuse_unserved()
        completion = Completion(engine.model_name)
        session = await engine.open_session(
            messages_of(data.messages),
            sampling=data.sampling,
            stop=data.stop_words,
            max_total_tokens=data.max_total_tokens,
            is_remembered=True,
        )
        on_disconnect(session.close)
        if data.stream:
            return await streamed(session, completion, is_usage_wanted=data.is_usage_wanted)
        return Response(await whole(session, completion))

    return [complete]


async def whole(session: TextSession, completion: Completion) -> ChatCompletion:
    """The answer at once."""
    texts: list[str] = []
    async with aclosing(written(session)) as events:
        async for event in events:
            if isinstance(event, ChunkEnd):
                return completion.whole("".join(texts), event, session.usage)
            texts.append(event.text)
    raise AssertionError("an answer has an end")


async def streamed(session: TextSession, completion: Completion, *, is_usage_wanted: bool) -> Stream:
    """The answer in server-sent events. The headers are sent when its first token is there: what goes wrong before is a
    status, not a broken stream.
    """
    events = written(session)
    first = await anext(events)
    chunks = _chunks(first, events, session, completion, is_usage_wanted=is_usage_wanted)
    return Stream(_sent(chunks), media_type="text/event-stream", headers={"Cache-Control": "no-cache"})


async def written(session: TextSession) -> AsyncGenerator[Event]:
    """All tokens of an answer, and one end. In chunks, so that who reads slowly is not written for much further than
    that. Closing the generator cancels the session.
    """
    async with session:
        while True:
            async for event in session.write(Pause()):
                if isinstance(event, Token) or event.is_done:
                    yield event
            if session.is_done:
                return


async def _chunks(
    first: Event, rest: AsyncGenerator[Event], session: TextSession, completion: Completion, *, is_usage_wanted: bool
) -> AsyncGenerator[ChatChunk]:
    usage = None if is_usage_wanted else UNSET
    async with aclosing(rest):
        yield completion.chunk(DeltaChoice(Delta("assistant", "")), usage=usage)
        async for event in _from_first(first, rest):
            if isinstance(event, Token):
                yield completion.chunk(DeltaChoice(Delta(content=event.text)), usage=usage)
            else:
                yield completion.chunk(DeltaChoice(Delta(), finish_reason(event)), usage=usage)
    if is_usage_wanted:
        yield completion.chunk(usage=chat_usage(session.usage))


async def _from_first(first: Event, rest: AsyncIterator[Event]) -> AsyncIterator[Event]:
    yield first
    async for event in rest:
        yield event


async def _sent(chunks: AsyncGenerator[ChatChunk]) -> AsyncGenerator[bytes]:
    """Source: WHATWG, HTML, "Server-sent events"; OpenAI's clients read an `error` in an event as the end."""
    async with aclosing(chunks):
        try:
            async for chunk in chunks:
                yield b"data: " + msgspec.json.encode(chunk) + b"\n\n"
        except SpeechError as error:
            yield b"data: " + msgspec.json.encode(BrokenOff(detail_of(error))) + b"\n\n"
            return
    yield DONE
