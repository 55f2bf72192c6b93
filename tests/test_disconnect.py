"""A client that goes away, over real sockets: its slot is free within one step, whatever the server was doing.

The model stands before a closed gate, so nothing is made but what a test allows. When the server has learned of the
event its session is gone; then one step is let through, and nothing of it may be left.
"""

import asyncio
import json
import math
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

from modes.registry import installed
from tests.distributions import install
from tests.holding import Held, held
from tests.running import num_steps, until

TEXT = "This is a sentence that goes on for quite a while. " * 4


def say(client: ClientConnection, **message: object) -> Awaitable[None]:
    return client.send(json.dumps(message))


async def heard(client: ClientConnection, kind: str) -> dict[str, Any]:
    """The next message of this type; audio and others before it are passed over."""
    async for message in client:
        if isinstance(message, str) and json.loads(message)["type"] == kind:
            return json.loads(message)
    raise AssertionError(f"the socket was closed before {kind}")


# -- WebSocket ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_steps_before", [0, 12])
@pytest.mark.parametrize("mode", ["stream", "batch"])
async def test_a_websocket_that_disconnects_frees_its_slot(mode: str, num_steps_before: int) -> None:
    async with held() as here:
        async with connect(here.served.socket_url, close_timeout=1) as client:
            await say(client, type="text", text=TEXT, mode=mode)
            await here.until_speaking(num_steps_before)
        await here.assert_freed_within_one_step()


async def test_a_websocket_that_breaks_off_without_a_close_frees_its_slot() -> None:
    async with held() as here:
        client = await connect(here.served.socket_url)
        await say(client, type="text", text=TEXT, mode="stream")
        await here.until_speaking(6)
        client.transport.abort()
        await here.assert_freed_within_one_step()


async def test_a_cancel_frees_its_slot_and_the_socket_lives_on() -> None:
    async with held() as here, connect(here.served.socket_url) as client:
        await say(client, type="text", text=TEXT, mode="stream")
        await here.until_speaking(12)
        await say(client, type="cancel")
        assert (await heard(client, "cancelled"))["stream_id"]
        await here.assert_freed_within_one_step()
        await say(client, type="ping")
        await heard(client, "pong")
        here.gate.allow(math.inf)
        await say(client, type="text", text="Again.", mode="stream")
        await say(client, type="close")
        assert (await heard(client, "done"))["segments_generated"] == 1


async def test_a_new_init_frees_the_slot_of_the_stream_before() -> None:
    async with held() as here, connect(here.served.socket_url) as client:
        await say(client, type="text", text=TEXT, mode="stream")
        await here.until_speaking(6)
        await say(client, type="init")
        await heard(client, "stream_created")
        await heard(client, "stream_created")
        assert here.engine.num_sessions == 1, "that of the new stream"
        before = num_steps(here.model)
        here.gate.allow(1)
        await until(lambda: here.engine.num_busy_slots == here.model.num_held_rows == 0, "the slot is free")
        assert num_steps(here.model) == before + 1


async def test_a_socket_that_is_closed_while_its_audio_is_paced_is_closed_at_once() -> None:
    """The handler must end too: else the client waits for the answer to its close, and a task stays for good."""
    async with held() as here:
        client = await connect(here.served.socket_url, close_timeout=2)
        await say(client, type="init", send_rate=0.5, default_mode="stream")
        await say(client, type="text", text=TEXT, mode="stream")
        await here.until_speaking(20)
        for _ in range(5):
            await client.recv()
        await client.close()
        assert client.close_code == 1000, "1006: the server did not answer the close within two seconds"


# -- HTTP --------------------------------------------------------------------------------------------------------------


async def post_and_leave(here: Held, path: str, body: dict[str, Any], *, num_more_steps: int, is_read: bool) -> None:
    """A request whose client leaves: before anything has come, or when the first bytes were read."""
    async with httpx.AsyncClient(base_url=here.served.url, timeout=20) as client:
        request = asyncio.ensure_future(first_bytes(client, path, body))
        await here.until_speaking(num_more_steps)
        if is_read:
            await until(request.done, "the first bytes have come")
            assert request.result()
        request.cancel()
    await asyncio.gather(request, return_exceptions=True)


