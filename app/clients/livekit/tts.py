"""Speech for LiveKit agents: text goes in as the LLM writes it, sound comes out as it is made, with the time of each
word, and an interruption frees the server's slot.
"""

import asyncio
import weakref
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Final, Literal, TypedDict, Unpack

from livekit.agents import APIConnectOptions, tts, utils
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS

from app.clients.errors import ClientError
from app.clients.livekit.failures import as_livekit
from app.clients.livekit.hearing import Hearing
from app.clients.speech import SpeechClient, SpeechStream

DEFAULT_URL: Final = "http://localhost:8001"
RATE_HZ: Final = 24_000
"""LiveKit's own: nothing is resampled on its way into a room."""


class Options(TypedDict, total=False):
    """How it is spoken: fields of `init`, which the reference of the WebSocket describes."""

    voice: str
    language: str
    speed: float
    lexicon: Mapping[str, str]
    markdown: bool
    aggregate: Literal["auto", "none", "sentence", "clause", "word"]
    default_mode: Literal["stream", "adaptive"]
    send_rate: float
    seed: int
    temperature: float
    top_k: int
    cfg_scale: float


class TTS(tts.TTS[Literal[()]]):
    """A voice of a Tiding server. Its connections are kept for the next speech. Event loop only."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        api_key: str | None = None,
        sample_rate: int = RATE_HZ,
        word_timestamps: bool = True,
        **options: Unpack[Options],
    ) -> None:
        """`word_timestamps`: whether an `AgentSession` may take the transcript from the words as they are spoken."""
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=True, aligned_transcript=word_timestamps),
            sample_rate=sample_rate,
            num_channels=1,
        )
        self._url = url
        self._api_key = api_key
        self._options = options
        self._streams: weakref.WeakSet[SynthesizeStream | ChunkedStream] = weakref.WeakSet()
        self.pool = utils.ConnectionPool[SpeechClient](connect_cb=self._connected, close_cb=SpeechClient.aclose)

    @property
    def model(self) -> str:
        return "tiding"

    @property
    def provider(self) -> str:
        return "Tiding"

    def update_options(self, **options: Unpack[Options]) -> None:
        """For what is said from the next stream on."""
        self._options: Options = {**self._options, **options}

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> "ChunkedStream":
        stream = ChunkedStream(self, text, conn_options)
        self._streams.add(stream)
        return stream

    def stream(self, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS) -> "SynthesizeStream":
        stream = SynthesizeStream(self, conn_options)
        self._streams.add(stream)
        return stream

    def prewarm(self) -> None:
        self.pool.prewarm()

    async def aclose(self) -> None:
        for stream in list(self._streams):
            await stream.aclose()
        await self.pool.aclose()

    # -- for its streams -----------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def connection(self, timeout_s: float) -> AsyncGenerator[SpeechClient]:
        """A connection for one speech. One that was interrupted is as good for the next: only a broken one is not kept.

        Raises:
            APIError: what is done in the block went wrong.
        """
        with as_livekit():
            client = await self.pool.get(timeout=timeout_s)
            try:
                yield client
            except ClientError:
                if not client.is_open:
                    self.pool.remove(client)
                raise
            finally:
                self.pool.put(client)

    def speech(self, client: SpeechClient, name: str) -> SpeechStream:
        """A stream of speech as it is wanted now."""
        return client.stream(
            name,
            **self._options,
            sample_rate=self.sample_rate,
            encoding="pcm_s16le",
            word_timestamps=self.capabilities.aligned_transcript,
        )

    async def _connected(self, timeout_s: float) -> SpeechClient:
        client = SpeechClient(self._url, api_key=self._api_key, patience_s=0)  # LiveKit has patience of its own
        async with asyncio.timeout(timeout_s):
            await client.open()
        return client


class SynthesizeStream(tts.SynthesizeStream):
    """One speech, said in pieces."""

    def __init__(self, voice: TTS, conn_options: APIConnectOptions) -> None:
        super().__init__(tts=voice, conn_options=conn_options)
        self._voice = voice

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        name = utils.shortuuid()
        _initialize(output_emitter, self._voice, name, is_streamed=True)
        async with self._voice.connection(self._conn_options.timeout) as client:
            self._acquire_time = self._voice.pool.last_acquire_time
            self._connection_reused = self._voice.pool.last_connection_reused
            first = await self._first_text()
            if first:
                async with self._voice.speech(client, name) as stream:
                    self._mark_started()
                    await stream.say(first)
                    hearing = Hearing(stream, output_emitter, is_begun_by_server=True)
                    await asyncio.gather(self._say(stream), hearing.hear())

    async def _first_text(self) -> str:
        """What is said first: until then the server need not know of the stream."""
        async for piece in self._input_ch:
            if isinstance(piece, str):
                return piece
        return ""

    async def _say(self, stream: SpeechStream) -> None:
        async for piece in self._input_ch:
            await (stream.say(piece) if isinstance(piece, str) else stream.flush())
        await stream.close()


class ChunkedStream(tts.ChunkedStream):
    """One text."""

    def __init__(self, voice: TTS, text: str, conn_options: APIConnectOptions) -> None:
        super().__init__(tts=voice, input_text=text, conn_options=conn_options)
        self._voice = voice

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        name = utils.shortuuid()
        _initialize(output_emitter, self._voice, name, is_streamed=False)
        async with self._voice.connection(self._conn_options.timeout) as client:
            self._acquire_time = self._voice.pool.last_acquire_time
            self._connection_reused = self._voice.pool.last_connection_reused
            async with self._voice.speech(client, name) as stream:
                await stream.say(self.input_text)
                await stream.close()
                await Hearing(stream, output_emitter).hear()


def _initialize(emitter: tts.AudioEmitter, voice: TTS, name: str, *, is_streamed: bool) -> None:
    emitter.initialize(
        request_id=name,
        sample_rate=voice.sample_rate,
        num_channels=voice.num_channels,
        mime_type="audio/pcm",
        stream=is_streamed,
    )
