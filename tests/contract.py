"""What protocol.md asks of every HTTP response, whatever its path."""

import re
from typing import Any

import httpx
import numpy as np

from engines.audio import alaw_to_int16, mulaw_to_int16

BYTES_PER_SAMPLE = {"pcm_s16le": 2, "pcm_f32le": 4, "mulaw": 1, "alaw": 1}
SAMPLE_RATES_HZ = (8000, 16000, 22050, 24000, 44100, 48000)


class Contract:
    """Checks responses against an OpenAPI document; `check` is an httpx event hook."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._operations = [
            (re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), method.upper(), operation)
            for path, operations in document["paths"].items()
            for method, operation in operations.items()
        ]

    def check(self, response: httpx.Response) -> None:
        assert response.headers["X-Request-Id"]
        if response.status_code >= 400:
            response.read()
            check_refusal(response)
        operation = self._operation(response.request)
        if operation is not None:
            assert str(response.status_code) in operation["responses"], (
                f"{response.status_code} of {response.request.method} {response.request.url.path} is not documented"
            )

    async def check_async(self, response: httpx.Response) -> None:
        if response.status_code >= 400:
            await response.aread()
        self.check(response)

    def _operation(self, request: httpx.Request) -> dict[str, Any] | None:
        """None: no such path, or not with this method."""
        for path, method, operation in self._operations:
            if method == request.method and path.fullmatch(request.url.path):
                return operation
        return None


def check_refusal(response: httpx.Response) -> None:
    """The two error shapes in one, and a time to come back where that helps."""
    body = response.json()
    assert isinstance(body["detail"], str)
    assert body["detail"]
    assert set(body["error"]) >= {"message", "type", "param", "code"}
    assert body["error"]["message"] == body["detail"]
    assert isinstance(body["error"]["type"], str)
    assert isinstance(body["error"]["code"], str)
    assert "Traceback" not in response.text
    if response.status_code in (429, 503):
        assert int(response.headers["Retry-After"]) >= 1


def int16_samples(audio: bytes, encoding: str = "pcm_s16le") -> np.ndarray:
    """(N,) int16, whichever way the samples are written."""
    match encoding:
        case "pcm_s16le":
            return np.frombuffer(audio, "<i2")
        case "pcm_f32le":
            return np.rint(np.frombuffer(audio, "<f4") * 32767).astype(np.int16)
        case "mulaw":
            return mulaw_to_int16(np.frombuffer(audio, np.uint8))
        case _:
            return alaw_to_int16(np.frombuffer(audio, np.uint8))


def riff_chunks(wav: bytes) -> dict[bytes, bytes]:
    """A RIFF file's chunks by name, read with the sizes that it states."""
    assert wav[:4] == b"RIFF"
    assert wav[8:12] == b"WAVE"
    assert int.from_bytes(wav[4:8], "little") == len(wav) - 8, "the RIFF size is the file's"
    chunks: dict[bytes, bytes] = {}
    at = 12
    while at < len(wav):
        size = int.from_bytes(wav[at + 4 : at + 8], "little")
        assert at + 8 + size <= len(wav), "a chunk does not reach beyond the file"
        chunks[wav[at : at + 4]] = wav[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    return chunks
