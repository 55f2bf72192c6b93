"""OpenAI's own Python package against a real server: every format, whole and as events, and what it makes of errors."""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
import soxr

from engines.formats import FORMATS
from tests.contract import int16_samples, riff_chunks
from tests.decoding import decoded, similarity
from tests.serving import Served, serve_process

pytestmark = pytest.mark.slow

TEXT = "The first one is here, and it is long enough. Then comes another."
MIN_LIKENESS = {"mp3": 0.97, "opus": 0.95, "aac": 0.97, "flac": 0.9999, "wav": 0.9999, "pcm": 0.9999}
PCM_HZ = 24_000


@pytest.fixture
def api(server: Served) -> Iterator[openai.OpenAI]:
    with client_of(server) as client:
        yield client


def client_of(served: Served, *, max_retries: int = 0) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{served.url}/v1", api_key="unused", max_retries=max_retries)


def speak(api: openai.OpenAI, name: str, **more: Any) -> bytes:
    speech = api.audio.speech.create(model="tts-1", voice="alloy", input=TEXT, response_format=name, **more)  # type: ignore[arg-type]
    return speech.read()


def samples_of(name: str, data: bytes) -> np.ndarray:
    """(N,) float32 at 24 000 Hz."""
    if name == "pcm":
        return int16_samples(data).astype(np.float32) / 32768
    heard, rate_hz = decoded(data)
    return soxr.resample(heard, rate_hz, PCM_HZ)


@pytest.mark.parametrize("name", FORMATS)
def test_speech_in_every_format_sounds_like_the_pcm(api: openai.OpenAI, name: str) -> None:
    reference = samples_of("pcm", speak(api, "pcm"))
    heard = samples_of(name, speak(api, name))
    likeness, late = similarity(heard, reference)
    assert likeness > MIN_LIKENESS[name]
    assert late <= 0.1 * PCM_HZ
    assert len(heard) == pytest.approx(len(reference), abs=0.1 * PCM_HZ)


@pytest.mark.parametrize("name", FORMATS)
def test_a_streaming_response_has_the_same_bytes_in_pieces(api: openai.OpenAI, name: str, tmp_path: Path) -> None:
    whole = speak(api, name)
    request = {"model": "tts-1", "voice": "alloy", "input": TEXT, "response_format": name}
    with api.audio.speech.with_streaming_response.create(**request) as response:  # type: ignore[arg-type]
        pieces = b"".join(response.iter_bytes(1024))
        assert response.headers["content-type"].startswith("audio/")
    with api.audio.speech.with_streaming_response.create(**request) as response:  # type: ignore[arg-type]
        response.stream_to_file(tmp_path / "speech")
    assert (tmp_path / "speech").read_bytes() == pieces or name == "opus"  # an ogg stream has a number that is drawn
    assert len(pieces) == len(whole)


def test_the_default_format_is_mp3(api: openai.OpenAI) -> None:
    speech = api.audio.speech.create(model="tts-1", voice="alloy", input=TEXT)
    assert speech.response.headers["content-type"] == "audio/mpeg"
    heard, rate_hz = decoded(speech.read())
    assert rate_hz == PCM_HZ
    assert len(heard) > PCM_HZ


def test_a_wav_has_exact_sizes(api: openai.OpenAI) -> None:
    assert len(riff_chunks(speak(api, "wav"))[b"data"]) == len(speak(api, "pcm"))


