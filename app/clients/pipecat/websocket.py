"""Speech for pipecat over the WebSocket: text streamed in, word times, and as many contexts as pipecat asks for."""

from typing import Any, Literal

from pipecat.frames.frames import CancelFrame, EndFrame, StartFrame

from app.clients.connection import PATIENCE_S
from app.clients.errors import ClientError
from app.clients.pipecat.settings import manner_of
from app.clients.pipecat.streaming import Stream, StreamingTTSService
from app.clients.speech import SpeechClient


class TidingTTSService(StreamingTTSService):
    """Speech over `/ws/tts/stream`. The connection is there before the first text, and is made again when it was lost:
    what was being said then has ended with an error, what comes next is spoken.

    Words come with their times, so that the conversation holds what the listener has heard. With an interruption the
    server stops within a step.
    """

    def __init__(
        self,
        url: str = "http://localhost:8001",
        *,
        api_key: str | None = None,
        delivery: Literal["batch", "stream", "adaptive"] = "stream",
        patience_s: float = PATIENCE_S,
        **kwargs: Any,
    ) -> None:
        """Args:

        url: Where the speech server is.
        api_key: What it, or a proxy before it, knows us by.
        delivery: `stream`: sound as it is made. `batch`: a segment when it is whole. `adaptive`: as the listener's
            buffer allows.
        patience_s: So long a server that is not there is tried again.
        **kwargs: `settings` and more, for `StreamingTTSService`.
        """
        super().__init__(push_text_frames=False, **kwargs)
        self._client = SpeechClient(url, api_key=api_key, patience_s=patience_s)
        self._delivery: Literal["batch", "stream", "adaptive"] = delivery

    def make_stream(self, context_id: str) -> Stream:
        return self._client.stream(
            context_id,
            default_mode=self._delivery,
            sample_rate=self.sample_rate,
            word_timestamps=True,
            **manner_of(self._settings),
        )

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        self.create_task(self._connect(), "connect")

    async def stop(self, frame: EndFrame) -> None:
        await super().stop(frame)
        await self._disconnect()

    async def cancel(self, frame: CancelFrame) -> None:
        await super().cancel(frame)
        await self._disconnect()

    async def cleanup(self) -> None:
        await super().cleanup()
        await self._disconnect()

    async def _connect(self) -> None:
        try:
            await self._client.open()
        except ClientError as error:
            await self._call_event_handler("on_connection_error", str(error))
            await self.push_error(str(error), exception=error)
        else:
            await self._call_event_handler("on_connected")

    async def _disconnect(self) -> None:
        await self.stop_listening()
        if self._client.is_open:
            await self._client.aclose()
            await self._call_event_handler("on_disconnected")
