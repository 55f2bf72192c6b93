"""The example of `docs/how-to/talk.md`, on both real servers and the embedded models."""

import subprocess
import sys
import wave
from pathlib import Path

import pytest

from app.clients import SpeechClient, TextClient
from tests.llm.talking import Served
from tests.serving import Served as Speech
from tests.talking import PATH, Talk, Timeline

pytestmark = [pytest.mark.slow, pytest.mark.alone]
pytest.importorskip("llama_cpp")

QUESTION = "Why is the sky blue?"
OPTIONS = {"temperature": 0, "max_total_tokens": 90}


Servers = tuple[Served, Speech]


@pytest.fixture
def servers(llama_server: Served, hibari_server: Speech) -> Servers:
    return llama_server, hibari_server


async def ask(servers: Servers, *, ahead_s: float = 3.0, barge_in_s: float | None = None) -> Timeline:
    llm, speech = servers
    async with TextClient(llm.url) as writing, SpeechClient(speech.url) as speaking:
        talk = Talk(writing, speaking, ahead_s=ahead_s)
        return await talk.ask(QUESTION, barge_in_s=barge_in_s, **OPTIONS)


async def test_an_answer_is_spoken_while_it_is_written(servers: Servers) -> None:
    told = await ask(servers, ahead_s=1.0)
    assert told.written.strip()
    assert told.heard == told.written
    assert told.first_token_s is not None
    assert told.first_sound_s is not None
    assert told.first_token_s < told.first_sound_s < told.total_s
    assert 0.03 < told.audio_s / len(told.written) < 0.2, "about the seconds that so many characters take"


async def test_the_llm_is_held_while_enough_is_waiting(servers: Servers) -> None:
    """Nothing is written meanwhile, and what is written in the end is what is written without a pause."""
    held, free = await ask(servers, ahead_s=0.5), await ask(servers, ahead_s=1000.0)
    assert held.holds
    assert not free.holds
    assert held.written == free.written
    assert free.total_s < held.total_s


async def test_a_barge_in_cancels_both(servers: Servers) -> None:
    told = await ask(servers, barge_in_s=0.7)
    assert told.interrupted_s is not None
    assert told.silent_s is not None
    assert told.written.startswith(told.heard)
    assert len(told.heard) < len(told.written)
    health = await servers[0].health()
    assert (health["active_streams"], health["busy_slots"], health["used_cells"]) == (0, 0, 0)


def test_the_example_runs_as_the_page_says(servers: Servers, tmp_path: Path) -> None:
    llm, speech = servers
    output = tmp_path / "answer.wav"
    urls = ["--llm", llm.url, "--speech", speech.url]
    done = subprocess.run(
        [sys.executable, str(PATH), "Who are you?", "-o", str(output), "--barge-in", "1", *urls],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "first sound" in done.stdout
    with wave.open(str(output)) as file:
        assert (file.getframerate(), file.getnchannels()) == (22_050, 1)
        assert file.getnframes() > 2205