async def first_bytes(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> bytes:
    request = client.build_request("POST", path, json=body)
    response = await client.send(request, stream=True)
    return await anext(response.aiter_raw())


async def test_an_abandoned_stream_frees_its_slot() -> None:
    async with held() as here:
        path, body = "/v1/audio/speech/stream", {"input": TEXT, "first_chunk_frames": 1, "chunk_size_frames": 1}
        await post_and_leave(here, path, body, num_more_steps=8, is_read=True)
        await here.assert_freed_within_one_step()


async def test_a_stream_abandoned_before_its_first_byte_frees_its_slot() -> None:
    async with held() as here:
        body = {"input": TEXT}
        await post_and_leave(here, "/v1/audio/speech/stream", body, num_more_steps=0, is_read=False)
        await here.assert_freed_within_one_step()


@pytest.mark.parametrize("num_more_steps", [0, 12])
async def test_an_abandoned_batch_frees_its_slot(num_more_steps: int) -> None:
    async with held() as here:
        await post_and_leave(here, "/v1/audio/speech", {"input": TEXT}, num_more_steps=num_more_steps, is_read=False)
        await here.assert_freed_within_one_step()


async def open_adaptive(client: httpx.AsyncClient) -> str:
    """The path of a stream that is speaking."""
    stream_id = (await client.post("/v1/tts/stream", json={})).json()["stream_id"]
    path = f"/v1/tts/stream/{stream_id}"
    assert (await client.post(f"{path}/append", json={"text": TEXT})).status_code == 202
    return path


async def test_a_deleted_stream_frees_its_slot_and_ends_its_audio() -> None:
    async with held() as here, httpx.AsyncClient(base_url=here.served.url, timeout=20) as client:
        path = await open_adaptive(client)
        listening = asyncio.ensure_future(client.get(f"{path}/audio"))
        await here.until_speaking(12)
        assert (await client.delete(path)).json() == {"status": "cancelled"}
        await here.assert_freed_within_one_step()
        assert (await listening).status_code == 200


async def test_a_stream_deleted_while_nobody_listens_frees_its_slot() -> None:
    async with held() as here, httpx.AsyncClient(base_url=here.served.url, timeout=20) as client:
        path = await open_adaptive(client)
        await here.until_speaking(3)
        await client.delete(path)
        await here.assert_freed_within_one_step()


@pytest.mark.parametrize("num_more_steps", [0, 12])
async def test_an_adaptive_stream_whose_listener_leaves_frees_its_slot(num_more_steps: int) -> None:
    async with held() as here, httpx.AsyncClient(base_url=here.served.url, timeout=20) as client:
        path = await open_adaptive(client)
        async with httpx.AsyncClient(base_url=here.served.url, timeout=20) as other:
            await other.send(other.build_request("GET", f"{path}/audio"), stream=True)
            await here.until_speaking(num_more_steps)
        await here.assert_freed_within_one_step()


SAY = """
    from litestar import get
    from litestar.params import FromPath
    from litestar.response import Response

    def mode(engine):
        @get("/say/{text:str}", media_type="audio/pcm")
        async def say(text: FromPath[str]) -> Response:
            async with engine.open_session() as session:
                session.push(text)
                session.finish()
                return Response(b"".join([frame.pcm.tobytes() async for frame in session]))
        return [say]
"""


async def test_an_abandoned_request_of_a_third_partys_mode_frees_its_slot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(install(tmp_path, "tiding-say-for-disconnect", SAY, mode_name="say"))
    async with held(installed()) as here:
        async with httpx.AsyncClient(base_url=here.served.url, timeout=20) as client:
            request = asyncio.ensure_future(client.get(f"/say/{TEXT}"))
            await here.until_speaking(3)
            request.cancel()
        await here.assert_freed_within_one_step()
