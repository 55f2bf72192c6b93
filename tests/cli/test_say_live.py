"""`tiding say --live`: what is piped in is spoken as it comes, by a server."""

import subprocess
from pathlib import Path

import pytest

from tests.cli.commands import invoke, run, start
from tests.decoding import decoded
from tests.hearing import spoken
from tests.serving import Served, free_port

pytestmark = pytest.mark.slow

HELLO = "Hello there. It is half past seven."


async def test_what_is_piped_in_is_what_a_socket_speaks(fake_server: Served) -> None:
    done = run("say", "--live", "--server", fake_server.url, "--format", "pcm", "--voice", "john", text=HELLO)
    assert (done.returncode, done.stderr) == (0, b"")
    socket = await spoken(fake_server, [HELLO], default_mode="stream", voice="john", sample_rate=24000)
    assert done.stdout == socket.audio


def test_sound_comes_while_text_is_still_to_come(fake_server: Served) -> None:
    process = start("say", "--live", "--server", fake_server.url, "--format", "pcm", stdin=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"Good morning, everybody. ")
    process.stdin.flush()
    first = process.stdout.read(4096)
    rest, errors = process.communicate(b"It is late.", timeout=30)
    assert (len(first), process.returncode, errors) == (4096, 0, b"")
    assert rest


def test_a_file_is_whole_and_says_how_long_it_is(fake_server: Served, tmp_path: Path) -> None:
    text, path = tmp_path / "text", tmp_path / "a.wav"
    text.write_text(HELLO * 300)  # more than a server takes at once
    with text.open("rb") as stdin:
        process = start("say", "--live", "--server", fake_server.url, "-o", str(path), stdin=stdin.fileno())
        assert (*process.communicate(timeout=60), process.returncode) == (b"", b"", 0)
    samples, rate_hz = decoded(path.read_bytes())
    assert len(samples) / rate_hz > 300 * len(HELLO) * 0.03
    assert int.from_bytes(path.read_bytes()[40:44], "little") == path.stat().st_size - 44


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--live"], "--live needs a server"),
        (["--live", "--server", "http://localhost:1", "--format", "mp3"], "--live is for wav and pcm, not for mp3."),
        (["--live", "--server", "http://localhost:1", "Hello."], "--live speaks what is piped in"),
    ],
)
def test_what_does_not_go_with_it_is_refused(arguments: list[str], message: str) -> None:
    result = invoke(["say", *arguments])
    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "the text holds nothing that can be spoken"),
        (b"Good \xff morning.", "what was piped in is not text in UTF-8"),
    ],
)
def test_what_cannot_be_spoken_is_a_failure(fake_server: Served, tmp_path: Path, text: bytes, message: str) -> None:
    path = tmp_path / "a.wav"
    done = run("say", "--live", "--server", fake_server.url, "-o", str(path), text=text)
    assert (done.returncode, done.stderr.decode()) == (1, f"tiding: {message}\n")
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_is_shown_as_the_server_says_it(fake_server: Served) -> None:
    done = run("say", "--live", "--server", fake_server.url, "--voice", "bob", text=HELLO)
    assert done.returncode == 1
    assert done.stderr.startswith(b"tiding: unknown voice 'bob'")


def test_a_server_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.cli.live.PATIENCE_S", 0.1)
    url = f"http://127.0.0.1:{free_port()}"
    result = invoke(["say", "--live", "--server", url], text=HELLO)
    assert result.exit_code == 1
    assert "cannot be reached" in result.stderr
