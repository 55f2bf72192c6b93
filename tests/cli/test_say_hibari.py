"""`tiding say` with the real voice: in this process, by a server, and alike."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.cli.commands import run
from tests.decoding import decoded, similarity
from tests.serving import Served

pytestmark = pytest.mark.slow

TEXT = 'Hello. The 7:30 train costs $5.50, said Dr. Smith; "take it". It leaves from platform four, not nine.'


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the text as wav, and its words."""
    folder = tmp_path_factory.mktemp("spoken")
    done = run("say", TEXT, "-o", "said.wav", "--words", "said.json", cwd=folder, model="hibari")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    return folder


def pcm_of(folder: Path) -> np.ndarray:
    return np.frombuffer((folder / "said.wav").read_bytes()[44:], "<i2")


def test_it_speaks_for_as_long_as_its_words_say(spoken: Path) -> None:
    words = json.loads((spoken / "said.json").read_text())
    pcm = pcm_of(spoken)
    assert [word["text"] for word in words] == [TEXT[word["char_start"] : word["char_end"]] for word in words]
    assert all(before["end_ms"] <= behind["start_ms"] for before, behind in pairwise(words))
    assert 0 <= len(pcm) / 24 - words[-1]["end_ms"] < 300
    assert np.sqrt(np.mean((pcm / 32768) ** 2)) > 0.02


def test_a_pipe_gets_the_samples_of_the_file(spoken: Path) -> None:
    done = run("say", text=TEXT, model="hibari")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout[44:] == (spoken / "said.wav").read_bytes()[44:]


def test_a_server_speaks_the_same_samples_and_words(spoken: Path, hibari_server: Served, tmp_path: Path) -> None:
    output = ["-o", "there.wav", "--words", "there.json"]
    done = run("say", TEXT, "--server", hibari_server.url, *output, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "there.wav").read_bytes() == (spoken / "said.wav").read_bytes()
    assert (tmp_path / "there.json").read_text() == (spoken / "said.json").read_text()


def test_an_mp3_sounds_like_the_wav_and_is_as_long(spoken: Path, tmp_path: Path) -> None:
    done = run("say", TEXT, "-o", "said.mp3", "--words", "said.srt", cwd=tmp_path, model="hibari")
    assert (done.returncode, done.stderr) == (0, b"")
    pcm, rate_hz = decoded((tmp_path / "said.mp3").read_bytes())
    assert (rate_hz, len(pcm)) == (24_000, pytest.approx(len(pcm_of(spoken)), abs=1))
    assert similarity(pcm, pcm_of(spoken) / np.float32(32768))[0] > 0.95
    shown = (tmp_path / "said.srt").read_text()
    assert 'Dr. Smith; "take it".' in " ".join(shown.split())
