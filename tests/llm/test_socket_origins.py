"""Which pages may talk to the server, over the socket and over HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from app.origins import Origins
from app.settings import LlmSettings
from engines.llm.fake import FakeText
from tests.llm.talking import Embedded, serve_here, talk

BESIDE = ["http://localhost:8001", "http://127.0.0.1:8001", "http://[::1]:8001"]
OTHERS = [
    "http://example.com",
    "http://example.com:8001",
    "https://localhost:8001",
    "http://localhost",
    "http://localhost.example.com:8001",
    "null",
    "",
    "file://",
    "http://[::1",
    "http://localhost:http",
]


@asynccontextmanager
async def serving(settings: LlmSettings | None = None) -> AsyncIterator[Embedded]:
    async with serve_here(FakeText, settings=settings) as here:
        yield here


async def is_let_in(here: Embedded, origin: str) -> bool:
    status = 101
    try:
        async with talk(here.served, additional_headers={"Origin": origin}) as talker:
            await talker.ping()
    except InvalidStatus as refused:
        status = refused.response.status_code
    assert status in (101, 403)
    return status == 101


async def test_pages_of_the_speech_server_and_of_this_one_are_let_in_and_others_are_not() -> None:
    async with serving() as here:
        for origin in (*BESIDE, here.served.url):
            assert await is_let_in(here, origin), origin
        for origin in OTHERS:
            assert not await is_let_in(here, origin), origin
        assert here.engine.num_sessions == 0


async def test_a_client_that_is_no_page_is_let_in() -> None:
    async with serving() as here, talk(here.served) as talker:
        await talker.ping()


async def test_pages_that_are_listed_are_let_in_as_well() -> None:
    settings = LlmSettings(origins=("https://example.com", "https://*.example.org"), speech_port=9001)
    async with serving(settings) as here:
        for origin in ("https://example.com", "https://a.example.org", "http://localhost:9001"):
            assert await is_let_in(here, origin), origin
        for origin in ("http://example.com", "https://example.org", "http://localhost:8001"):
            assert not await is_let_in(here, origin), origin


async def test_a_star_lets_every_page_in() -> None:
    async with serving(LlmSettings(origins=("*",))) as here:
        assert await is_let_in(here, "http://example.com")


@pytest.mark.parametrize(
    ("origin", "host", "is_so"),
    [
        ("http://10.0.0.1:8001", "10.0.0.1:8002", True),
        ("http://10.0.0.1:8002", "10.0.0.1:8002", True),
        ("https://Talk.example.com", "talk.example.com", True),
        ("http://10.0.0.1:8003", "10.0.0.1:8002", False),
        ("http://10.0.0.2:8001", "10.0.0.1:8002", False),
        ("null", "", False),
        ("", "", False),
        ("http://[::1", "[::1", False),
    ],
)
def test_the_page_of_the_same_host_is_let_in(origin: str, host: str, is_so: bool) -> None:
    assert Origins((), 8001).is_let_in(origin, host) is is_so


@pytest.mark.parametrize(
    ("origin", "host", "is_so"),
    [
        ("http://localhost:8001", "localhost:8002", True),
        ("http://127.0.0.1:9000", "127.0.0.1:9000", True),
        ("http://[::1]:9000", "[::1]:9000", True),
        ("https://listed.example.com", "listed.example.com", True),
        ("http://evil.example.com:9000", "evil.example.com:9000", False),
        ("http://evil.example.com:8001", "evil.example.com:8002", False),
    ],
)
def test_a_private_server_is_reached_by_a_name_of_this_machine(origin: str, host: str, is_so: bool) -> None:
    private = Origins(("https://listed.example.com",), 8001, is_private=True)
    assert private.is_let_in(origin, host) is is_so


# -- HTTP --------------------------------------------------------------------------------------------------------------


async def test_a_browser_is_told_which_pages_may_ask() -> None:
    async with serving() as here, httpx.AsyncClient(base_url=here.served.url) as client:
        for origin in BESIDE:
            answer = await client.get("/health", headers={"Origin": origin})
            assert answer.headers["Access-Control-Allow-Origin"] == origin
            asked = {"Origin": origin, "Access-Control-Request-Method": "POST",
                     "Access-Control-Request-Headers": "content-type,authorization"}  # fmt: skip
            preflight = await client.options("/v1/chat/completions", headers=asked)
            assert preflight.status_code == 204
            assert preflight.headers["Access-Control-Allow-Origin"] == origin
            assert {"content-type", "authorization"} <= set(
                preflight.headers["Access-Control-Allow-Headers"].lower().replace(" ", "").split(",")
            )
        for origin in OTHERS:
            answer = await client.get("/health", headers={"Origin": origin})
            assert "Access-Control-Allow-Origin" not in answer.headers, origin
