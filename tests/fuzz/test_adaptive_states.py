"""Adaptive streams whose requests come in any order: the statuses of each state, and all of the text in the audio."""

import asyncio
from typing import Any, Literal

import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test

from app.settings import TtsSettings
from tests.contract import check_refusal
from tests.fuzz.stepwise import Watched, watched
from tests.fuzz.values import BLANK, LONG, SPEAKABLE, UNSPEAKABLE

pytestmark = pytest.mark.slow

OPEN = "/v1/tts/stream"
MAX_SESSIONS = 4
TEXTS = SPEAKABLE | SPEAKABLE | UNSPEAKABLE | BLANK | LONG
ANY_ORDER = settings(max_examples=40, stateful_step_count=30, suppress_health_check=list(HealthCheck))
State = Literal["open", "closed", "cancelled"]


class Stream:
    """What its client knows of one stream."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.state: State = "open"
        self.num_chars = 0
        self.has_words = False
        self.reading: asyncio.Task[bytes] | None = None


class AnyOrder(RuleBasedStateMachine):
    """Streams of one server, driven by requests that may come at any time."""

    streams: Bundle[Stream] = Bundle("streams")

    def __init__(self, server: Watched) -> None:
        super().__init__()
        self.server = server
        self.client = httpx.AsyncClient(base_url=server.served.url, timeout=20)
        self.known: list[Stream] = []

    def ask(self, method: str, path: str, expected: set[int], **more: Any) -> httpx.Response:
        response: httpx.Response = self.server.steps.run(self.client.request(method, path, **more))
        assert response.headers["X-Request-Id"]
        assert response.status_code in expected, f"{method} {path}: {response.status_code} {response.text[:100]}"
        if response.status_code >= 400:
            check_refusal(response)
        return response

    @rule(target=streams, rate=st.sampled_from([8000, 22050]))
    def open_stream(self, rate: int) -> Stream:
        """As many as the engine has sessions left; none is waited for."""
        num_open = sum(stream.state == "open" for stream in self.known)
        num_perhaps = sum(stream.state == "closed" for stream in self.known)
        expected = {200} if num_open + num_perhaps < MAX_SESSIONS else {200, 503} if num_open < MAX_SESSIONS else {503}
        response = self.ask("POST", OPEN, expected, json={"sample_rate": rate})
        if response.status_code == 503:
            return Stream(f"{OPEN}/unknown")
        stream = Stream(f"{OPEN}/{response.json()['stream_id']}")
        assert response.json()["audio_url"] == f"{stream.path}/audio"
        self.known.append(stream)
        return stream

    @rule(stream=streams, text=TEXTS)
    def append(self, stream: Stream, text: str) -> None:
        if stream not in self.known:
            expected = {404}
        elif stream.state != "open":
            expected = {409}
        elif stream.num_chars + len(text) > 20_000:
            expected = {202, 413}
        else:
            expected = {202}
        response = self.ask("POST", f"{stream.path}/append", expected, json={"text": text})
        if response.status_code == 202:
            assert response.json() == {"status": "accepted"}
            stream.num_chars += len(text)
            stream.has_words |= any(char.isascii() and char.isalnum() for char in text)

    @rule(stream=streams)
    def close(self, stream: Stream) -> None:
        if stream not in self.known:
            expected = {404}
        elif stream.state == "cancelled":
            expected = {200, 409}  # it may have been spoken to its end before it was cancelled
        else:
            expected = {200}
        if self.ask("POST", f"{stream.path}/close", expected).status_code == 200 and stream.state == "open":
            stream.state = "closed"

    @rule(stream=streams)
    def cancel(self, stream: Stream) -> None:
        response = self.ask("DELETE", stream.path, {200} if stream in self.known else {404})
        if response.status_code == 200:
            assert response.json() == {"status": "cancelled"}
            stream.state = "cancelled"

    @rule(stream=streams)
    def listen(self, stream: Stream) -> None:
        if stream not in self.known:
            self.ask("GET", f"{stream.path}/audio", {404})
        elif stream.reading is not None or stream.state == "cancelled":
            self.ask("GET", f"{stream.path}/audio", {409})
        else:
            stream.reading = self.server.steps.run(self._begin_to_read(stream.path))

    async def _begin_to_read(self, path: str) -> "asyncio.Task[bytes]":
        """The answer begins at once, however late the text comes."""
        response = await self.client.send(self.client.build_request("GET", f"{path}/audio"), stream=True)
        assert response.status_code == 200
        assert response.headers["Content-Type"] == "audio/pcm"

        async def rest() -> bytes:
            try:
                return await response.aread()
            finally:
                await response.aclose()

        return asyncio.create_task(rest())

    @rule(stream=consumes(streams))
    def leave(self, stream: Stream) -> None:
        """A listener that goes takes the stream with it."""
        if stream.reading is None:
            return
        stream.reading.cancel()
        self.server.steps.run(_outcome(stream.reading))
        self.known.remove(stream)
        num_others = sum(other.state != "cancelled" for other in self.known)
        engine = self.server.here.engine
        self.server.steps.until(lambda: engine.num_sessions <= num_others, "the session of who left is over")

    @rule(duration_s=st.sampled_from([0.0, 0.005, 0.02]))
    def let_time_pass(self, duration_s: float) -> None:
        self.server.steps.run(asyncio.sleep(duration_s))

    @invariant()
    def no_more_sessions_than_streams(self) -> None:
        """Those that are open have one each."""
        num_open = sum(stream.state == "open" for stream in self.known)
        num_perhaps = sum(stream.state == "closed" for stream in self.known)
        assert num_open <= self.server.here.engine.num_sessions
        if not num_perhaps:
            self.server.steps.until(lambda: self.server.here.engine.num_sessions == num_open, "others are over")

    def teardown(self) -> None:
        """Closed and read, every stream ends; who was not read is cancelled."""
        try:
            for stream in self.known:
                if stream.state == "open":
                    self.close(stream)
                if stream.state == "closed" and stream.reading is None:
                    self.listen(stream)
                if stream.reading is not None:
                    self._check_audio(stream, self.server.steps.run(_outcome(stream.reading)))
        finally:
            self.server.steps.run(self.client.aclose())
            self.server.check_nothing_is_left()

    def _check_audio(self, stream: Stream, audio: bytes | BaseException) -> None:
        assert isinstance(audio, bytes), audio
        assert len(audio) % 2 == 0
        if stream.state == "closed":
            assert bool(audio) == stream.has_words, "there is sound if and only if there were words"


async def _outcome(task: "asyncio.Task[bytes]") -> bytes | BaseException:
    return (await asyncio.gather(task, return_exceptions=True))[0]


@pytest.mark.slow
def test_streams_whose_requests_come_in_any_order_answer_as_their_state_demands() -> None:
    with watched(TtsSettings(max_sessions=MAX_SESSIONS, max_line=1000)) as server:
        run_state_machine_as_test(lambda: AnyOrder(server), settings=ANY_ORDER)
        assert server.steps.run(_ready(server)) == 200


async def _ready(server: Watched) -> int:
    async with httpx.AsyncClient(base_url=server.served.url) as client:
        return (await client.get("/ready")).status_code
