"""Batch: a text in, its whole audio out, in the shape of OpenAI's speech endpoint; or the same audio as events."""

from collections.abc import Sequence
from typing import Final, Literal

from litestar import Response, post
from litestar.params import JSONBody
from litestar.response import Stream
from litestar.types import ControllerRouterHandler

from engines.engine import Engine
from engines.formats import AudioForm, audio_form
from engines.session import Session
from engines.types import SMALL_CHUNKS, ChunkSizes
from modes import speech_events
from modes.described import OPENS_SESSION, SpeechOperation
from modes.http_audio import WHOLE, Manner, chunks, encode, given, headers_of, open_session, streamed

SPEECH_RATE_HZ: Final = 24_000
"""OpenAI's clients assume it and have no way to ask. Source: OpenAI, text-to-speech guide, format `pcm`."""


class SpeechRequest(Manner, frozen=True, kw_only=True):
    """What to say, and how. `model` may be any name: the loaded model speaks. `word_timestamps` are sent with `sse`."""

    input: str
    model: str = ""
    response_format: str = "mp3"
    stream_format: Literal["audio", "sse"] = "audio"
    sample_rate: int = SPEECH_RATE_HZ
    word_timestamps: bool = False


def mode(engine: Engine) -> Sequence[ControllerRouterHandler]:
    """`POST /v1/audio/speech`."""

    @post(
        "/v1/audio/speech",
        status_code=200,
        summary="Speak a text, whole",
        operation_class=SpeechOperation,
        opt=OPENS_SESSION,
    )
    async def speech(data: JSONBody[SpeechRequest]) -> Response[bytes] | Stream:
        form = audio_form(data.response_format, data.sample_rate, data.encoding)
        speak = _events if data.stream_format == "sse" else _whole
        return await speak(engine, data, form)

    return [speech]


async def _whole(engine: Engine, data: SpeechRequest, form: AudioForm) -> Response[bytes]:
    encoder = form.encoder(engine.format.sample_rate_hz, is_whole=True)
    async with _session(engine, data, WHOLE, is_paced=False) as session:
        async for frame in session:
            encode(frame, encoder)
    audio = encoder.finish()
    headers = headers_of(form) | {"X-Duration-Ms": str(round(encoder.duration_ms))}
    with session.sending(encoder.duration_ms):
        return Response(audio, media_type=form.media_type, headers=headers)


async def _events(engine: Engine, data: SpeechRequest, form: AudioForm) -> Stream:
    encoder = form.encoder(engine.format.sample_rate_hz)
    session = _session(engine, data, SMALL_CHUNKS, is_paced=True)
    audio = chunks(session, encoder, SMALL_CHUNKS)
    events = speech_events.events(audio, lambda: encoder.duration_ms, len(data.input), has_words=data.word_timestamps)
    return await streamed(events, speech_events.MEDIA_TYPE, headers_of(form))


def _session(engine: Engine, data: SpeechRequest, sizes: ChunkSizes, *, is_paced: bool) -> Session:
    """A session with all of the text. Cut alike both ways: the samples are the same."""
    return given(open_session(engine, data, chunk_sizes=sizes, cutting="sentence", is_paced=is_paced), data.input)
