"""Wrong input on every HTTP path: a status and a body, never a broken stream, a traceback or a hang."""

from typing import Any

import httpx
import msgspec
import pytest

SPEECH, STREAM, OPEN = "/v1/audio/speech", "/v1/audio/speech/stream", "/v1/tts/stream"
SPEAKING = (SPEECH, STREAM)
TAKING_JSON = (*SPEAKING, OPEN, "/v1/tts/stream/{id}/append")

UNSPEAKABLE = {
    "empty": "",
    "blank": " \n\t ",
    "punctuation": "... !? --",
    "emoji": "🎉🎉 👍🏽",
    "control characters": "\x00\x07\x1b",
    "a script that no voice here knows": "你好。",
}

WRONG_FIELDS: list[tuple[dict[str, Any], int, str]] = [
    ({"voice": "nobody"}, 400, "voice"),
    ({"voice": {"id": "nobody"}}, 400, "voice"),
    ({"voice": ""}, 400, "voice"),
    ({"voice": 5}, 422, "voice"),
    ({"voice": {"name": "aria"}}, 422, "voice"),
    ({"language": "tlh"}, 400, "language"),
    ({"language": ""}, 400, "language"),
    ({"language": ["en"]}, 422, "language"),
    ({"sample_rate": 11025}, 400, "sample_rate"),
    ({"sample_rate": 0}, 400, "sample_rate"),
    ({"sample_rate": -24000}, 400, "sample_rate"),
    ({"sample_rate": "24000"}, 422, "sample_rate"),
    ({"sample_rate": 24000.5}, 422, "sample_rate"),
    ({"sample_rate": True}, 422, "sample_rate"),
    ({"response_format": "midi"}, 400, "response_format"),
    ({"response_format": 3}, 422, "response_format"),
    ({"seed": "lucky"}, 422, "seed"),
    ({"seed": -1}, 422, "seed"),
    ({"seed": 2**70}, 422, "seed"),
    ({"temperature": -0.1}, 422, "temperature"),
    ({"temperature": 2.1}, 422, "temperature"),
    ({"temperature": "warm"}, 422, "temperature"),
    ({"top_k": 0}, 422, "top_k"),
    ({"top_k": 2049}, 422, "top_k"),
    ({"top_k": 1.5}, 422, "top_k"),
    ({"cfg_scale": 0.9}, 422, "cfg_scale"),
    ({"cfg_scale": 10.1}, 422, "cfg_scale"),
    ({"cfg_scale": True}, 422, "cfg_scale"),
]

MALFORMED = {
    "nothing": b"",
    "half an object": b"{",
    "not JSON": b"input=Hello",
    "an array": b"[]",
    "a string": b'"Hello"',
    "a number": b"5",
    "bytes that are not UTF-8": b'{"input": "Hello \xff", "text": "Hello \xff"}',
    "two documents": b'{"input": "Hello.", "text": "Hello."} {}',
    "half a surrogate pair": b'{"input": "Hello \\ud83d.", "text": "Hello \\ud83d."}',
    "an object nested too deep": b'{"input": "Hello.", "text": "Hello.", "more": '
    + b"[" * 50_000
    + b"]" * 50_000
    + b"}",
    "brackets without end": b"[" * 100_000,
}


def path_of(client: httpx.Client, path: str) -> str:
    """`path` with the id of a stream that is open."""
    return path.format(id=client.post(OPEN).json()["stream_id"]) if "{" in path else path


@pytest.mark.parametrize("path", SPEAKING)
@pytest.mark.parametrize("text", UNSPEAKABLE.values(), ids=UNSPEAKABLE.keys())
def test_a_text_without_anything_to_speak_is_400(client: httpx.Client, path: str, text: str) -> None:
    for response_format in ("pcm", "wav"):
        response = client.post(path, json={"input": text, "response_format": response_format})
        assert response.status_code == 400
        assert response.json()["error"]["param"] == "input"


@pytest.mark.parametrize("path", SPEAKING)
@pytest.mark.parametrize("text", ["Déjà vu à Orléans.", "Hello 🎉 there.", "Hello 你好 there.", "\ufeffHello\x00 you."])
def test_what_cannot_be_spoken_is_left_out_and_the_rest_is_spoken(client: httpx.Client, path: str, text: str) -> None:
    response = client.post(path, json={"input": text, "response_format": "pcm"})
    assert response.status_code == 200
    assert len(response.content) > 10_000


