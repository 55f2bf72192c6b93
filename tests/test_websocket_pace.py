"""How fast audio is sent on the WebSocket: small messages, a token bucket, and no gap while there is audio."""

import asyncio

import numpy as np
import pytest

from tests.contract import BYTES_PER_SAMPLE
from tests.hearing import Listener, listen, spoken
from tests.serving import Served

pytestmark = [pytest.mark.slow, pytest.mark.alone]

LONG = "This sentence goes on and on, and it does not end before it has said all that it has to say about itself."
SHORT = "Good morning."
FORMATS = [(22050, "pcm_s16le"), (8000, "mulaw"), (48000, "pcm_f32le")]
PACES = [(22050, "pcm_s16le", None), (22050, "pcm_s16le", 1), (8000, "mulaw", 1), (8000, "mulaw", 4),
         (48000, "pcm_f32le", 2), (16000, "alaw", 0.5)]  # fmt: skip
BURST_BYTES = 4096
LATE_MS = 227


def arrivals(listener: Listener) -> tuple[np.ndarray, np.ndarray]:
    """When each binary message came, in seconds since the first, and how many bytes it held."""
    came = [(at_s, len(m)) for at_s, m in zip(listener.times_s, listener.heard, strict=True) if isinstance(m, bytes)]
    times_s, sizes = np.array(came).T
    return times_s - times_s[0], sizes


async def in_both_modes(served: Served, *texts: str, **options: object) -> list[Listener]:
    """The same on two sockets at once."""
    modes = ("stream", "batch")
    return await asyncio.gather(*(spoken(served, texts, fields={"mode": mode}, **options) for mode in modes))


@pytest.mark.parametrize("mode", ["stream", "batch"])
@pytest.mark.parametrize("send_rate", [0, 1, 8, None])
@pytest.mark.parametrize(("rate", "encoding"), FORMATS)
async def test_a_message_holds_at_most_4096_bytes_of_whole_samples(
    fake_server: Served, rate: int, encoding: str, send_rate: float | None, mode: str
) -> None:
    said = {"fields": {"mode": mode}, "sample_rate": rate, "encoding": encoding, "send_rate": send_rate}
    _, sizes = arrivals(await spoken(fake_server, ["One, two, three."], **said))
    assert max(sizes) <= BURST_BYTES
    assert not any(sizes % BYTES_PER_SAMPLE[encoding])


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "encoding", "send_rate"), PACES)
async def test_a_token_bucket_lets_audio_through(
    server: Served, rate: int, encoding: str, send_rate: float | None
) -> None:
    bytes_per_s = (4 if send_rate is None else send_rate) * rate * BYTES_PER_SAMPLE[encoding]
    text = LONG if send_rate is None else SHORT
    for listener in await in_both_modes(server, text, sample_rate=rate, encoding=encoding, send_rate=send_rate):
        times_s, sizes = arrivals(listener)
        allowed = BURST_BYTES + bytes_per_s * (times_s + 0.05)  # the first message may have been late
        assert np.all(np.cumsum(sizes) <= allowed)
        lasts_s = (sizes.sum() - BURST_BYTES) / bytes_per_s
        assert times_s[-1] == pytest.approx(lasts_s, abs=max(0.5, lasts_s * 0.25))


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "encoding", "send_rate"), PACES)
async def test_no_listener_waits_150_ms_while_there_is_audio(
    server: Served, rate: int, encoding: str, send_rate: float | None
) -> None:
    async def longest_waits_s() -> list[float]:
        said = {"sample_rate": rate, "encoding": encoding, "send_rate": send_rate}
        return [np.diff(arrivals(heard)[0]).max() for heard in await in_both_modes(server, SHORT, "Hello.", **said)]

    waits_s = [await longest_waits_s()]
    while len(waits_s) < 3 and max(waits_s[-1]) >= 0.150:  # the machine that tests run on is shared
        waits_s.append(await longest_waits_s())
    assert max(waits_s[-1]) < 0.150, waits_s


async def test_unpaced_audio_comes_much_faster_than_real_time(server: Served) -> None:
    listener = await spoken(server, [LONG] * 4, fields={"mode": "batch"}, send_rate=0)
    times_s, sizes = arrivals(listener)
    assert times_s[-1] < sizes.sum() / 44_100 / 4


@pytest.mark.slow
async def test_segment_complete_comes_well_before_its_audio_has_been_played(server: Served) -> None:
    async with listen(server) as listener:
        await listener.send("init")
        await listener.say([LONG], mode="stream")
        await listener.finish()
    times_s, sizes = arrivals(listener)
    assert sizes.sum() / 44_100 - times_s[-1] > 1.0


async def test_pace_changes_nothing_in_the_audio(server: Served) -> None:
    plain = await spoken(server, ["Good morning."], send_rate=0)
    for send_rate in (2, 4, 16):
        assert (await spoken(server, ["Good morning."], send_rate=send_rate)).audio == plain.audio


async def test_the_pace_of_one_socket_is_not_that_of_another(server: Served) -> None:
    async with listen(server) as slow:
        await slow.begin(send_rate=0.1)
        await slow.say([LONG], mode="stream")
        await slow.until_audio()
        for _ in range(3):
            assert (await spoken(server, ["Good morning."])).audio


@pytest.mark.parametrize("send_rate", [1, 4])
@pytest.mark.parametrize(("rate", "encoding"), [*FORMATS, (8000, "pcm_s16le"), (16000, "mulaw")])
async def test_what_is_sent_at_once_is_less_than_may_come_after_a_cancel(
    fake_server: Served, rate: int, encoding: str, send_rate: float
) -> None:
    """A cancel that is on its way for some milliseconds meets all of the burst."""
    async with listen(fake_server) as listener:
        await listener.begin(send_rate=send_rate, sample_rate=rate, encoding=encoding)
        await listener.say([LONG], mode="batch")
        await listener.until_audio()
        await listener.rest(0.01)
    burst_ms = arrivals(listener)[1].sum() * 1000 / (rate * BYTES_PER_SAMPLE[encoding])
    assert burst_ms < LATE_MS


@pytest.mark.slow
async def test_a_client_that_does_not_read_slows_nobody(server: Served) -> None:
    async with listen(server, max_queue=1) as deaf:
        await deaf.begin(send_rate=0)
        await deaf.say([LONG] * 40, mode="stream")
        await deaf.send("close")
        alone = await spoken(server, [LONG], fields={"mode": "stream"})
        assert len(alone.audio) > 44_100
        deaf.socket.transport.abort()
