"""One line in the log for each request: what it came to, for a person or for a machine."""

import asyncio
import json
import logging
import pty
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from app.logs import JsonFormatter, is_json, relayed
from engines.fake import Gate
from engines.requests import ORIGIN, Origin
from tests.launching import Launch
from tests.running import running
from tests.serving import Served, serve_process

pytestmark = pytest.mark.slow

TEXT = "Nobody should find these words. There are two sentences."


class Kept(logging.Handler):
    """Remembers the accounts that are logged."""

    def __init__(self) -> None:
        super().__init__()
        self.accounts: list[dict[str, Any]] = []
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.accounts.append(record.__dict__["account"])
        self.lines.append(record.getMessage())


@contextmanager
def kept() -> Iterator[Kept]:
    logger, handler = logging.getLogger("tiding.request"), Kept()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield handler
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)


# -- a session's account ---------------------------------------------------------------------------------------------


async def test_a_session_that_was_heard_says_once_what_it_came_to() -> None:
    with kept() as log:
        async with running() as (engine, _):
            token = ORIGIN.set(Origin("r-1", "stream"))
            async with engine.open_session(voice="alloy", is_paced=False) as session:
                ORIGIN.reset(token)
                session.push(TEXT)
                session.finish()
                num_samples = sum([len(frame.pcm) async for frame in session])
            voice, rate_hz = session.voice.name, engine.format.sample_rate_hz
    (account,) = log.accounts
    assert account["audio_ms"] == pytest.approx(num_samples * 1000 / rate_hz, abs=0.1)
    assert account["first_audio_ms"] >= 0
    assert account["rtf"] > 0
    del account["audio_ms"], account["first_audio_ms"], account["rtf"]
    assert account == {
        "request_id": "r-1", "mode": "stream", "voice": voice, "language": "en", "characters": len(TEXT),
        "segments": 2, "outcome": "done",
    }  # fmt: skip
    assert all(part in log.lines[0] for part in ("done", "stream", "r-1", voice, "2 segments"))


async def test_times_are_from_the_first_text() -> None:
    now_s = [100.0]
    with kept() as log:
        async with running(clock=lambda: now_s[0]) as (engine, _), engine.open_session(is_paced=False) as session:
            now_s[0] += 5  # before there is any text
            session.push("Hello.")
            session.finish()
            now_s[0] += 0.25
            frames = [frame async for frame in session]
    assert len(frames) > 1
    assert log.accounts[0]["first_audio_ms"] == 250.0


@pytest.mark.parametrize("is_begun", [True, False])
async def test_a_session_that_was_given_up_says_so(is_begun: bool) -> None:
    gate = Gate()
    with kept() as log:
        async with running(gate=gate) as (engine, _):
            session = engine.open_session()
            session.push(TEXT)
            if is_begun:
                gate.allow(3)
                await anext(session)
            session.cancel()
            session.cancel()
            gate.allow(10_000)
    (account,) = log.accounts
    assert (account["outcome"], account["rtf"] is not None) == ("cancelled", is_begun)


async def test_a_session_whose_voice_failed_says_so() -> None:
    with kept() as log:
        async with running(poison="words") as (engine, _), engine.open_session(is_paced=False) as session:
            session.push(TEXT)
            session.finish()
            with pytest.raises(Exception, match="voice failed"):
                _ = [frame async for frame in session]
    assert [account["outcome"] for account in log.accounts] == ["failed"]


async def test_a_session_without_any_text_says_nothing() -> None:
    with kept() as log:
        async with running() as (engine, _), engine.open_session():
            await asyncio.sleep(0)
    assert log.accounts == []


# -- lines -------------------------------------------------------------------------------------------------------------