@pytest.mark.parametrize("path", [*SPEAKING, OPEN])
@pytest.mark.parametrize(("fields", "status", "param"), WRONG_FIELDS, ids=[str(wrong[0]) for wrong in WRONG_FIELDS])
def test_a_wrong_field_is_named(
    client: httpx.Client, path: str, fields: dict[str, Any], status: int, param: str
) -> None:
    response = client.post(path, json={"input": "Hello."} | fields)
    assert response.status_code == status
    assert param in str(response.json()["error"]["param"])  # "voice", or "voice.id"


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        (SPEECH, {"speed": 0.1}),
        (SPEECH, {"speed": 4.5}),
        (SPEECH, {"speed": "fast"}),
        (SPEECH, {"stream_format": "smoke"}),
        (SPEECH, {"model": 5}),
        (STREAM, {"first_chunk_frames": 0}),
        (STREAM, {"chunk_size_frames": -1}),
        (STREAM, {"chunk_size_frames": "many"}),
        (STREAM, {"overlap_frames": None}),
    ],
)
def test_a_field_of_one_path_alone_is_checked_too(client: httpx.Client, path: str, fields: dict[str, Any]) -> None:
    response = client.post(path, json={"input": "Hello."} | fields)
    assert response.status_code in (400, 422)
    assert response.json()["error"]["param"] == next(iter(fields))


def test_choices_are_listed(client: httpx.Client) -> None:
    config = client.get("/v1/audio/config").json()
    listed = {
        "voice": [*config["voices"], "alloy", "aria"],
        "language": config["languages"],
        "sample_rate": ["8000", "48000"],
        "response_format": ["pcm", "wav"],
    }
    wrong = {"voice": "nobody", "language": "tlh", "sample_rate": 1, "response_format": "midi"}
    for path in SPEAKING:
        for field, choices in listed.items():
            detail = client.post(path, json={"input": "Hello.", field: wrong[field]}).json()["detail"]
            assert all(choice in detail for choice in choices)


def test_voices_and_languages_are_refused_when_a_stream_is_opened_not_when_it_is_heard(client: httpx.Client) -> None:
    assert client.post(OPEN, json={"voice": "nobody"}).json()["error"]["code"] == "unknown_voice"
    assert client.post(OPEN, json={"language": "tlh"}).json()["error"]["code"] == "unsupported_language"


@pytest.mark.parametrize(("path", "field"), [(SPEECH, "input"), (STREAM, "input"), (TAKING_JSON[3], "text")])
def test_a_missing_or_mistyped_text_is_422(client: httpx.Client, path: str, field: str) -> None:
    path = path_of(client, path)
    for body in ({}, {field.upper(): "Hello."}, {field: None}, {field: 5}, {field: ["Hello."]}):
        response = client.post(path, json=body)
        assert response.status_code == 422
        assert response.json()["error"]["param"] == field


@pytest.mark.parametrize("path", TAKING_JSON)
@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_body_is_422(client: httpx.Client, path: str, body: bytes) -> None:
    response = client.post(path_of(client, path), content=body, headers={"Content-Type": "application/json"})
    if path == OPEN and not body:
        assert response.status_code == 200, "this path takes an empty body"
    else:
        assert response.status_code == 422


@pytest.mark.parametrize("path", SPEAKING)
def test_a_text_that_is_too_long_is_413(client: httpx.Client, path: str) -> None:
    response = client.post(path, json={"input": "word " * 10_000})
    assert response.status_code == 413
    assert response.json()["error"]["code"] == "text_too_long"


@pytest.mark.parametrize("path", TAKING_JSON)
def test_a_huge_body_is_413_and_the_server_lives(client: httpx.Client, path: str) -> None:
    body = msgspec.json.encode({"input": "x" * 9_000_000, "text": ""})
    assert client.post(path_of(client, path), content=body).status_code == 413
    assert client.get("/ready").status_code == 200


def test_a_huge_body_without_a_length_is_413(client: httpx.Client) -> None:
    response = client.post(SPEECH, content=iter([b'{"input": "'] + [b"x" * 1_000_000] * 9 + [b'"}']))
    assert response.status_code == 413
    assert response.headers["connection"] == "close", "no other request may follow what was not read"


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/append"), ("POST", "/close"), ("DELETE", ""), ("GET", "/audio")],
)
@pytest.mark.parametrize("stream_id", ["unknown", "00000000-0000-0000-0000-000000000000", "%00", "é"])
def test_an_unknown_stream_is_404(client: httpx.Client, method: str, path: str, stream_id: str) -> None:
    body = {"text": "Hello."} if path == "/append" else None
    assert client.request(method, f"{OPEN}/{stream_id}{path}", json=body).status_code == 404


def test_the_error_body_of_the_openapi_document_is_the_one_that_is_sent(client: httpx.Client) -> None:
    document = client.get("/schema/openapi.json").json()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert {"/v1/audio/speech", "/v1/audio/speech/stream", "/v1/tts/stream"} <= set(document["paths"])
    for operation in operations:
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                name = response["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
                assert set(document["components"]["schemas"][name]["properties"]) == {"detail", "error"}
