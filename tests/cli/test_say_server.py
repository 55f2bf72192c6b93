"""`tiding say --server` and `tiding voices --server`: the same as without, and what can go wrong on the way."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from textwrap import dedent

import pytest

from tests.cli.commands import invoke, run
from tests.cli.test_say import HELLO, long_text
from tests.decoding import decoded
from tests.launching import SLOW_OR_BROKEN_MODEL, launching
from tests.serving import Served, free_port

pytestmark = pytest.mark.slow

FORMS = ["mp3", "opus", "aac", "flac", "wav", "pcm"]


def both(server: Served, folder: Path, *arguments: str, name: str) -> tuple[bytes, bytes]:
    """The same file, made in this process and by a server."""
    made: list[bytes] = []
    for place in ([], ["--server", server.url]):
        result = invoke(["say", *arguments, *place, "-o", str(folder / name)])
        assert (result.exit_code, result.output) == (0, "")
        made.append((folder / name).read_bytes())
    return made[0], made[1]


# -- the same as without -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_a_server_makes_the_same_file(fake_server: Served, tmp_path: Path, form: str) -> None:
    options = ["--voice", "john", "--language", "de", "--seed", "3", "--speed", "1.5", "--sample-rate", "16000"]
    here, there = both(fake_server, tmp_path, HELLO, *options, name=f"a.{form}")
    if form == "opus":  # an Ogg stream has a number of its own
        assert decoded(here)[0].tolist() == decoded(there)[0].tolist()
    else:
        assert here == there


def test_a_server_streams_the_same_samples(fake_server: Served) -> None:
    here, there = invoke(["say", HELLO]), invoke(["say", HELLO, "--server", fake_server.url + "/"])
    assert (there.exit_code, there.stderr) == (0, "")
    assert there.stdout_bytes == here.stdout_bytes


@pytest.mark.parametrize("suffix", ["json", "srt", "vtt"])
@pytest.mark.parametrize("form", ["wav", "mp3"])
def test_a_server_gives_the_same_words(fake_server: Served, tmp_path: Path, suffix: str, form: str) -> None:
    words = tmp_path / f"words.{suffix}"
    made = []
    for place in ([], ["--server", fake_server.url]):
        result = invoke(["say", HELLO, *place, "-o", str(tmp_path / f"a.{form}"), "--words", str(words)])
        assert (result.exit_code, result.output) == (0, "")
        made.append(words.read_text())
        assert len(decoded((tmp_path / f"a.{form}").read_bytes())[0])
    assert made[0] == made[1]


@pytest.mark.parametrize("is_json", [True, False])
def test_a_server_has_the_same_voices(fake_server: Served, is_json: bool) -> None:
    options = ["--json"] if is_json else []
    here, there = invoke(["voices", *options]), invoke(["voices", *options, "--server", fake_server.url])
    assert (there.exit_code, there.stdout) == (0, here.stdout)


# -- what a server says ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["Hi.", "--voice", "bob"], "unknown voice 'bob'; choose one of: sine, square, aria"),
        (["..."], "the text holds nothing that can be spoken"),
        ([long_text(20_001)], "the text is too long: 20001 characters, at most 20000 are accepted"),
    ],
)
@pytest.mark.parametrize("output", ["-", "said.mp3"])
def test_a_refusal_is_shown_as_the_server_says_it(
    fake_server: Served, tmp_path: Path, arguments: list[str], message: str, output: str
) -> None:
    path = output if output == "-" else str(tmp_path / output)
    result = invoke(["say", *arguments, "--server", fake_server.url, "-o", path, "--format", "mp3"])
    assert (result.exit_code, result.stdout_bytes) == (1, b"")
    assert result.stderr.startswith(f"tiding: {message}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--quiet"]])
def test_a_server_that_loads_is_waited_for(tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "sitecustomize.py").write_text(dedent(SLOW_OR_BROKEN_MODEL))
    with launching(tmp_path) as launch:
        launched = launch(LOAD_S="3")
        launched.until_health("loading")
        done = run("say", HELLO, "--server", launched.url, *options)
    told = f"tiding: {launched.url}: the model is still loading; try again in a moment (waiting)\n"
    assert (done.returncode, done.stderr.decode()) == (0, "" if options else told)
    assert done.stdout == invoke(["say", HELLO]).stdout_bytes


# -- what goes wrong on the way ----------------------------------------------------------------------------------------


def test_a_server_that_is_not_there_is_named() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    result = invoke(["say", HELLO, "--server", url])
    assert (result.exit_code, result.stderr) == (1, f"tiding: {url} cannot be reached: Connection refused\n")


def test_a_name_that_nobody_has_is_named() -> None:
    result = invoke(["say", HELLO, "--server", "http://nobody.invalid"])
    assert result.exit_code == 1
    assert result.stderr.startswith("tiding: http://nobody.invalid cannot be reached: ")


Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def other_server(answer: Answer) -> Iterator[str]:
    """A server that is not Tiding, or has lost its way. The address of it."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            answer(self)
            self.close_connection = True

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def sends(status: int, kind: str, body: bytes, num_bytes: int | None = None) -> Answer:
    """An answer of this many bytes, whatever comes of them."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body) if num_bytes is None else num_bytes))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def hangs_up(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)


DELTA = b'data: {"type": "speech.audio.delta", "audio": "UklGRg=="}\n\n'
FAILED = b'data: {"type": "error", "error": {"message": "the voice failed on this text", "code": "engine_failure"}}\n\n'
DONE = b'data: {"type": "speech.audio.done", "usage": {"output_tokens": 1}}\n\n'


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (sends(200, "text/event-stream", DELTA), "has broken off: the end of the speech is missing"),
        (sends(200, "text/event-stream", DELTA, 10_000), "has broken off"),
        (sends(200, "text/event-stream", DELTA + FAILED), "tiding: the voice failed on this text\n"),
        (sends(200, "text/event-stream", b"data: {nonsense\n\n"), "does not answer as a Tiding server does"),
        (sends(200, "text/html", b"<html>"), "does not answer as a Tiding server does"),
        (sends(404, "text/html", b"<html>"), "answers 404 Not Found"),
        (sends(401, "application/json", b'{"error": {"message": "no such key"}}'), "tiding: no such key\n"),
        (sends(503, "text/plain", b"down"), "answers 503 Service Unavailable"),
        (hangs_up, "has broken off"),
    ],
)
def test_an_answer_that_is_none_is_a_failure(tmp_path: Path, answer: Answer, message: str) -> None:
    with other_server(answer) as url:
        result = invoke(["say", HELLO, "--server", url, "-o", str(tmp_path / "a.wav")])
    assert result.exit_code == 1
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_whole_file_that_ends_too_soon_is_a_failure(tmp_path: Path) -> None:
    with other_server(sends(200, "audio/mpeg", b"\xff" * 100, 150)) as url:
        result = invoke(["say", HELLO, "--server", url, "-o", str(tmp_path / "a.mp3")])
    assert (result.exit_code, result.stderr) == (1, f"tiding: {url} has broken off: 50 bytes are missing\n")
    assert list(tmp_path.iterdir()) == []


def test_a_voice_without_word_times_is_no_reason_for_an_empty_file(tmp_path: Path) -> None:
    words = tmp_path / "a.srt"
    with other_server(sends(200, "text/event-stream", DELTA + DONE)) as url:
        result = invoke(["say", HELLO, "--server", url, "-o", str(tmp_path / "a.mp3"), "--words", str(words)])
    assert (result.exit_code, result.stderr) == (
        1,
        f"tiding: this voice does not say when its words are spoken: {words} cannot be written\n",
    )
    assert list(tmp_path.iterdir()) == []


def test_events_of_kinds_to_come_are_passed_over() -> None:
    news = b": a comment\n\n" + b'data: {"type": "speech.news", "words": [], "more": 1}\n\n'
    with other_server(sends(200, "text/event-stream", news + DELTA + DONE)) as url:
        result = invoke(["say", HELLO, "--server", url])
    assert (result.exit_code, result.stdout_bytes) == (0, b"RIFF")


def test_the_key_and_the_path_of_the_address_are_sent() -> None:
    heard: list[tuple[str, str | None, str]] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        heard.append((handler.path, handler.headers["Authorization"], handler.headers["Content-Type"]))
        sends(200, "text/event-stream", DELTA + DONE)(handler)

    with other_server(answer) as url:
        assert invoke(["say", HELLO, "--server", url + "/voice", "--api-key", "s3cret"]).exit_code == 0
    assert heard == [("/voice/v1/audio/speech", "Bearer s3cret", "application/json")]


def test_a_server_that_was_full_for_a_moment_is_asked_again() -> None:
    refusal = json.dumps({"error": {"message": "all 2 sessions are in use"}}).encode()
    asked: list[str] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        if len(asked) > 2:
            sends(200, "text/event-stream", DELTA + DONE)(handler)
            return
        handler.send_response(503)
        handler.send_header("Retry-After", "0")
        handler.send_header("Content-Length", str(len(refusal)))
        handler.end_headers()
        handler.wfile.write(refusal)

    with other_server(answer) as url:
        result = invoke(["say", HELLO, "--server", url])
    assert (result.exit_code, result.stdout_bytes) == (0, b"RIFF")
    assert result.stderr == f"tiding: {url}: all 2 sessions are in use (waiting)\n"
    assert len(asked) == 3
