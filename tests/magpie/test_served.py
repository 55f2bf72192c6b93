"""The real server on a tiny checkpoint: every mode speaks, streams and obeys.

Random weights make noise: what is looked at is how it comes, never what it sounds like.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.contract import Contract
from tests.hearing import listen, spoken
from tests.listening import Heard, browsing, speak_adaptive, speak_batch, speak_stream
from tests.magpie.random_checkpoint import write_checkpoint
from tests.magpie.speaking import VOICE_LIVELINESS, liveliness
from tests.serving import Served, serve_process

TEXT = "Hello there. How are you today, my friend?"
SHORT = "Yes."
LONG = " ".join(["This one goes on and on, and does not come to its end before it has said it all."] * 2)

pytestmark = pytest.mark.slow


def wake_up(model: Any) -> None:
    """Let it listen to its text."""
    for name, value in model.named_parameters():
        if not name.startswith("_codec_model"):
            value.data.mul_(liveliness(name, value))
    model.baked_context_embedding.weight.data.mul_(VOICE_LIVELINESS)


class Running(Served, frozen=True):
    """A server with what it logs."""

    log: Path


@pytest.fixture(scope="module")
def magpie(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Its segments end half a second behind their text's end."""
    folder = tmp_path_factory.mktemp("served")
    checkpoint = write_checkpoint(
        "tiny", folder, adjust=wake_up, ignore_finished_sentence_tracking=False, max_decoder_steps=150
    )
    log = folder / "log"
    given = {"model": "magpie", "magpie_checkpoint": str(checkpoint), "magpie_device": "cpu", "magpie_slots": "3"}
    with serve_process(log=log, **given) as served:
        yield Running(served.port, served.pid, log)


@pytest.fixture
def client(magpie: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=magpie.url, timeout=30) as client:
        contract = Contract(client.get("/schema/openapi.json").json())
        client.event_hooks = {"response": [contract.check]}
        yield client


# -- start -------------------------------------------------------------------------------------------------------------


def test_starting_says_what_it_does_and_how_long_it_took(magpie: Running) -> None:
    said = magpie.log.read_text()
    expected = [
        r"checking magpie\.nemo",
        r"checked in [\d.]+ s",
        r"importing NeMo",
        r"NeMo imported in [\d.]+ s",
        r"reading weights",
        r"million weights read in [\d.]+ s",
        r"3 slots; \d+ slots of \d+ MiB would fit into [\d.]+ GiB free",
        r"codec ready: [\d.]+ s",
        r"prefill\b.* [\d.]+ s",
        r"step\b.* [\d.]+ s",
        r"magpie is ready after [\d.]+ s: 3 slots",
    ]
    at = 0
    for pattern in expected:
        found = re.compile(pattern).search(said, at)
        assert found is not None, f"{pattern} is missing, or too early:\n{said}"
        at = found.end()
    assert "Traceback" not in said


def test_the_server_says_what_it_speaks(client: httpx.Client) -> None:
    config = client.get("/v1/audio/config").json()
    assert config["model"] == "magpie"
    assert config["voices"] == ["voice-1", "voice-2"]
    assert set(config["languages"]) == {"en", "de", "es"}


# -- modes -------------------------------------------------------------------------------------------------------------


async def batch(served: Served, text: str = TEXT, **fields: Any) -> Heard:
    async with browsing(served) as client:
        return await speak_batch(client, text, sample_rate=22050, **fields)


async def stream(served: Served, text: str = TEXT, **fields: Any) -> Heard:
    async with browsing(served) as client:
        return await speak_stream(client, text, **fields)


async def adaptive(served: Served, text: str = TEXT, **fields: Any) -> Heard:
    async with browsing(served) as client:
        return await speak_adaptive(client, re.findall(r"\s*\S+", text), **fields)


async def websocket(served: Served, text: str = TEXT, **fields: Any) -> Heard:
    listener = await spoken(served, [text], fields={"mode": "stream"}, **fields)
    heard = Heard(22050)
    for piece in listener.heard:
        if isinstance(piece, bytes):
            heard.add(0.0, piece)
    return heard


Ask = Callable[..., Awaitable[Heard]]
Modes = pytest.mark.parametrize("ask", [batch, stream, adaptive, websocket])


@Modes
async def test_every_mode_speaks(magpie: Running, ask: Ask) -> None:
    heard = await ask(magpie)
    assert 0.4 < heard.duration_s < 15
    assert np.abs(heard.pcm).max() > 30, "noise is not silence"
    assert len(heard.chunks) >= (1 if ask is batch else 2)


async def test_a_stream_comes_before_it_is_whole(magpie: Running) -> None:
    """Chunk by chunk: the first is there long before the last."""
    heard = await stream(magpie, LONG)
    assert len(heard.chunks) > 5
    assert heard.chunks[0].arrived_s < 0.5 * heard.chunks[-1].arrived_s


# -- fields ------------------------------------------------------------------------------------------------------------


@Modes
async def test_the_same_seed_says_the_same_and_another_something_else(magpie: Running, ask: Ask) -> None:
    one, again, other = [(await ask(magpie, SHORT, seed=seed)).pcm for seed in (5, 5, 6)]
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


async def test_others_beside_it_do_not_change_what_a_seed_says(magpie: Running) -> None:
    alone = (await stream(magpie, SHORT, seed=5)).pcm
    crowd = await asyncio.gather(*[stream(magpie, SHORT if n == 2 else TEXT, seed=n + 3) for n in range(4)])
    assert len(crowd[2].pcm) == len(alone)
    assert np.abs(crowd[2].pcm.astype(np.int32) - alone).max() <= 1, "the same codes, rounded to 16 bits"


