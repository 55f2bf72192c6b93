"""One span a request, sent to a collector, in the trace of whoever asks; nothing where nobody asked for it."""

import asyncio
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from websockets.asyncio.client import connect

from app.tracing import WANTED_BY, is_wanted, tracing_of
from tests.llm import talking
from tests.serving import Served, serve_process

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
TEXT = "Nobody should find these words. There are two sentences."


class Collector:
    """An OTLP collector: keeps the spans that it is sent."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.url = f"http://127.0.0.1:{server.server_port}"
        self.services: set[str] = set()
        self.spans: list[Span] = []

    def take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            named = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
            self.services.add(named["service.name"])
            self.spans += [span for scope in resource.scope_spans for span in scope.spans]


@contextmanager
def collecting() -> Iterator[Collector]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.take(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 - its name

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector = Collector(server)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield collector
        server.shutdown()
        thread.join()


def attributes(span: Span | Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, str(pair.value.WhichOneof("value"))) for pair in span.attributes}


async def speak(served: Served) -> None:
    async with httpx.AsyncClient(base_url=served.url, headers={"traceparent": TRACEPARENT}) as client:
        body = {"input": TEXT}
        assert (await client.post("/v1/audio/speech/stream", json=body, headers={"X-Request-Id": "r-1"})).is_success
        assert (await client.post("/v1/audio/speech", json=body | {"voice": "nobody"})).status_code == 400
        assert (await client.get("/health")).is_success
    async with connect(served.socket_url, compression=None) as socket:
        await socket.send(json.dumps({"type": "text", "text": TEXT}))
        await socket.send(json.dumps({"type": "close"}))
        while isinstance(message := await socket.recv(), bytes) or json.loads(message)["type"] != "done":
            pass


@pytest.mark.slow
@pytest.mark.parametrize("model", ["fake", "hibari"])
def test_each_request_is_one_span_in_the_trace_of_its_client(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        with serve_process(log=tmp_path / "log", model=model) as served:
            asyncio.run(speak(served))
    assert collector.services == {"tiding-speech"}
    found = {span.name: span for span in collector.spans if span.status.code != Status.STATUS_CODE_ERROR}
    (refused,) = [span for span in collector.spans if span.status.code == Status.STATUS_CODE_ERROR]
    assert found.keys() == {"stream", "websocket"}
    assert len(collector.spans) == 3
    stream, socket = found["stream"], found["websocket"]
    assert {(span.trace_id.hex(), span.parent_span_id.hex()) for span in (stream, refused)} == {(TRACE, PARENT)}
    assert (socket.parent_span_id, socket.trace_id.hex() == TRACE) == (b"", False)
    assert [event.name for event in stream.events].count("first_audio") == 1
    segments = [attributes(event) for event in stream.events if event.name == "segment"]
    assert [segment["number"] for segment in segments] == [1, 2]
    assert sum(segment["characters"] for segment in segments) == pytest.approx(len(TEXT), abs=1)
    said = attributes(stream)
    assert (said["tiding.request_id"], said["tiding.outcome"], said["tiding.characters"]) == ("r-1", "done", len(TEXT))
    assert (attributes(refused)["tiding.code"], refused.status.message) == ("unknown_voice", "unknown_voice")
    assert stream.end_time_unix_nano > stream.start_time_unix_nano
    assert b"words" not in b"".join(span.SerializeToString() for span in collector.spans), "what is said is not told"


@pytest.mark.slow
def test_streams_and_chats_of_the_llm_are_spans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask(served: talking.Served) -> None:
        headers = {"traceparent": TRACEPARENT}
        async with httpx.AsyncClient(base_url=served.url, headers=headers) as client:
            assert (await client.post("/v1/chat/completions", json={"messages": talking.ASKING})).is_success
        async with talking.talk(served, additional_headers=headers) as talker:
            await talker.start(pause={"max_tokens": 2})
            await talker.go_on(pause={"max_tokens": 2})
            await talker.end()

    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        with talking.serve_process("tests.llm.served", log=tmp_path / "log") as served:
            asyncio.run(ask(served))
    assert collector.services == {"tiding-llm"}
    spans = {span.name: span for span in collector.spans}
    assert spans.keys() == {"chat", "socket"}
    assert {span.trace_id.hex() for span in collector.spans} == {TRACE}
    assert [event.name for event in spans["socket"].events] == ["first_token", "chunk", "chunk"]
    assert attributes(spans["socket"])["tiding.tokens"] == 4


def test_nothing_is_traced_unless_it_is_asked_for() -> None:
    for environment in ({}, {"OTEL_SERVICE_NAME": "x"}, {"OTEL_TRACES_EXPORTER": "none"}):
        assert tracing_of(environment, "speech") is None
    for name in WANTED_BY:
        assert is_wanted({name: "otlp"})
        assert not is_wanted({name: "otlp", "OTEL_SDK_DISABLED": "true"})


def test_where_the_extra_is_missing_it_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    assert tracing_of({"OTEL_TRACES_EXPORTER": "otlp"}, "speech") is None
    assert "tiding[otel]" in caplog.text
