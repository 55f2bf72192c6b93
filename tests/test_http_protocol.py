"""The HTTP table of the protocol, row by row: what a request gets that is right."""

import struct

import httpx
import numpy as np
import pytest

from tests.contract import BYTES_PER_SAMPLE, SAMPLE_RATES_HZ, int16_samples, riff_chunks

OPENAI_VOICES = ("alloy", "ash", "ballad", "coral", "echo", "fable", "nova", "onyx", "sage", "shimmer", "verse",
                 "marin", "cedar")  # fmt: skip
MAGPIE_VOICES = ("aria", "john", "sofia", "jason", "leo")
SHORT = "Good morning."
TWO_SENTENCES = "The first one is here, and it is long enough. Then comes another."

FORMATS = [(rate, encoding) for rate in SAMPLE_RATES_HZ for encoding in BYTES_PER_SAMPLE]


def speech(client: httpx.Client, **fields: object) -> httpx.Response:
    response = client.post("/v1/audio/speech", json={"input": SHORT, "response_format": "pcm"} | fields)
    assert response.status_code == 200, response.text
    return response


def stream(client: httpx.Client, **fields: object) -> httpx.Response:
    response = client.post("/v1/audio/speech/stream", json={"input": SHORT} | fields)
    assert response.status_code == 200, response.text
    return response


# -- what the server says of itself ------------------------------------------------------------------------------------


def test_health_is_healthy_when_the_model_is_loaded(client: httpx.Client) -> None:
    assert client.get("/health").json().items() >= {"status": "healthy", "model_loaded": True}.items()


def test_ready_is_200_when_a_stream_would_be_accepted(client: httpx.Client) -> None:
    assert client.get("/ready").status_code == 200


def test_config_states_the_default_format_and_what_the_model_offers(client: httpx.Client) -> None:
    config = client.get("/v1/audio/config").json()
    assert config.items() >= {"sample_rate": 22050, "channels": 1, "encoding": "pcm_s16le"}.items()
    assert config["languages"][0] == "en"
    assert all(isinstance(voice, str) for voice in config["voices"])
    assert set(config["modes"]) == {"batch", "stream", "adaptive", "websocket"}
    assert config["model"]


def test_every_well_known_voice_is_listed_once_and_every_name_works_in_any_case(client: httpx.Client) -> None:
    voices = client.get("/v1/audio/voices").json()["voices"]
    assert [voice["id"] for voice in voices] == client.get("/v1/audio/config").json()["voices"]
    names = [name for voice in voices for name in (voice["id"], *voice["aliases"])]
    assert len(set(names)) == len(names)
    assert set(names) >= {*OPENAI_VOICES, *MAGPIE_VOICES}
    for voice in voices:
        assert voice["language"]
        own = speech(client, input="Hi.", voice=voice["id"]).content
        for name in voice["aliases"]:
            assert speech(client, input="Hi.", voice=name.upper()).content == own


def test_a_voice_may_be_named_as_an_object(client: httpx.Client) -> None:
    assert speech(client, voice={"id": "Aria"}).content == speech(client).content


@pytest.mark.parametrize("language", ["en", "EN", "en-US", "en-GB", "en_us"])
def test_a_locale_is_accepted_for_its_language(client: httpx.Client, language: str) -> None:
    assert speech(client, language=language).content == speech(client).content
    assert stream(client, language=language).content == stream(client).content


def test_models_are_listed_in_openais_shape(client: httpx.Client) -> None:
    models = client.get("/v1/models").json()
    assert models["object"] == "list"
    assert client.get("/v1/audio/config").json()["model"] in [model["id"] for model in models["data"]]
    assert all(model["object"] == "model" and {"created", "owned_by"} <= set(model) for model in models["data"])


def test_a_request_id_that_the_client_sends_comes_back_and_otherwise_each_is_new(client: httpx.Client) -> None:
    assert client.get("/health", headers={"X-Request-Id": "mine"}).headers["X-Request-Id"] == "mine"
    assert client.get("/health").headers["X-Request-Id"] != client.get("/health").headers["X-Request-Id"]


def test_unknown_paths_and_methods_are_answered_in_the_same_shape(client: httpx.Client) -> None:
    assert client.get("/nowhere").status_code == 404
    wrong = client.get("/v1/audio/speech")
    assert wrong.status_code == 405
    assert "POST" in wrong.headers["Allow"]


# -- POST /v1/audio/speech ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rate", "encoding"), FORMATS)
def test_speech_is_what_its_headers_say(client: httpx.Client, rate: int, encoding: str) -> None:
    response = speech(client, sample_rate=rate, encoding=encoding)
    headers = response.headers
    assert (headers["X-Sample-Rate"], headers["X-Channels"], headers["X-Encoding"]) == (str(rate), "1", encoding)
    assert headers["Content-Type"].startswith("audio/pcm")
    assert int(headers["Content-Length"]) == len(response.content)
    duration_ms = len(response.content) * 1000 / (rate * BYTES_PER_SAMPLE[encoding])
    assert float(headers["X-Duration-Ms"]) == pytest.approx(duration_ms, abs=1)


