"""How `tiding say` ends as a process: its terminal, its reader, signals, and what it leaves behind."""

import os
import signal
import subprocess
import time
from pathlib import Path
from textwrap import dedent

import pytest

from tests.cli.commands import COMMAND, TIMEOUT_S, environment, run, start
from tests.launching import SLOW_OR_BROKEN_MODEL
from tests.serving import ROOT

pytestmark = pytest.mark.slow

LONG = "This sentence goes on for quite a while, and then it ends. " * 20_000


def until_begun(folder: Path, process: subprocess.Popen[bytes]) -> None:
    """Return when the unfinished file holds something."""
    deadline_s = time.monotonic() + TIMEOUT_S
    while not any(path.stat().st_size for path in folder.glob(".*.part")):
        assert process.poll() is None
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_at_once_and_leaves_no_file(tmp_path: Path, number: signal.Signals, status: int) -> None:
    text, folder = tmp_path / "text", tmp_path / "out"
    text.write_text(LONG)
    folder.mkdir()
    process = start("say", "-f", str(text), "-o", str(folder / "said.wav"), "--words", str(folder / "said.srt"))
    until_begun(folder, process)
    process.send_signal(number)
    _, complaint = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == status
    assert b"Traceback" not in complaint
    assert list(folder.iterdir()) == []


def test_a_failure_leaves_the_old_file_alone(tmp_path: Path) -> None:
    (tmp_path / "said.wav").write_bytes(b"old")
    done = run("say", "...", "-o", "said.wav", "--words", "said.srt", cwd=tmp_path)
    assert done.returncode == 1
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("said.wav", b"old")]


BROKEN_MODEL = '''
    """Imported at start-up (sitecustomize): `fake` fails on a word, alone or altogether."""
    from engines import catalog, fake

    catalog.MODELS["fake"] = lambda _: lambda wake: fake.FakeModel(wake, poison="poisonous", broken="breaking")
'''


def run_with(model: str, folder: Path, text: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """`tiding say` to a file, where this is done at start-up."""
    (folder / "sitecustomize.py").write_text(dedent(model))
    paths = {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    return subprocess.run(
        [*COMMAND, "say", "-o", "said.wav"],
        input=text.encode(), cwd=folder, env=environment(model="fake") | paths | variables, capture_output=True,
        timeout=TIMEOUT_S, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("poisonous", "the voice failed on this text"),
        ("breaking", "RuntimeError: the fake model broke, as it was asked to"),
    ],
)
def test_a_voice_that_fails_in_the_middle_is_said_in_a_line(tmp_path: Path, word: str, why: str) -> None:
    done = run_with(BROKEN_MODEL, tmp_path, f"{LONG[:10_000]} This is {word}. {LONG[:10_000]}")
    assert done.returncode == 1
    assert done.stderr.decode().splitlines()[-1] == f"tiding: the model fake has failed: {why}"
    assert b"Traceback" not in done.stderr
    assert not (tmp_path / "said.wav").exists()


def test_a_model_that_cannot_be_loaded_is_said_in_a_line(tmp_path: Path) -> None:
    done = run_with(SLOW_OR_BROKEN_MODEL, tmp_path, "Hello.", LOAD_ERROR="no such file: weights.bin")
    assert done.returncode == 1
    said = done.stderr.decode().splitlines()
    assert said[-1] == "tiding: the model fake has failed: OSError: no such file: weights.bin"
    assert b"Traceback" not in done.stderr
    assert not (tmp_path / "said.wav").exists()


def test_a_stream_is_heard_while_the_rest_is_made(tmp_path: Path) -> None:
    (tmp_path / "text").write_text(LONG)
    process = start("say", "-f", str(tmp_path / "text"))
    assert process.stdout is not None
    assert process.stdout.read(4) == b"RIFF"
    assert process.poll() is None
    process.kill()
    process.communicate()


def test_a_reader_that_leaves_ends_it_without_a_word(tmp_path: Path) -> None:
    (tmp_path / "text").write_text(LONG)
    process = start("say", "-f", str(tmp_path / "text"))
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.read(1000)
    process.stdout.close()
    assert process.wait(TIMEOUT_S) in (0, 1)
    assert process.stderr.read() == b""
    process.stderr.close()


def test_a_terminal_gets_no_audio() -> None:
    terminal, end = os.openpty()
    process = start("say", "Hello.", stdout=end)
    os.close(end)
    _, complaint = process.communicate(timeout=TIMEOUT_S)
    os.close(terminal)
    assert process.returncode == 2
    assert b"audio is nothing for a terminal: name a file (-o hello.wav), or pipe it to a player" in complaint


def test_nothing_is_waited_for_from_a_terminal() -> None:
    terminal, end = os.openpty()
    process = start("say", stdin=end)
    os.close(end)
    heard, complaint = process.communicate(timeout=TIMEOUT_S)
    os.close(terminal)
    assert (process.returncode, heard) == (2, b"")
    assert b"there is nothing to say: give a text" in complaint


@pytest.mark.slow
@pytest.mark.parametrize(("options", "is_shown"), [([], True), (["--quiet"], False)])
def test_a_terminal_is_shown_how_far_a_long_text_is(tmp_path: Path, options: list[str], is_shown: bool) -> None:
    (tmp_path / "text").write_text(LONG[:20_000])
    terminal, end = os.openpty()
    process = start("say", "-f", str(tmp_path / "text"), "-o", os.devnull, "--format", "wav", *options, stderr=end)
    os.close(end)
    shown = b""
    try:
        while data := os.read(terminal, 4096):
            shown += data
    except OSError:  # Linux says so when the other end has been closed
        pass
    os.close(terminal)
    assert process.wait(TIMEOUT_S) == 0
    assert (b" of 20000 characters, " in shown) is is_shown
    assert is_shown or shown == b""
    assert process.stdout is not None
    process.stdout.close()