@Modes
async def test_temperature_top_k_and_cfg_scale_reach_the_sampler(magpie: Running, ask: Ask) -> None:
    async def say(**fields: Any) -> bytes:
        return (await ask(magpie, SHORT, **fields)).pcm.tobytes()

    greedy = await say(temperature=0, seed=1)
    assert await say(temperature=0, seed=2) == greedy
    assert await say(top_k=1, seed=3) == greedy
    assert await say(seed=1) != greedy
    assert await say(temperature=0, cfg_scale=1) != greedy


async def test_voices_and_languages_are_told_apart(magpie: Running) -> None:
    said = [
        (await batch(magpie, SHORT, temperature=0, **fields)).pcm.tobytes()
        for fields in ({}, {"voice": "voice-2"}, {"language": "de"}, {"language": "es"})
    ]
    assert len(set(said)) == 4


@pytest.mark.parametrize(
    ("fields", "code", "choices"),
    [
        ({"language": "tlh"}, "unsupported_language", ["en", "de", "es"]),
        ({"language": "zh"}, "unsupported_language", ["en", "de", "es"]),
        ({"voice": "nobody"}, "unknown_voice", ["voice-1", "voice-2"]),
    ],
)
@pytest.mark.parametrize("path", ["/v1/audio/speech", "/v1/audio/speech/stream", "/v1/tts/stream"])
def test_what_the_checkpoint_does_not_have_is_refused(
    client: httpx.Client, path: str, fields: dict[str, str], code: str, choices: list[str]
) -> None:
    body = fields if path == "/v1/tts/stream" else {"input": TEXT, **fields}
    response = client.post(path, json=body)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == code
    assert all(choice in response.json()["detail"] for choice in choices)


@pytest.mark.parametrize(("field", "value"), [("temperature", -1), ("top_k", 0), ("cfg_scale", -2), ("seed", -1)])
def test_values_out_of_range_are_refused(client: httpx.Client, field: str, value: float) -> None:
    response = client.post("/v1/audio/speech/stream", json={"input": SHORT, field: value})
    assert response.status_code in (400, 422)
    assert field in response.text


@pytest.mark.parametrize("text", ["\u4f60\u597d\u3002", "...", "\U0001f600"])
def test_a_text_that_nothing_can_be_said_of_is_refused(client: httpx.Client, text: str) -> None:
    assert client.post("/v1/audio/speech/stream", json={"input": text}).status_code == 400


# -- WebSocket ---------------------------------------------------------------------------------------------------------


async def test_words_come_in_order_within_the_audio(magpie: Running) -> None:
    texts = ["Hello there, ", "my dear ", "old friend. ", "How are you?"]
    listener = await spoken(magpie, texts, word_timestamps=True)
    words, text = listener.words, "".join(texts)
    assert [word["text"] for word in words] == text.split()
    assert all(text[word["char_start"] : word["char_end"]] == word["text"] for word in words)
    times = [(word["start_ms"], word["end_ms"]) for word in words]
    assert times == sorted(times)
    assert all(0 <= start_ms <= end_ms for start_ms, end_ms in times)
    (done,) = listener.of("done")
    assert times[-1][1] <= done["total_audio_ms"] + 1
    assert done["total_audio_ms"] == pytest.approx(len(listener.samples) / 22.05, abs=1)


async def test_cancel_says_what_was_heard(magpie: Running) -> None:
    """And the socket, the slot and the next stream are as good as new."""
    async with listen(magpie) as listener:
        await listener.begin(send_rate=1)
        await listener.say([LONG], mode="stream")
        await listener.until_audio(4)
        await listener.send("cancel")
        cancelled = await listener.until("cancelled")
        assert LONG.startswith(cancelled["text_spoken"].strip())
        assert len(cancelled["text_spoken"]) < len(LONG)
        assert cancelled["audio_ms_sent"] > 0
        heard = len(listener.heard)
        await listener.speak([SHORT], fields={"mode": "stream"}, seed=5)
        again = b"".join(piece for piece in listener.heard[heard:] if isinstance(piece, bytes))
    assert again == (await websocket(magpie, SHORT, seed=5)).pcm.tobytes()


async def test_cancel_in_the_middle_of_a_text_says_a_part_of_it(magpie: Running) -> None:
    async with listen(magpie) as listener:
        await listener.begin(send_rate=0)
        await listener.say([LONG], mode="stream")
        while len(listener.audio) < 2 * 22050 * 4:
            await listener.next()
        await listener.send("cancel", played_ms=3500)
        cancelled = await listener.until("cancelled")
        assert cancelled["text_spoken"].strip()
        assert LONG.startswith(cancelled["text_spoken"].strip())
        assert len(cancelled["text_spoken"].strip()) < len(LONG)


async def test_two_sockets_speak_at_once(magpie: Running) -> None:
    """Side by side, not one behind the other: each has begun before the other ends. More sockets than slots wait."""

    async def speak(number: int) -> tuple[float, float]:
        listener = await spoken(magpie, [LONG], fields={"mode": "stream"}, seed=number)
        times = [at for at, piece in zip(listener.times_s, listener.heard, strict=True) if isinstance(piece, bytes)]
        assert len(listener.of("done")) == 1
        return times[0], times[-1]

    spans = await asyncio.gather(*[speak(number) for number in range(2)])
    assert max(first for first, _ in spans) < min(last for _, last in spans)
    crowd = await asyncio.gather(*[websocket(magpie, SHORT, seed=number) for number in range(6)])
    assert all(heard.duration_s > 0.1 for heard in crowd)


def test_nothing_failed_behind_the_scenes(magpie: Running) -> None:
    """The last test of this file looks through the log of all of them."""
    said = magpie.log.read_text()
    assert "Traceback" not in said
    assert not re.search(r"\b(ERROR|CRITICAL)\b", said)
