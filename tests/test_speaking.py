"""A stream on a socket, spoken by hand: what a cancel says of what was on its way."""

import asyncio

from modes.messages import Cancelled, Init, ServerMessage, Text
from modes.speaking import SpokenStream
from tests.running import running

LONG = "This sentence goes on and on, and it does not end before it has said all that it has to say about itself."


async def test_a_cancel_counts_the_message_that_is_being_sent() -> None:
    sent: list[bytes | ServerMessage] = []
    blocked, go_on = asyncio.Event(), asyncio.Event()

    async def send(message: bytes | ServerMessage) -> None:
        if isinstance(message, bytes) and sum(isinstance(one, bytes) for one in sent) == 2:
            blocked.set()
            await go_on.wait()
        sent.append(message)

    async with running() as (engine, _):
        options = Init(send_rate=0, default_mode="stream")
        session = engine.open_session()
        rate_hz = engine.format.sample_rate_hz
        stream = SpokenStream(session, options, rate_hz, send_rate=0, is_asked_for=False)
        stream.push(Text(text=LONG))
        stream.close()
        speaking = asyncio.create_task(stream.speak(send))
        await blocked.wait()
        stream.cancel(None)
        go_on.set()
        await speaking
    cancelled = sent[-1]
    assert isinstance(cancelled, Cancelled)
    num_bytes = sum(len(message) for message in sent if isinstance(message, bytes))
    assert abs(cancelled.audio_ms_sent - num_bytes / (2 * options.sample_rate / 1000)) < 0.1
    assert sum(isinstance(message, bytes) for message in sent) == 3
