"""Stream: a text in, its audio in chunks as it is made."""

from collections.abc import Sequence

from litestar import post
from litestar.params import JSONBody
from litestar.response import Stream
from litestar.types import ControllerRouterHandler

from engines.encoders import DEFAULT_RATE_HZ
from engines.engine import Engine
from engines.formats import audio_form
from engines.types import ChunkSizes
from modes.described import OPENS_SESSION, AudioOperation
from modes.http_audio import Manner, NumFrames, chunks, data_of, given, headers_of, open_session, streamed


class StreamRequest(Manner, frozen=True, kw_only=True):
    """What to say, and in what pieces. Frames are of 46.44 ms; `overlap_frames` is accepted for old clients and means
    nothing: pieces join exactly without overlap."""

    input: str
    first_chunk_frames: NumFrames = 8
    chunk_size_frames: NumFrames = 16
    overlap_frames: int = 12
    sample_rate: int = DEFAULT_RATE_HZ
    response_format: str = "pcm"


def mode(engine: Engine) -> Sequence[ControllerRouterHandler]:
    """`POST /v1/audio/speech/stream`."""

    @post(
        "/v1/audio/speech/stream",
        status_code=200,
        summary="Speak a text, as it is made",
        opt=OPENS_SESSION,
        operation_class=AudioOperation,
    )
    async def stream(data: JSONBody[StreamRequest]) -> Stream:
        form = audio_form(data.response_format, data.sample_rate, data.encoding)
        encoder = form.encoder(engine.format.sample_rate_hz)
        sizes = ChunkSizes(data.first_chunk_frames, data.chunk_size_frames)
        session = given(open_session(engine, data, chunk_sizes=sizes), data.input)
        return await streamed(data_of(chunks(session, encoder, sizes)), form.media_type, headers_of(form))

    return [stream]
