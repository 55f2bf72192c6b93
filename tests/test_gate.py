"""The gate: keys, origins, shares and room, over real sockets, before a body is read or a socket is accepted."""

import asyncio
import json
import logging
import math
import resource
import socket
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from app.access import OTHER_FILES, rules_of
from app.client_names import ClientNames, networks
from app.keys import ApiKeys, KeysError, read_keys
from app.settings import LlmSettings, SettingsError, TtsSettings
from engines.fake import FakeModel, Gate
from engines.llm.fake import FakeText
from tests.llm.talking import serve_here as serve_text_here
from tests.running import until
from tests.serving import Served, serve_here, serve_process

KEY = "correct-horse-battery-staple"
OTHER = "another-key-of-some-length"
KEYED = TtsSettings(api_keys=(KEY, OTHER), model="fake")
SPEECH = {"input": "Hello there.", "response_format": "pcm"}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def refused(url: str, **options: object) -> InvalidStatus:
    with pytest.raises(InvalidStatus) as caught:
        async with connect(url, **options):  # type: ignore[arg-type]
            pass
    return caught.value


# -- keys --------------------------------------------------------------------------------------------------------------


async def test_without_a_right_key_nothing_but_probes_is_answered() -> None:
    async with serve_here(settings=KEYED) as here, httpx.AsyncClient(base_url=here.served.url) as client:
        for headers in (
            {},
            bearer("wrong"),
            {"Authorization": "Bearer"},
            {"Authorization": f"Basic {KEY}"},
            bearer(KEY[:-1]),
        ):
            answer = await client.post("/v1/audio/speech", json=SPEECH, headers=headers)
            assert answer.status_code == 401, headers
            assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="tiding"')
            assert answer.json()["error"]["code"] == "invalid_api_key"
            assert answer.json()["detail"] == answer.json()["error"]["message"]
            assert answer.headers["X-Request-Id"]
        for path in (
            "/v1/models",
            "/v1/audio/config",
            "/schema/openapi.json",
            "/nowhere",
            "/%2Fhealth",
            "/health/",
            "/page/a/b",
            "/page/%2e%2e/v1/models",
        ):
            assert (await client.get(path)).status_code == 401, path
        for path in ("/health", "/ready"):
            assert (await client.get(path)).status_code == 200, path
        for key in (KEY, OTHER):
            answer = await client.post("/v1/audio/speech", json=SPEECH, headers=bearer(key))
            assert answer.status_code == 200
        assert here.engine.num_sessions == 0


async def test_a_socket_brings_its_key_in_a_header_a_parameter_or_a_subprotocol() -> None:
    async with serve_here(settings=KEYED) as here:
        url = here.served.socket_url
        async with connect(url, additional_headers=bearer(KEY)) as talker:
            await talker.send('{"type": "ping"}')
            assert json.loads(await talker.recv()) == {"type": "pong"}
        async with connect(f"{url}?x=1&api_key={KEY}"):
            pass
        offered = [Subprotocol("tiding"), Subprotocol(f"tiding.bearer.{KEY}")]
        async with connect(url, subprotocols=offered) as talker:
            assert talker.subprotocol == "tiding"
        for wrong in (url, f"{url}?api_key=wrong", f"{url}?api_key="):
            error = await refused(wrong)
            assert error.response.status_code == 401
            assert error.response.headers["WWW-Authenticate"]
            assert json.loads(error.response.body)["error"]["code"] == "invalid_api_key"


async def test_the_llm_server_has_the_same_gate() -> None:
    settings = LlmSettings(api_keys=(KEY,))
    async with serve_text_here(FakeText, settings=settings) as here:
        async with httpx.AsyncClient(base_url=here.served.url) as client:
            asked = {"messages": [{"role": "user", "content": "Hello."}], "max_tokens": 2}
            assert (await client.post("/v1/chat/completions", json=asked)).status_code == 401
            assert (await client.post("/v1/chat/completions", json=asked, headers=bearer(KEY))).status_code == 200
            assert (await client.get("/ready")).status_code == 200
        url = here.served.url.replace("http", "ws") + "/ws"
        assert (await refused(url)).response.status_code == 401
        async with connect(f"{url}?api_key={KEY}"):
            pass


