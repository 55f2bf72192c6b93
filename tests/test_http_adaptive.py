"""The adaptive stream of the protocol: text appended over HTTP, audio out of one response."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from tests.contract import Contract
from tests.serving import Served

OPEN = "/v1/tts/stream"
SHORT = "Good morning."
SENTENCES = ["The first one is here. ", "Then comes another one. ", "And this is the last."]


@asynccontextmanager
async def talk_to(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=served.url, timeout=30, verify=False) as client:
        contract = Contract((await client.get("/schema/openapi.json")).json())
        client.event_hooks = {"response": [contract.check_async]}
        yield client


async def open_stream(client: httpx.AsyncClient, **fields: object) -> str:
    """A new stream's path."""
    response = await client.post(OPEN, json=fields)
    assert response.status_code == 200, response.text
    assert str(uuid.UUID(response.json()["stream_id"])) == response.json()["stream_id"]
    path = f"{OPEN}/{response.json()['stream_id']}"
    assert response.json()["audio_url"] == f"{path}/audio"
    return path


async def append(client: httpx.AsyncClient, path: str, *texts: str) -> None:
    for text in texts:
        response = await client.post(f"{path}/append", json={"text": text})
        assert (response.status_code, response.json()) == (202, {"status": "accepted"})


async def close(client: httpx.AsyncClient, path: str) -> None:
    response = await client.post(f"{path}/close")
    assert (response.status_code, response.json()) == (200, {"status": "closed"})


async def spoken(client: httpx.AsyncClient, *texts: str, **fields: object) -> bytes:
    path = await open_stream(client, **fields)
    await append(client, path, *texts)
    await close(client, path)
    return (await client.get(f"{path}/audio")).content


async def test_text_before_the_reader_is_spoken_to_it(server: Served) -> None:
    async with talk_to(server) as client:
        path = await open_stream(client)
        await append(client, path, *SENTENCES)
        await close(client, path)
        response = await client.get(f"{path}/audio")
        headers = response.headers
        assert response.status_code == 200
        assert headers["Content-Type"].startswith("audio/pcm")
        assert headers["Transfer-Encoding"] == "chunked"
        assert (headers["X-Sample-Rate"], headers["X-Channels"], headers["X-Encoding"]) == ("22050", "1", "pcm_s16le")
        assert len(response.content) > 22050 * 2


async def test_a_reader_before_the_text_hears_it_as_it_comes(server: Served) -> None:
    async with talk_to(server) as client:
        path = await open_stream(client)
        async with client.stream("GET", f"{path}/audio") as response:
            assert response.status_code == 200
            pieces = response.aiter_raw()
            await append(client, path, SENTENCES[0], SENTENCES[1])
            heard = await anext(pieces)  # while the stream is still open
            await append(client, path, SENTENCES[2])
            await close(client, path)
            heard += b"".join([piece async for piece in pieces])
        assert heard
        assert len(heard) % 2 == 0


async def test_one_clause_is_the_same_audio_on_every_path(server: Served) -> None:
    async with talk_to(server) as client:
        adaptive = await spoken(client, SHORT, seed=3)
        asked = {"input": SHORT, "response_format": "pcm", "sample_rate": 22050, "seed": 3}
        assert adaptive == (await client.post("/v1/audio/speech", json=asked)).content
        assert adaptive == (await client.post("/v1/audio/speech/stream", json=asked)).content


async def test_tokens_are_joined_as_they_come(server: Served) -> None:
    async with talk_to(server) as client:
        assert await spoken(client, *"Good mor|ning", ".") == await spoken(client, "Good mor|ning.")
        assert await spoken(client, "Good", " ", "morning", ".") == await spoken(client, SHORT)
        assert await spoken(client, "", SHORT, "", " ") == await spoken(client, SHORT)


