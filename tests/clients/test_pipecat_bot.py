"""The bot of the documentation: a question in, a spoken answer out, in all modes, and a barge-in."""

import importlib.util
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.llm.talking import Served as ServedText
from tests.recognising import transcribe, word_error_rate
from tests.serving import ROOT, Served

PATH = ROOT / "docs/how-to/pipecat/bot.py"


@pytest.fixture(scope="module")
def bot() -> Any:
    spec = importlib.util.spec_from_file_location("pipecat_bot", PATH)
    assert spec is not None, f"{PATH} is a module"
    assert spec.loader is not None, f"{PATH} is a module"
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def samples(path: Path) -> tuple[np.ndarray, int]:
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16), file.getframerate()


@pytest.mark.parametrize("mode", ["websocket", "adaptive", "stream", "batch"])
@pytest.mark.recogniser
async def test_the_answer_that_is_heard_is_the_one_in_the_conversation(
    hibari_server: Served, llama_chat_server: ServedText, bot: Any, tmp_path: Path, mode: str
) -> None:
    path = tmp_path / "answer.wav"
    messages, ttfb_s = await bot.converse(
        ["Why is the sky blue?"],
        path,
        mode=mode,
        speech_url=hibari_server.url,
        llm_url=llama_chat_server.url,
        seed=1,
    )
    user, assistant = messages
    assert (user["role"], assistant["role"]) == ("user", "assistant")
    assert word_error_rate([assistant["content"]], [transcribe(*samples(path))]) <= 0.1
    assert {name.partition("TTS")[0].partition("LLM")[0] for name in ttfb_s} >= {"Tiding"}
    assert len(ttfb_s) == 2


async def test_a_barge_in_leaves_what_was_heard_in_the_conversation(
    hibari_server: Served, llama_chat_server: ServedText, bot: Any, tmp_path: Path
) -> None:
    path = tmp_path / "answer.wav"
    messages, _ = await bot.converse(
        ["Tell me a long story about a fox and a river.", "Say hello."],
        path,
        speech_url=hibari_server.url,
        llm_url=llama_chat_server.url,
        barge_in_s=1.0,
        seed=1,
    )
    assert [message["role"] for message in messages][:3] == ["user", "assistant", "user"]
    assert 0 < len(messages[1]["content"].split()) < 12
    pcm, rate_hz = samples(path)
    assert len(pcm) / rate_hz < 8, "a second of the story and all of the greeting; the story alone takes longer"