@pytest.mark.slow
def test_a_key_is_in_no_log_and_a_body_never_is(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with serve_process(log=log, model="fake", api_keys=KEY, log_level="debug") as served:
        asyncio.run(_ask_with_keys(served))
    written = log.read_text()
    assert "401 invalid_api_key" in written
    assert "done: batch" in written
    for secret in (KEY, "wr0ng-key", "Hello there"):
        assert secret not in written


async def _ask_with_keys(served: Served) -> None:
    async with httpx.AsyncClient(base_url=served.url) as client:
        assert (await client.post("/v1/audio/speech", json=SPEECH, headers=bearer(KEY))).status_code == 200
        assert (await client.post("/v1/audio/speech", json=SPEECH, headers=bearer("wr0ng-key"))).status_code == 401
    async with connect(f"{served.socket_url}?api_key={KEY}"):
        pass
    await refused(f"{served.socket_url}?api_key=wr0ng-key")


@pytest.mark.slow
def test_text_is_logged_where_it_is_asked_for(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with serve_process(log=log, model="fake", log_text="true") as served:
        httpx.post(f"{served.url}/v1/audio/speech", json=SPEECH)
    assert "Hello there." in log.read_text()


@pytest.mark.slow
def test_what_a_client_sends_begins_no_line_of_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    forged = 'x\n{"time": "forged"}\r\x1b[31m'
    with serve_process(log=log, model="fake", log_format="text") as served:
        for body in ({"input": "Hi", "voice": forged}, {"input": "Hi", "language": forged}, {"input": forged * 3000}):
            assert httpx.post(f"{served.url}/v1/audio/speech", json=body).status_code in (400, 413)
        assert httpx.get(f"{served.url}/v1/tts/stream/%0aforged/audio").status_code == 404
    written = log.read_text()
    assert "\x1b" not in written
    assert not [line for line in written.splitlines() if line.startswith(('{"time": "forged"', "forged"))]


def test_keys_are_listed_or_in_files(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# of the bots\n{KEY}\n\n{OTHER} # the other\n")
    assert read_keys(["a", f"@{file}"]) == ("a", KEY, OTHER)
    assert read_keys([str(file)]) == (KEY, OTHER)
    file.write_text("# none\n")
    with pytest.raises(KeysError, match="item 1 names a file without a key"):
        read_keys([str(file)])
    with pytest.raises(KeysError, match="item 2 names a file that cannot be read: FileNotFoundError") as caught:
        read_keys(["a", "/s3cret"])
    assert "s3cret" not in str(caught.value)
    with pytest.raises(SettingsError, match="TIDING_API_KEYS: item 1"):
        rules_of(TtsSettings(api_keys=("/none",)), 8001)


def test_a_key_is_right_or_it_is_not() -> None:
    keys = ApiKeys([KEY, OTHER])
    assert [keys.number_of(key) for key in (KEY, OTHER, KEY[:-1], KEY + "x", "", None, "\udcff")] == [
        1, 2, None, None, None, None, None,
    ]  # fmt: skip
    assert not ApiKeys([])
    assert ApiKeys(["short"]).has_weak


def let_open(monkeypatch: pytest.MonkeyPatch, max_files: int) -> None:
    """Have it that a process may open so many files."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (min(max_files, 1024), max_files))


def test_a_server_that_anybody_may_use_says_so(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_open(monkeypatch, 65_536)
    with caplog.at_level(logging.WARNING):
        for host in ("127.0.0.1", "localhost", "::1"):
            rules_of(TtsSettings(host=host), 8001)
        rules_of(TtsSettings(host="0.0.0.0", api_keys=(KEY,)), 8001)
        assert not caplog.messages
        rules_of(TtsSettings(host="0.0.0.0"), 8001)
        rules_of(TtsSettings(api_keys=("short",)), 8001)
    assert [message.partition(" ")[0] for message in caplog.messages] == ["anybody", "an"]


def test_a_server_that_may_not_open_as_many_files_as_it_lets_sockets_in_says_so(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for max_files in (2048 + OTHER_FILES, 65_536, resource.RLIM_INFINITY):
        let_open(monkeypatch, max_files)
        rules_of(TtsSettings(), 8001)
        rules_of(LlmSettings(), 8001)
    assert not caplog.messages
    let_open(monkeypatch, 1024)
    rules_of(TtsSettings(max_sockets=900), 8001)
    assert not caplog.messages
    rules_of(TtsSettings(), 8001)
    rules_of(LlmSettings(), 8001)
    assert [message.partition(":")[0] for message in caplog.messages] == [
        "this process may open 1024 files, and 2048 sockets are let in"
    ] * 2


# -- origins -----------------------------------------------------------------------------------------------------------


async def test_pages_of_others_open_no_socket_and_have_nothing_spoken() -> None:
    settings = TtsSettings(origins=("https://bot.example.com",))
    async with serve_here(settings=settings) as here, httpx.AsyncClient(base_url=here.served.url) as client:
        for origin in ("https://evil.example.com", "null"):
            error = await refused(here.served.socket_url, origin=Origin(origin))
            assert error.response.status_code == 403
            assert json.loads(error.response.body)["error"]["code"] == "forbidden"
            answer = await client.post("/v1/audio/speech", json=SPEECH, headers={"Origin": origin})
            assert answer.status_code == 403
            assert "Access-Control-Allow-Origin" not in answer.headers
        for origin in ("https://bot.example.com", here.served.url):
            async with connect(here.served.socket_url, origin=Origin(origin)):
                pass
            answer = await client.post("/v1/audio/speech", json=SPEECH, headers={"Origin": origin})
            assert answer.status_code == 200


async def test_a_name_that_was_led_here_opens_nothing() -> None:
    """Without keys, on a server that is bound to this machine: the page's owner leads its name here (DNS rebinding)."""
    async with serve_here() as here, httpx.AsyncClient(base_url=here.served.url) as client:
        name = f"evil.example.com:{here.served.port}"
        error = await refused(f"ws://{name}/ws/tts/stream", host="127.0.0.1", origin=Origin(f"http://{name}"))
        assert error.response.status_code == 403
        headers = {"Host": name, "Origin": f"http://{name}"}
        assert (await client.post("/v1/audio/speech", json=SPEECH, headers=headers)).status_code == 403
        del headers["Origin"]  # as a program sends it, whatever it calls this machine
        assert (await client.post("/v1/audio/speech", json=SPEECH, headers=headers)).status_code == 200


async def test_a_page_can_read_why_it_was_refused_and_asks_before_it_has_a_key() -> None:
    settings = TtsSettings(origins=("https://bot.example.com",), api_keys=(KEY,))
    page = {"Origin": "https://bot.example.com"}
    async with serve_here(settings=settings) as here, httpx.AsyncClient(base_url=here.served.url) as client:
        asked = page | {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        preflight = await client.options("/v1/audio/speech", headers=asked)
        assert preflight.status_code == 204
        assert preflight.headers["Access-Control-Allow-Origin"] == page["Origin"]
        answer = await client.post("/v1/audio/speech", json=SPEECH, headers=page)
        assert answer.status_code == 401
        assert answer.headers["Access-Control-Allow-Origin"] == page["Origin"]


# -- room --------------------------------------------------------------------------------------------------------------


async def test_a_full_server_refuses_streams_and_handshakes_with_503_and_keeps_what_it_has() -> None:
    gate = Gate()
    settings = TtsSettings(max_line=1)
    async with (
        serve_here(lambda wake: FakeModel(wake, num_slots=1, gate=gate), settings=settings) as here,
        httpx.AsyncClient(base_url=here.served.url, timeout=30) as client,
        connect(here.served.socket_url) as idle,
    ):
        asking = [asyncio.create_task(client.post("/v1/audio/speech", json=SPEECH)) for _ in range(2)]
        await until(lambda: here.engine.num_sessions == 2, "both are let in")
        answer = await client.post("/v1/audio/speech", json=SPEECH)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "at_capacity")
        assert answer.headers["Retry-After"] == "1"
        error = await refused(here.served.socket_url)
        assert error.response.status_code == 503
        assert error.response.headers["Retry-After"] == "1"
        assert json.loads(error.response.body)["error"]["code"] == "at_capacity"
        assert (await client.get("/ready")).json()["reason"] == "full"
        await idle.send('{"type": "text", "text": "Hello there."}')
        said = json.loads(await idle.recv())
        assert (said["type"], said["code"], said["fatal"]) == ("error", "at_capacity", True)
        with pytest.raises(ConnectionClosed):
            await idle.recv()
        assert idle.close_code == 1013
        gate.allow(math.inf)
        assert [answer.status_code for answer in await asyncio.gather(*asking)] == [200, 200]
        assert (await client.get("/ready")).status_code == 200


async def test_a_client_that_has_its_share_is_told_429_and_others_are_served() -> None:
    settings = TtsSettings(max_client_sessions=1, trusted_proxies=("127.0.0.1",))
    async with serve_here(settings=settings) as here, httpx.AsyncClient(base_url=here.served.url) as client:
        asking = [{"X-Forwarded-For": address} for address in ("10.0.0.1", "10.0.0.1", "10.0.0.2")]
        answers = [await client.post("/v1/tts/stream", headers=headers) for headers in asking]
        assert [answer.status_code for answer in answers] == [200, 429, 200]
        assert answers[1].json()["error"]["code"] == "share_used_up"
        assert answers[1].headers["Retry-After"] == "1"


async def test_sockets_have_a_bound_and_a_share_of_it() -> None:
    settings = TtsSettings(max_sockets=2, max_client_sockets=1, trusted_proxies=("127.0.0.1",))
    async with serve_here(settings=settings) as here:
        url = here.served.socket_url
        from_a, from_b = ({"X-Forwarded-For": address} for address in ("10.0.0.1", "10.0.0.2"))
        async with connect(url, additional_headers=from_a):
            assert (await refused(url, additional_headers=from_a)).response.status_code == 429
            async with connect(url, additional_headers=from_b):
                assert (await refused(url)).response.status_code == 503
        async with connect(url, additional_headers=from_a):
            pass


async def test_a_server_that_drains_takes_nothing_new() -> None:
    async with serve_here() as here, httpx.AsyncClient(base_url=here.served.url) as client:
        here.engine.admission.close()
        answer = await client.post("/v1/audio/speech", json=SPEECH)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "draining")
        assert (await refused(here.served.socket_url)).response.status_code == 503
        assert (await client.get("/health")).status_code == 200


async def test_the_text_server_refuses_beyond_its_slots_and_its_line() -> None:
    gate = Gate()
    asked = {"messages": [{"role": "user", "content": "Hello."}], "max_tokens": 2}
    settings = LlmSettings(max_line=0)
    async with (
        serve_text_here(lambda: FakeText(num_slots=1, gate=gate), settings=settings) as here,
        httpx.AsyncClient(base_url=here.served.url, timeout=30) as client,
    ):
        first = asyncio.create_task(client.post("/v1/chat/completions", json=asked))
        await until(lambda: here.engine.num_sessions == 1, "one is let in")
        answer = await client.post("/v1/chat/completions", json=asked)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "at_capacity")
        assert answer.headers["Retry-After"] == "1"
        error = await refused(here.served.url.replace("http", "ws") + "/ws")
        assert error.response.status_code == 503
        gate.allow(math.inf)
        assert (await first).status_code == 200


# -- who a client is ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("peer", "forwarded", "proxies", "client"),
    [
        ("1.2.3.4", "5.6.7.8", (), "1.2.3.4"),
        ("1.2.3.4", "5.6.7.8", ("10.0.0.0/8",), "1.2.3.4"),
        ("10.0.0.1", "6.6.6.6, 5.6.7.8", ("10.0.0.0/8",), "5.6.7.8"),
        ("10.0.0.1", "5.6.7.8, 10.0.0.9", ("10.0.0.0/8",), "5.6.7.8"),
        ("10.0.0.1", "10.0.0.8, 10.0.0.9", ("10.0.0.0/8",), "10.0.0.8"),
        ("10.0.0.1", "", ("10.0.0.0/8",), "10.0.0.1"),
        ("10.0.0.1", "x" * 200, ("*",), "x" * 64),
        ("2001:db8::1", "", (), "2001:db8::/64"),
        ("2001:db8::2:3", "", (), "2001:db8::/64"),
        ("::ffff:1.2.3.4", "", (), "1.2.3.4"),
    ],
)
def test_a_client_is_the_last_hop_that_is_no_proxy(
    peer: str, forwarded: str, proxies: tuple[str, ...], client: str
) -> None:
    scope = {"client": (peer, 1), "headers": [(b"x-forwarded-for", forwarded.encode())] if forwarded else []}
    assert ClientNames(networks(proxies)).address_of(scope) == client