def lines_of(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_what_is_not_written_to_a_terminal_is_an_object_a_line_with_what_each_request_came_to(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with serve_process(log=log, model="fake") as served:
        asyncio.run(speak_in_every_mode(served))
    lines = lines_of(log)
    assert all(set(line) >= {"time", "level", "logger", "message"} for line in lines)
    accounts = [line for line in lines if line["logger"] == "tiding.request"]
    found = {(line["request_id"], line["mode"], line["outcome"]) for line in accounts}
    assert found == {
        ("r-batch", "batch", "done"), ("r-stream", "stream", "done"), ("r-open", "adaptive", "done"),
        ("r-socket", "websocket", "done"), ("r-wrong", "batch", "refused"), ("r-blank", "stream", "refused"),
        ("r-lost", "", "refused"), ("r-mute", "websocket", "refused"), ("r-shut", "", "refused"),
    }  # fmt: skip
    assert len(accounts) == len(found)
    assert "words" not in log.read_text(), "what is spoken is nobody's business"
    refused = {line["request_id"]: (line.get("status"), line["code"]) for line in accounts if "code" in line}
    assert refused == {
        "r-wrong": (400, "unknown_voice"), "r-blank": (400, "unspeakable_text"), "r-lost": (404, "not_found"),
        "r-mute": (None, "unknown_voice"), "r-shut": (403, "handshake_refused"),
    }  # fmt: skip


async def speak_in_every_mode(served: Served) -> None:
    async with httpx.AsyncClient(base_url=served.url, timeout=30) as client:

        async def post(path: str, name: str, **fields: Any) -> httpx.Response:
            return await client.post(path, json=fields, headers={"X-Request-Id": name})

        await post("/v1/audio/speech", "r-batch", input=TEXT)
        await post("/v1/audio/speech/stream", "r-stream", input=TEXT)
        for path, name, fields in (
            ("/v1/audio/speech", "r-wrong", {"input": TEXT, "voice": "nobody"}),
            ("/v1/audio/speech/stream", "r-blank", {"input": "!"}),
            ("/nowhere", "r-lost", {}),
        ):
            assert (await post(path, name, **fields)).headers["X-Request-Id"] == name
        path = f"/v1/tts/stream/{(await post('/v1/tts/stream', 'r-open')).json()['stream_id']}"
        await post(f"{path}/append", "r-append", text=TEXT)
        await post(f"{path}/close", "r-close")
        await client.get(f"{path}/audio")
    async with connect(served.socket_url, additional_headers={"X-Request-Id": "r-socket"}) as socket:
        await socket.send(json.dumps({"type": "text", "text": TEXT}))
        await socket.send(json.dumps({"type": "close"}))
        assert json.loads(await socket.recv())["request_id"] == "r-socket"
        while isinstance(message := await socket.recv(), bytes) or json.loads(message)["type"] != "done":
            pass
    async with connect(served.socket_url, additional_headers={"X-Request-Id": "r-mute"}) as socket:
        await socket.send(json.dumps({"type": "init", "voice": "nobody"}))
        assert json.loads(await socket.recv())["code"] == "unknown_voice"
    with pytest.raises(InvalidStatus):
        await connect(f"{served.socket_url}/nowhere", additional_headers={"X-Request-Id": "r-shut"})


def test_a_request_id_cannot_write_to_a_terminal(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with serve_process(log=log, model="fake", log_format="text") as served:
        headers = {b"X-Request-Id": b"a\x9b31mred"}
        response = httpx.post(f"{served.url}/v1/audio/speech", json={"input": "Hi."}, headers=headers)
        assert response.status_code == 200
    assert "[a31mred]" in log.read_text()


def test_on_a_terminal_lines_are_for_people() -> None:
    _, terminal = pty.openpty()
    with open(terminal, "w") as console:
        assert not is_json("auto", console)
        assert is_json("json", console)
    with open("/dev/null", "w") as console:
        assert is_json("auto", console)
        assert not is_json("text", console)


def test_an_error_brings_its_traceback_in_the_same_line() -> None:
    try:
        raise OSError("no such voice")
    except OSError:
        record = logging.LogRecord("tiding.app", logging.ERROR, "", 0, "it %s", ("broke",), sys.exc_info())
    line = json.loads(JsonFormatter().format(record))
    assert (line["level"], line["message"]) == ("error", "it broke")
    assert "OSError: no such voice" in line["traceback"]
    assert line["time"].endswith("+00:00")


def test_lines_of_several_servers_say_whose_they_are() -> None:
    own = '{"time": "t", "level": "info", "message": "hello"}'
    assert json.loads(relayed("llm", own, as_json=True)) == {"server": "llm"} | json.loads(own)
    foreign = json.loads(relayed("llm", "a compiler's line\n", as_json=True))
    assert (foreign["server"], foreign["message"]) == ("llm", "a compiler's line")
    assert relayed("llm", own, as_json=False) == f"llm    | {own}"


@pytest.mark.slow
def test_both_servers_together_write_objects_alone(launch: Launch) -> None:
    launched = launch(("all",), TIDING_LOG_FORMAT="json")
    launched.until_said("is ready")
    launched.process.terminate()
    assert launched.wait() == 0
    lines = [json.loads(line) for line in launched.text.splitlines()]
    assert {"speech"} <= {line["server"] for line in lines} <= {"speech", "llm", "tiding"}
