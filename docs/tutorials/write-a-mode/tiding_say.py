"""A mode for Tiding: `GET /say/{text}` answers with a WAV of the text."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from litestar import Response, get
from litestar.params import FromPath

from engines.encoders import DEFAULT_RATE_HZ, PcmEncoder, wav_header
from engines.errors import UnspeakableText

if TYPE_CHECKING:
    from litestar.types import ControllerRouterHandler

    from engines.engine import Engine
    from modes import Mode


def mode(engine: "Engine") -> "Sequence[ControllerRouterHandler]":
    """`GET /say/{text}`."""

    @get("/say/{text:str}", summary="Say a few words", media_type="audio/wav")
    async def say(text: FromPath[str]) -> Response[bytes]:
        encoder = PcmEncoder(engine.format.sample_rate_hz, DEFAULT_RATE_HZ)
        audio = bytearray()
        async with engine.open_session(cutting="sentence", is_paced=False) as session:
            session.push(text)
            session.finish()
            if not session.has_speech:
                raise UnspeakableText
            async for frame in session:
                audio += encoder.encode(frame.pcm)
                if frame.is_segment_end:
                    audio += encoder.end_segment()
        return Response(wav_header(DEFAULT_RATE_HZ, len(audio)) + bytes(audio), media_type="audio/wav")

    return [say]


if TYPE_CHECKING:
    _is_a_mode: Mode = mode