@pytest.mark.parametrize("name", FORMATS)
def test_events_carry_the_same_audio(api: openai.OpenAI, name: str) -> None:
    request = {"model": "tts-1", "voice": "alloy", "input": TEXT, "response_format": name, "stream_format": "sse"}
    with api.audio.speech.with_streaming_response.create(**request) as response:  # type: ignore[arg-type]
        assert response.headers["content-type"].startswith("text/event-stream")
        events = [json.loads(line.removeprefix("data: ")) for line in response.iter_lines() if line]
    *deltas, done = events
    assert {event["type"] for event in deltas} == {"speech.audio.delta"}
    assert len(deltas) > 1
    assert done["type"] == "speech.audio.done"
    usage = done["usage"]
    assert usage["input_tokens"] == len(TEXT)
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    reference = samples_of("pcm", speak(api, "pcm"))
    assert usage["output_tokens"] * 46.44 == pytest.approx(len(reference) / 24, abs=47)
    heard = samples_of(name, b"".join(base64.b64decode(event["audio"]) for event in deltas))
    likeness, _ = similarity(heard, reference)
    assert likeness > MIN_LIKENESS[name]


def test_words_come_with_events_when_asked_for(server: Served) -> None:
    body = {"input": TEXT, "stream_format": "sse", "word_timestamps": True, "response_format": "opus"}
    lines = httpx.post(f"{server.url}/v1/audio/speech", json=body, timeout=60).text.splitlines()
    events = [json.loads(line.removeprefix("data: ")) for line in lines if line]
    words = [word for event in events if event["type"] == "speech.words" for word in event["words"]]
    assert [TEXT[word["char_start"] : word["char_end"]] for word in words] == TEXT.split()
    assert all(word["start_ms"] < word["end_ms"] for word in words)
    assert events[-1]["type"] == "speech.audio.done"


def test_speed_and_a_voice_object_are_taken(api: openai.OpenAI) -> None:
    usual, fast = speak(api, "pcm"), speak(api, "pcm", speed=2.0)
    assert len(fast) * 2 == pytest.approx(len(usual), rel=0.1)
    assert speak(api, "pcm", extra_body={"voice": {"id": "alloy"}}) == usual


def test_instructions_and_other_fields_are_ignored(api: openai.OpenAI) -> None:
    assert speak(api, "pcm", instructions="Be cheerful.") == speak(api, "pcm")


def test_models_are_listed(api: openai.OpenAI) -> None:
    assert {"tts-1", "gpt-4o-mini-tts"} <= {model.id for model in api.models.list()}


@pytest.mark.parametrize(
    ("fields", "kind", "param"),
    [
        ({"voice": "nobody"}, openai.BadRequestError, "voice"),
        ({"response_format": "midi"}, openai.BadRequestError, "response_format"),
        ({"input": "🎉"}, openai.BadRequestError, "input"),
        ({"input": "long " * 5000}, openai.APIStatusError, None),
        ({"speed": 9.0}, openai.UnprocessableEntityError, "speed"),
        ({"stream_format": "smoke"}, openai.UnprocessableEntityError, "stream_format"),
        ({"input": 5}, openai.UnprocessableEntityError, "input"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_refusals_are_the_packages_own_exceptions(
    api: openai.OpenAI, fields: dict[str, Any], kind: type[openai.APIStatusError], param: str | None
) -> None:
    request: dict[str, Any] = {"model": "tts-1", "voice": "alloy", "input": TEXT} | fields
    with pytest.raises(kind) as refused:
        api.audio.speech.create(**request)
    assert refused.value.code
    assert param is None or refused.value.param == param
    assert refused.value.response.headers["x-request-id"] == refused.value.request_id


def test_a_client_that_comes_while_the_voice_is_loading_comes_again_by_itself(tmp_path: Path) -> None:
    served: Callable[..., AbstractContextManager[Served]] = serve_process
    with served(log=tmp_path / "log", model="hibari", wait_ready=False) as server:
        wait_until_it_listens(server)
        speech = client_of(server, max_retries=8).audio.speech.create(model="tts-1", voice="alloy", input="Hi.")
        assert len(decoded(speech.read())[0]) > 0


def wait_until_it_listens(server: Served) -> None:
    transport = httpx.HTTPTransport(retries=20)  # waits longer after each
    with httpx.Client(transport=transport) as client:
        assert client.get(f"{server.url}/health").status_code == 200