@pytest.mark.parametrize("rate", SAMPLE_RATES_HZ)
def test_encodings_write_the_same_samples_and_rates_the_same_duration(client: httpx.Client, rate: int) -> None:
    native = speech(client)
    plain = speech(client, sample_rate=rate)
    samples = int16_samples(plain.content).astype(float)
    assert float(plain.headers["X-Duration-Ms"]) == pytest.approx(float(native.headers["X-Duration-Ms"]), abs=2)
    assert np.abs(samples).max() > 1000
    for encoding, tolerance in (("pcm_f32le", 1.0), ("mulaw", 520.0), ("alaw", 520.0)):
        other = int16_samples(speech(client, sample_rate=rate, encoding=encoding).content, encoding)
        assert len(other) == len(samples)
        assert np.abs(other - samples).max() <= tolerance, encoding


def test_speech_is_24000_hz_by_default_because_openais_clients_assume_it(client: httpx.Client) -> None:
    assert speech(client).headers["X-Sample-Rate"] == "24000"


@pytest.mark.parametrize(("rate", "encoding"), FORMATS)
def test_a_wav_with_a_content_length_has_exact_sizes(client: httpx.Client, rate: int, encoding: str) -> None:
    for text in ("Hi.", "Hello.", SHORT):  # an odd number of bytes among them, where a sample is one byte
        format_ = {"sample_rate": rate, "encoding": encoding}
        response = speech(client, input=text, response_format="wav", **format_)
        assert response.headers["Content-Type"] in ("audio/wav", "audio/x-wav")
        assert int(response.headers["Content-Length"]) == len(response.content)
        chunks = riff_chunks(response.content)
        assert chunks[b"data"] == speech(client, input=text, **format_).content
        tag, channels, rate_hz, byte_rate, block, bits = struct.unpack_from("<HHIIHH", chunks[b"fmt "])
        size = BYTES_PER_SAMPLE[encoding]
        tags = {"pcm_s16le": 1, "pcm_f32le": 3, "mulaw": 7, "alaw": 6}
        assert (tag, channels, rate_hz) == (tags[encoding], 1, rate)
        assert (byte_rate, block, bits) == (rate * size, size, 8 * size)


def test_speech_ignores_the_model_name_and_fields_it_does_not_know(client: httpx.Client) -> None:
    assert speech(client, model="tts-1-hd", instructions="slowly", speed=1.0).content == speech(client).content


def test_the_same_request_gives_the_same_audio_and_another_seed_another(client: httpx.Client) -> None:
    assert speech(client, seed=7).content == speech(client, seed=7).content != speech(client, seed=8).content


@pytest.mark.parametrize("path", ["/v1/audio/speech", "/v1/audio/speech/stream"])
def test_a_json_body_counts_whatever_its_content_type(client: httpx.Client, path: str) -> None:
    body = b'{"input": "Hi.", "response_format": "pcm"}'
    for content_type in ("application/x-www-form-urlencoded", "text/plain", "application/json; charset=utf-8"):
        assert client.post(path, content=body, headers={"Content-Type": content_type}).status_code == 200


# -- POST /v1/audio/speech/stream --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rate", "encoding"), FORMATS)
def test_a_stream_is_chunked_and_what_its_headers_say(client: httpx.Client, rate: int, encoding: str) -> None:
    response = stream(client, sample_rate=rate, encoding=encoding)
    headers = response.headers
    assert (headers["X-Sample-Rate"], headers["X-Channels"], headers["X-Encoding"]) == (str(rate), "1", encoding)
    assert headers["Content-Type"].startswith("audio/pcm")
    assert headers["Transfer-Encoding"] == "chunked"
    assert "Content-Length" not in headers
    assert response.content == speech(client, sample_rate=rate, encoding=encoding).content


def test_a_stream_is_22050_hz_pcm_by_default(client: httpx.Client) -> None:
    headers = stream(client).headers
    assert (headers["X-Sample-Rate"], headers["X-Encoding"]) == ("22050", "pcm_s16le")


@pytest.mark.parametrize("encoding", BYTES_PER_SAMPLE)
def test_a_streamed_wav_states_that_its_length_is_unknown(client: httpx.Client, encoding: str) -> None:
    wav = stream(client, response_format="wav", encoding=encoding)
    assert wav.headers["Content-Type"] in ("audio/wav", "audio/x-wav")
    assert "Content-Length" not in wav.headers
    data_at = wav.content.index(b"data")
    assert wav.content[4:8] == wav.content[data_at + 4 : data_at + 8] == b"\xff\xff\xff\xff"
    assert wav.content[data_at + 8 :] == stream(client, encoding=encoding).content


@pytest.mark.parametrize("sizes", [(1, 1), (4, 8), (8, 16), (4096, 4096)])
def test_chunk_sizes_change_nothing_in_the_audio(client: httpx.Client, sizes: tuple[int, int]) -> None:
    first, later = sizes
    asked = {"first_chunk_frames": first, "chunk_size_frames": later, "overlap_frames": 0}
    whole = stream(client, input=TWO_SENTENCES).content
    assert stream(client, input=TWO_SENTENCES, **asked).content == whole


def test_the_first_chunk_holds_as_many_frames_as_asked(fake_client: httpx.Client) -> None:
    request = {"input": TWO_SENTENCES, "first_chunk_frames": 3, "chunk_size_frames": 5}
    with fake_client.stream("POST", "/v1/audio/speech/stream", json=request) as response:
        received, ends = 0, set()
        for piece in response.iter_raw():
            received += len(piece)
            ends.add(received)
    assert {3 * 1024 * 2, 8 * 1024 * 2} <= ends
