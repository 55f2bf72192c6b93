"""The page to play with: its files, by name from a table, and what the LLM server beside this one says of itself."""

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from litestar import Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from app.gate import OPEN

FOLDER: Final = Path(__file__).parent / "page"
MEDIA_TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
ANSWER_S: Final = 2.0
MAX_ANSWER_BYTES: Final = 64 * 1024

_HOST: Final = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")


class LlmState(msgspec.Struct, frozen=True):
    """Whether the LLM server would take a stream, and why it would not."""

    ready: bool
    detail: str = ""


def playground(llm_host: str, llm_port: int) -> list[ControllerRouterHandler]:
    """`/` and what it loads. All files are read here: a request's path is never one of the disk's."""
    files = {path.name: path.read_bytes() for path in FOLDER.iterdir() if path.suffix in MEDIA_TYPES}
    index = files.pop("index.html").replace(b"{{llm_port}}", str(llm_port).encode())

    @get("/", opt=OPEN, include_in_schema=False)
    async def page(request: Request[Any, Any, Any]) -> Response[bytes]:
        policy = {"Content-Security-Policy": policy_of(request.headers.get("host", ""), llm_port)}
        return Response(index, media_type=MEDIA_TYPES[".html"], headers=_HEADERS | policy)

    @get("/page/{name:str}", opt=OPEN, include_in_schema=False)
    async def file(name: FromPath[str]) -> Response[bytes]:
        if name not in files:
            raise NotFoundException(f"the page has no file {name!r}")
        return Response(files[name], media_type=MEDIA_TYPES[Path(name).suffix], headers=_HEADERS | _FOR_ALL)

    @get("/page/llm", include_in_schema=False)
    async def llm() -> Response[LlmState]:
        """Asked here, a browser has nothing to complain of while that server is still being installed."""
        return Response(await llm_state(llm_host, llm_port), headers=_HEADERS)

    return [page, file, llm]


def policy_of(host: str, llm_port: int) -> str:
    """What the page may load and talk to: this server, and the LLM server at the same name."""
    match = _HOST.fullmatch(host)
    places = ["'self'"]
    if match:
        places += [f"{scheme}://{host}" for scheme in ("ws", "wss")]
        places += [f"{scheme}://{match[1]}:{llm_port}" for scheme in ("http", "https", "ws", "wss")]
    sources = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": " ".join(places),
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in sources.items())


async def llm_state(host: str, port: int) -> LlmState:
    """What the LLM server answers to `/ready`, or what answers in its place."""
    try:
        async with asyncio.timeout(ANSWER_S):
            status, body = await _ask(host, port)
        return LlmState(status == 200, "" if status == 200 else _detail_of(body))
    except (OSError, TimeoutError, ValueError):
        return LlmState(False, f"no LLM server answers on port {port}: `just serve` starts both servers")


async def _ask(host: str, port: int) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(f"GET /ready HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        head, _, body = (await reader.read(MAX_ANSWER_BYTES)).partition(b"\r\n\r\n")
        return int(head.split(b" ", 2)[1]), body
    except IndexError:
        raise ValueError("that is not HTTP") from None
    finally:
        writer.close()


def _detail_of(body: bytes) -> str:
    answer: Mapping[str, Any] | Sequence[Any] | None = json.loads(body)
    return str(answer["detail"]) if isinstance(answer, dict) and "detail" in answer else "it is not ready"


_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_FOR_ALL: Final = {"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin"}
"""The files hold nothing but what is in the repository; any page may import the client from here."""