# -- slow and large ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_a_body_that_does_not_come_is_waited_for_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.gate.BODY_S", 0.2)
    async with serve_here() as here:
        reader, writer = await asyncio.open_connection("127.0.0.1", here.served.port)
        writer.write(b'POST /v1/audio/speech HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{"input"')
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 408")
        writer.close()
        assert here.engine.num_sessions == 0


async def test_more_text_than_a_request_may_have_is_413(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = TtsSettings(max_request_chars=10)
    async with serve_here(settings=settings) as here, httpx.AsyncClient(base_url=here.served.url) as client:
        answer = await client.post("/v1/audio/speech", json=SPEECH)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "text_too_long")
        async with connect(here.served.socket_url) as talker:
            await talker.send(json.dumps({"type": "text", "text": "Hello there."}))
            assert json.loads(await talker.recv())["code"] == "text_too_long"
            await talker.send('{"type": "ping"}')
            assert json.loads(await talker.recv())["type"] == "pong"


def test_the_server_listens_to_this_machine_alone_unless_told_otherwise(fake_server: Served) -> None:
    with socket.socket() as probe:
        probe.connect(("127.0.0.1", fake_server.port))
    assert TtsSettings().host == LlmSettings().host == "127.0.0.1"


@pytest.mark.parametrize("letter", ["a", "é"])
async def test_a_message_that_is_too_large_gets_an_error_and_the_socket_lives_on(letter: str) -> None:
    async with serve_here(settings=TtsSettings(max_message_bytes=1024)) as here, connect(here.served.socket_url) as one:
        await one.send(json.dumps({"type": "text", "text": letter * 1024}, ensure_ascii=False))
        assert json.loads(await one.recv())["code"] == "too_large"
        await one.send('{"type": "ping"}')
        assert json.loads(await one.recv())["type"] == "pong"
        async with httpx.AsyncClient(base_url=here.served.url) as client:
            answer = await client.post("/v1/audio/speech", json=SPEECH | {"input": letter * 1024})
            assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
