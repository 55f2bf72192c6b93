"""The playground as HTTP sees it: its files and nothing else, and headers that hold a browser to them."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.playground import FOLDER, llm_state, policy_of
from app.settings import TtsSettings
from app.stand_in import StandIn
from app.tts import create_app
from engines.fake import FakeModel
from modes.registry import installed
from tests.serving import Served, free_port, serve_here

FILES = sorted(path.name for path in FOLDER.iterdir() if path.name != "index.html")
MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


@pytest.fixture
def client(fake_server: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=fake_server.url) as made:
        yield made


def test_the_page_is_served_with_a_policy_that_holds_it_to_its_own_files(client: httpx.Client) -> None:
    response = client.get("/")
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    policy = dict(part.split(" ", 1) for part in response.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in response.headers["Content-Security-Policy"]
    assert 'data-llm-port="8002"' in response.text


@pytest.mark.parametrize("name", FILES)
def test_each_file_has_its_type_and_is_not_guessed_at(client: httpx.Client, name: str) -> None:
    response = client.get(f"/page/{name}")
    assert response.status_code == 200
    assert response.content == (FOLDER / name).read_bytes()
    assert response.headers["Content-Type"].partition(";")[0] == MEDIA_TYPES[Path(name).suffix]
    assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_loaded_from_elsewhere(name: str) -> None:
    """But the name space of SVG, which is not fetched, and addresses of this machine in comments."""
    text = (FOLDER / name).read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.findall(r"(?:https?:)?//[a-z]+\.[a-z./]+", text)
    imported = re.findall(r'(?:from|import) "(.+?)"', text)
    local = [path for path in imported if "${" not in path]
    assert all(path.startswith("/page/") and path.removeprefix("/page/") in FILES for path in local)


@pytest.mark.parametrize(
    "path",
    [
        "/page/../tts.py", "/page/..%2ftts.py", "/page/%2e%2e/tts.py", "/page/..%5ctts.py", "/page//etc/passwd",
        "/page/%2fetc%2fpasswd", "/page/index.html", "/page/main.js%00.css", "/page/", "/page/main.js/..", "/page/.",
        "/page/....//tts.py", "/page/playground.py", "/page/%252e%252e%252ftts.py",
    ],
)  # fmt: skip
async def test_no_path_leads_out_of_the_page(fake_server: Served, path: str) -> None:
    """Sent as they stand: a client that tidies paths would tidy the danger away."""
    reader, writer = await asyncio.open_connection("127.0.0.1", fake_server.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = (await reader.read()).decode()
    writer.close()
    assert answer.split(" ", 2)[1] in ("400", "404"), answer
    assert "import" not in answer
    assert "root:" not in answer


@pytest.mark.parametrize(
    "host", ["evil.example; script-src *", "a b", "x'y", "", "[::1", "host:123456", "a\tb", "*", "host/path"]
)
def test_a_host_that_is_none_adds_nothing_to_the_policy(host: str) -> None:
    assert "connect-src 'self';" in policy_of(host, 8002)


@pytest.mark.parametrize("host", ["localhost:8001", "127.0.0.1:8001", "[::1]:8001", "speech.example"])
def test_the_page_may_talk_to_both_servers_at_its_own_name(host: str) -> None:
    name = re.sub(r":\d+$", "", host)
    (sources,) = re.findall(r"connect-src (.*?);", policy_of(host, 9002))
    assert {"'self'", f"ws://{host}", f"ws://{name}:9002"} <= {*sources.split()}


async def test_without_the_page_its_paths_are_free() -> None:
    async with serve_here(settings=TtsSettings(page=False)) as here, httpx.AsyncClient() as client:
        for path in ("/", "/page/main.js", "/page/llm"):
            assert (await client.get(here.served.url + path)).status_code == 404


def test_the_page_is_no_part_of_the_described_interface() -> None:
    app = create_app(TtsSettings(model="fake"), load=FakeModel, mode_points=installed())
    assert not [path for path in app.openapi_schema.paths or {} if path == "/" or path.startswith("/page")]


# -- the LLM server beside it ------------------------------------------------------------------------------------------


async def state_of(answer: bytes) -> Any:
    """What is made of a server that answers everything with this."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        return await llm_state("127.0.0.1", server.sockets[0].getsockname()[1])


async def test_an_llm_server_that_would_take_a_stream_is_ready() -> None:
    assert (await state_of(b'HTTP/1.1 200 OK\r\n\r\n{"ready":true}')).ready


async def test_one_that_is_still_being_installed_says_how_far_it_is() -> None:
    port = free_port()
    stand_in = StandIn("127.0.0.1", port)
    stand_in.wait("installing", "compiling llama.cpp: 41 of 120")
    await stand_in.open()
    try:
        state = await llm_state("127.0.0.1", port)
    finally:
        await stand_in.close()
    assert not state.ready
    assert state.detail == "compiling llama.cpp: 41 of 120"


@pytest.mark.parametrize("answer", [b"", b"nonsense", b"HTTP/1.1 503 X\r\n\r\n{", b"HTTP/1.1 x\r\n\r\n", b"\xff" * 99])
async def test_something_else_on_that_port_is_no_llm_server(answer: bytes) -> None:
    state = await state_of(answer)
    assert not state.ready
    assert state.detail


async def test_nobody_on_that_port_is_no_llm_server_either() -> None:
    settings = TtsSettings(page_llm_port=free_port())
    async with serve_here(settings=settings) as here, httpx.AsyncClient() as client:
        state = (await client.get(f"{here.served.url}/page/llm")).json()
    assert not state["ready"]
    assert str(settings.page_llm_port) in state["detail"]
