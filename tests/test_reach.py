"""What a request can make a server reach: no other host, no file, and no more memory than it was sent."""

import gzip
import json
import socket
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar.testing import TestClient

from app import llm
from app.settings import LlmSettings
from engines.llm.fake import FakeText
from tests.serving import SOCKET_PATH, Served

BOMB = json.dumps({"input": "a" * (64 * 2**20)}).encode()
"""64 MiB of text, 64 KiB when it is packed."""


@contextmanager
def nobody_calls() -> Iterator[str]:
    """The URL of a listener that has not been connected to when the block ends."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/latest/meta-data"
        listener.settimeout(0.2)
        with pytest.raises(TimeoutError):
            listener.accept()


def ask(server: Served, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(request)
        return connection.recv(65536)


def resident_bytes(pid: int) -> int:
    """Of the server and its worker."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    pages = [int(Path(f"/proc/{each}/statm").read_text().split()[1]) for each in (str(pid), *children)]
    return sum(pages) * 4096


# -- other hosts -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/v1/audio/speech", "/v1/audio/speech/stream", "/v1/tts/stream"])
@pytest.mark.parametrize("field", ["voice", "model", "language", "response_format", "callback_url"])
def test_no_field_of_a_request_is_fetched(server: Served, path: str, field: str) -> None:
    with nobody_calls() as url:
        body: dict[str, Any] = {"input": f"Read [this]({url}) and ![that]({url}).", field: url}
        response = httpx.post(f"{server.url}{path}", json=body, headers={"Referer": url, "X-Forwarded-Host": url})
        assert response.status_code < 500


def test_no_picture_of_a_chat_is_fetched() -> None:
    with TestClient(llm.create_app(LlmSettings(), load=FakeText)) as client, nobody_calls() as url:
        content = [{"type": "text", "text": "hello"}, {"type": "image_url", "image_url": {"url": url}}]
        answer = client.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": content}]})
        assert 400 <= answer.status_code < 500


# -- files -------------------------------------------------------------------------------------------------------------

OUTSIDE = [
    "/../../../../../../etc/passwd",
    "/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/..%2f..%2f..%2f..%2fetc%2fpasswd",
    "/..%5c..%5cetc%5cpasswd",
    "//etc/passwd",
    "/schema/../../../../etc/passwd",
    "/v1/tts/stream/..%2f..%2f..%2fetc%2fpasswd/audio",
    "/v1/audio/voices/../../../../etc/passwd",
    "/%c0%ae%c0%ae/%c0%ae%c0%ae/etc/passwd",
    "/etc/passwd%00.html",
    "file:///etc/passwd",
    "http://127.0.0.1:1/etc/passwd",
]


@pytest.mark.parametrize("path", OUTSIDE)
def test_no_path_leads_to_a_file(server: Served, path: str) -> None:
    """Sent as it stands: clients tidy such paths up."""
    answer = ask(server, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    assert b"root:" not in answer
    assert not answer or answer.split()[1][:1] == b"4", answer[:80]


# -- what is packed ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "gzip, gzip"])
def test_a_packed_body_is_not_unpacked(server: Served, encoding: str) -> None:
    packed = {"gzip": gzip.compress(BOMB), "deflate": zlib.compress(BOMB)}.get(
        encoding, gzip.compress(gzip.compress(BOMB))
    )
    before = resident_bytes(server.pid)
    for path in ("/v1/audio/speech", "/v1/audio/speech/stream", "/v1/tts/stream"):
        answer = httpx.post(
            f"{server.url}{path}",
            content=packed,
            headers={"Content-Encoding": encoding, "Content-Type": "application/json"},
        )
        assert answer.status_code in (400, 413, 415, 422)
    assert resident_bytes(server.pid) - before < len(BOMB) // 2


def test_a_socket_does_not_agree_to_packed_messages(server: Served) -> None:
    answer = ask(
        server,
        f"GET {SOCKET_PATH} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n".encode(),
    )
    assert answer.startswith(b"HTTP/1.1 101")
    assert b"sec-websocket-extensions" not in answer.lower()