async def test_an_empty_body_and_any_field_open_a_stream(server: Served) -> None:
    async with talk_to(server) as client:
        assert (await client.post(OPEN)).status_code == 200
        assert (await client.post(OPEN, json={})).status_code == 200
        wanted = {"voice": {"id": "NOVA"}, "language": "en-GB", "sample_rate": 8000, "encoding": "mulaw", "other": 1}
        path = await open_stream(client, **wanted)
        await close(client, path)
        headers = (await client.get(f"{path}/audio")).headers
        assert (headers["X-Sample-Rate"], headers["X-Encoding"]) == ("8000", "mulaw")


async def test_a_wav_stream_states_that_its_length_is_unknown(server: Served) -> None:
    async with talk_to(server) as client:
        path = await open_stream(client, response_format="wav")
        await append(client, path, SHORT)
        await close(client, path)
        response = await client.get(f"{path}/audio")
        assert response.headers["Content-Type"] in ("audio/wav", "audio/x-wav")
        assert response.content[4:8] == response.content[40:44] == b"\xff\xff\xff\xff"
        assert response.content[44:] == await spoken(client, SHORT)


async def test_a_stream_without_text_ends_without_audio(server: Served) -> None:
    async with talk_to(server) as client:
        assert await spoken(client) == b""


async def test_close_may_come_twice_and_after_the_end(server: Served) -> None:
    async with talk_to(server) as client:
        path = await open_stream(client)
        await append(client, path, SHORT)
        await close(client, path)
        await close(client, path)
        await client.get(f"{path}/audio")
        await close(client, path)


async def test_append_after_close_is_409(server: Served) -> None:
    async with talk_to(server) as client:
        path = await open_stream(client)
        await append(client, path, SHORT)
        await close(client, path)
        for _ in ("while it is spoken", "after its end"):
            assert (await client.post(f"{path}/append", json={"text": SHORT})).status_code == 409
            await client.get(f"{path}/audio")


async def test_a_second_reader_gets_409_and_the_first_hears_all(server: Served) -> None:
    async with talk_to(server) as client:
        path = await open_stream(client)
        async with client.stream("GET", f"{path}/audio") as response:
            assert (await client.get(f"{path}/audio")).status_code == 409
            await append(client, path, SHORT)
            await close(client, path)
            heard = b"".join([piece async for piece in response.aiter_raw()])
        assert (await client.get(f"{path}/audio")).status_code == 409
        assert heard == await spoken(client, SHORT)


async def test_delete_ends_the_stream_and_its_reader(server: Served) -> None:
    async with talk_to(server) as client:
        path = await open_stream(client)
        async with client.stream("GET", f"{path}/audio") as response:
            await append(client, path, SENTENCES[0])
            pieces = response.aiter_raw()
            await anext(pieces)
            deleted = await client.delete(path)
            assert (deleted.status_code, deleted.json()) == (200, {"status": "cancelled"})
            async for _ in pieces:  # the response ends as it should, and soon
                pass
        assert (await client.post(f"{path}/append", json={"text": SHORT})).status_code == 409
        assert (await client.get(f"{path}/audio")).status_code == 409


async def test_delete_works_before_any_reader_and_after_the_end(server: Served) -> None:
    async with talk_to(server) as client:
        unheard = await open_stream(client)
        assert (await client.delete(unheard)).json() == {"status": "cancelled"}
        heard = await open_stream(client)
        await close(client, heard)
        await client.get(f"{heard}/audio")
        assert (await client.delete(heard)).status_code == 200


async def test_text_that_is_too_long_is_413_and_the_stream_lives(server: Served) -> None:
    async with talk_to(server) as client:
        path = await open_stream(client)
        assert (await client.post(f"{path}/append", json={"text": "word " * 10_000})).status_code == 413
        await append(client, path, SHORT)
        await close(client, path)
        assert (await client.get(f"{path}/audio")).content == await spoken(client, SHORT)


@pytest.mark.parametrize("num_streams", [4])
async def test_streams_side_by_side_do_not_mix(server: Served, num_streams: int) -> None:
    texts = [f"This is number {number}." for number in range(num_streams)]
    async with talk_to(server) as client:
        alone = [await spoken(client, text) for text in texts]
        assert await asyncio.gather(*(spoken(client, text) for text in texts)) == alone
        assert len(set(alone)) == num_streams
