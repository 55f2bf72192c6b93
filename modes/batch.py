"""Batch: a text in, its whole audio out, in the shape of OpenAI's speech endpoint."""

from collections.abc import Sequence
from typing import Annotated, Final, Literal

from litestar import Response, post
from litestar.params import JSONBody
from litestar.types import ControllerRouterHandler
from msgspec import Meta

from engines.engine import Engine
from engines.errors import RequestError, UnspeakableText
from modes.http_audio import WHOLE, Manner, encode, open_session, output

SPEECH_RATE_HZ: Final = 24_000
"""OpenAI's clients assume it and have no way to ask. Source: OpenAI, text-to-speech guide, format `pcm`."""


class SpeechRequest(Manner, frozen=True, kw_only=True):
    """What to say, and how. `model` may be any name: the loaded model speaks."""

    input: str
    model: str = ""
    response_format: str = "wav"
    speed: Annotated[float, Meta(ge=0.25, le=4.0)] = 1.0
    stream_format: Literal["audio", "sse"] = "audio"
    sample_rate: int = SPEECH_RATE_HZ


def mode(engine: Engine) -> Sequence[ControllerRouterHandler]:
    """`POST /v1/audio/speech`."""

    @post("/v1/audio/speech", status_code=200, summary="Speak a text, whole", media_type="audio/wav")
    async def speech(data: JSONBody[SpeechRequest]) -> Response[bytes]:
        _refuse_unserved(data)
        wanted = output(data.response_format, data.sample_rate, data.encoding)
        encoder = wanted.encoder(engine.format.sample_rate_hz)
        audio = bytearray()
        async with open_session(engine, data, chunk_sizes=WHOLE, cutting="sentence", is_paced=False) as session:
            session.push(data.input)
            session.finish()
            if not session.has_speech:
                raise UnspeakableText
            async for frame in session:
                audio += encode(frame, encoder)
        headers = wanted.headers | {"X-Duration-Ms": str(round(encoder.duration_ms(len(audio))))}
        return Response(wanted.whole(bytes(audio)), media_type=wanted.media_type, headers=headers)

    return [speech]


def _refuse_unserved(data: JSONBody[SpeechRequest]) -> None:
    if data.speed != 1.0:
        raise RequestError("speed other than 1.0 is not served yet", param="speed")
    if data.stream_format != "audio":
        raise RequestError("stream_format 'sse' is not served yet; choose 'audio'", param="stream_format")
