"""Speech for pipecat over HTTP, a sentence at a time: streamed, or in one piece."""

from collections.abc import AsyncGenerator
from typing import Any, Final, Literal

import aiohttp
from pipecat.frames.frames import ErrorFrame, Frame
from pipecat.services.tts_service import TTSService
from pipecat.transcriptions.language import Language
from pipecat.utils.errors import ErrorCategory

from app.clients.errors import ClientError
from app.clients.pipecat.failures import NO_END_OF_TRIES, category_of
from app.clients.pipecat.requests import Requests
from app.clients.pipecat.settings import TidingTTSSettings, complete, manner_of

_PATHS: Final = {"stream": "/v1/audio/speech/stream", "batch": "/v1/audio/speech"}


class TidingHttpTTSService(TTSService):
    """A request for each sentence, as pipecat cuts them. An interruption drops the request, and the server stops."""

    Settings = TidingTTSSettings
    _settings: TidingTTSSettings  # pyright: ignore[reportIncompatibleVariableOverride]  # pipecat's own do it so

    def __init__(
        self,
        url: str = "http://localhost:8001",
        *,
        api_key: str | None = None,
        delivery: Literal["batch", "stream"] = "stream",
        settings: TidingTTSSettings | None = None,
        aiohttp_session: aiohttp.ClientSession | None = None,
        **kwargs: Any,
    ) -> None:
        """Args:

        url: Where the speech server is.
        api_key: What it, or a proxy before it, knows us by.
        delivery: `stream`: sound as it is made. `batch`: a sentence when it is whole.
        settings: Voice, language and more; what is not given is as the server says.
        aiohttp_session: For the requests, if not one of its own.
        **kwargs: For `TTSService`.
        """
        options: dict[str, Any] = {**NO_END_OF_TRIES, **kwargs}
        super().__init__(settings=complete(settings), push_start_frame=True, push_stop_frames=True, **options)
        self._requests = Requests(url, api_key, aiohttp_session)
        self._path = _PATHS[delivery]

    def can_generate_metrics(self) -> bool:
        return True

    def language_to_service_language(self, language: Language) -> str:
        return language.value

    def _classify_error(self, exception: Exception) -> ErrorCategory | None:
        return category_of(exception)

    async def cleanup(self) -> None:
        await super().cleanup()
        await self._requests.aclose()

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        manner = manner_of(self._settings)
        body = {"input": text, "response_format": "pcm", "sample_rate": self.sample_rate, **manner}
        try:
            async with self._requests.ask("POST", self._path, body) as answer:
                await self.start_tts_usage_metrics(text)
                data = answer.content.iter_any()
                async for frame in self._stream_audio_frames_from_iterator(data, context_id=context_id):
                    yield frame
        except ClientError as error:
            yield ErrorFrame(str(error), exception=error)
