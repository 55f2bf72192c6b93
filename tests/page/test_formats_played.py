"""Every format, from every path, in the players that people have: a browser's media element, its decoder, and ffmpeg.

None of them has anything to warn of.
"""

import base64
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from playwright.sync_api import Error, Page, Route

from engines.formats import FORMATS
from engines.types import Pcm
from tests.contract import int16_samples
from tests.decoding import similarity
from tests.serving import Served

TEXT = "Here it is. And again."
HZ = 24_000
PATHS = ("/v1/audio/speech", "/v1/audio/speech/stream")
FILES = tuple(name for name in FORMATS if name != "pcm")
"""What says of itself what it is."""

MIN_LIKENESS = {"mp3": 0.97, "opus": 0.95, "aac": 0.97, "flac": 0.9999, "wav": 0.9999}
MAX_DELAY_S = 0.1
"""Of an encoder, where the file cannot say it."""

SETTLED_MS = 1500
"""So long what a browser logs of its players may be behind."""

SCRIPT = (Path(__file__).parent / "playing.js").read_text("utf-8")


def body_of(name: str) -> dict[str, Any]:
    return {"input": TEXT, "response_format": name, "sample_rate": HZ}


@pytest.fixture(scope="module")
def reference(hibari_server: Served) -> Pcm:
    """(N,) float32: what is to be heard, whichever way it is asked for."""
    response = httpx.post(f"{hibari_server.url}{PATHS[0]}", json=body_of("pcm"), timeout=30).raise_for_status()
    return int16_samples(response.content).astype(np.float32) / 32768


@pytest.fixture
def player(page: Page, hibari_server: Served, complaints: list[str]) -> Iterator[Page]:
    """An empty page of the server's own origin, in which `playing.js` runs. What Chromium's players log of the files
    they are given is a complaint as well.
    """

    def on_logged(event: dict[str, Any]) -> None:
        logged = [message for message in event["messages"] if message["level"] in ("warning", "error")]
        complaints.extend(f"player: {message['message']}" for message in logged)

    media = page.context.new_cdp_session(page)
    media.on("Media.playerMessagesLogged", on_logged)
    media.on("Media.playerErrorsRaised", lambda event: complaints.append(f"player: {event['errors']}"))
    media.send("Media.enable")

    def blank(route: Route) -> None:
        body = f"<!doctype html><link rel=icon href=data:,><script>{SCRIPT}</script>"
        route.fulfill(content_type="text/html", body=body)

    page.route("**/player", blank)
    page.goto(f"{hibari_server.url}/player")
    yield page
    page.wait_for_timeout(SETTLED_MS)


@pytest.mark.parametrize("path", PATHS)
def test_a_browser_decodes_what_the_pcm_says(player: Page, reference: Pcm, path: str) -> None:
    script = "([path, bodies, rate]) => Promise.all(bodies.map(async body => decoded(await speech(path, body), rate)))"
    found = player.evaluate(script, [path, [*map(body_of, FILES)], HZ])
    for name, data in zip(FILES, found, strict=True):
        heard = np.frombuffer(base64.b64decode(data), np.float32)
        likeness, late = similarity(heard, reference)
        assert likeness > MIN_LIKENESS[name], name
        assert -2 <= late <= MAX_DELAY_S * HZ, name
        assert len(heard) == pytest.approx(len(reference), abs=2 * MAX_DELAY_S * HZ), name
        assert np.sum(heard**2) == pytest.approx(np.sum(reference**2), rel=0.1), name


@pytest.mark.parametrize("path", PATHS)
def test_media_elements_play_it_to_its_end(player: Page, reference: Pcm, path: str) -> None:
    """Each format in one of its own, all at once."""
    script = """([path, bodies]) => Promise.all(bodies.map(async body => {
        const file = await speech(path, body);
        return played(URL.createObjectURL(file));
    }))"""
    for name, result in zip(FILES, player.evaluate(script, [path, [*map(body_of, FILES)]]), strict=True):
        assert_played(name, result, reference)


def test_media_elements_play_streams_while_they_are_made(player: Page, hibari_server: Served, reference: Pcm) -> None:
    """The one path that an `<audio src>` can ask for by itself."""
    addresses = [closed_stream(hibari_server, name) for name in FILES]
    found = player.evaluate("addresses => Promise.all(addresses.map(played))", addresses)
    for name, result in zip(FILES, found, strict=True):
        assert_played(name, result, reference)


def closed_stream(served: Served, name: str) -> str:
    """The address of a stream's audio, whose text is there."""
    stream = f"{served.url}/v1/tts/stream"
    opened = httpx.post(stream, json={"response_format": name, "sample_rate": HZ}).raise_for_status().json()
    httpx.post(f"{stream}/{opened['stream_id']}/append", json={"text": TEXT}).raise_for_status()
    httpx.post(f"{stream}/{opened['stream_id']}/close").raise_for_status()
    return opened["audio_url"]


def assert_played(name: str, result: dict[str, float], reference: Pcm) -> None:
    duration_s = len(reference) / HZ
    assert result["durationS"] == pytest.approx(duration_s, abs=2 * MAX_DELAY_S), name
    assert result["playedS"] == pytest.approx(result["durationS"], abs=0.05), name
    assert result["numRanges"] == 1, name
    assert result["loudest"] > 0.25 * loudest(reference), name


def loudest(pcm: Pcm, size: int = 2048) -> float:
    """The root mean square of the loudest `size` samples."""
    return float(np.sqrt(np.convolve(pcm**2, np.ones(size) / size, "valid").max()))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("rate_hz", [8000, 22_050, 48_000])
def test_ffmpeg_has_nothing_to_warn_of(
    hibari_server: Served, tmp_path: Path, name: str, path: str, rate_hz: int
) -> None:
    """But what it says of its own files as well: some formats have no place for their length, or a layout."""
    body = body_of(name) | {"sample_rate": rate_hz}
    ours = httpx.post(f"{hibari_server.url}{path}", json=body, timeout=30).raise_for_status().content
    own = encoded_by_ffmpeg(name, rate_hz, is_streamed=path == PATHS[1], folder=tmp_path)
    assert warnings_of(ours) <= warnings_of(own)
    for data, file in ((ours, tmp_path / f"ours.{name}"), (own, tmp_path / f"own.{name}")):
        file.write_bytes(data)
    assert warnings_of(tmp_path / f"ours.{name}") <= warnings_of(tmp_path / f"own.{name}")


def test_players_do_complain_of_something_else(player: Page, complaints: list[str]) -> None:
    """What the tests above lean on."""
    with pytest.raises(Error):
        player.evaluate("played(URL.createObjectURL(new Blob(['no sound at all'])))")
    player.wait_for_timeout(SETTLED_MS)
    assert [text for text in complaints if text.startswith("player: ")]
    complaints.clear()
    assert any("Invalid data" in line for line in warnings_of(b"no sound at all"))


def encoded_by_ffmpeg(name: str, rate_hz: int, *, is_streamed: bool, folder: Path) -> bytes:
    """Half a second of a tone as ffmpeg writes it, to a file or into a pipe."""
    muxer = {"opus": "ogg", "aac": "adts"}.get(name, name)
    codec = ["-c:a", "libopus"] if name == "opus" else []
    tone = ["-f", "lavfi", "-i", f"sine=r={48_000 if name == 'opus' else rate_hz}:d=0.5", "-ac", "1", *codec]
    if is_streamed:
        return run_ffmpeg([*tone, "-f", muxer, "-"]).stdout
    run_ffmpeg([*tone, "-y", "-f", muxer, str(folder / "tone")])
    return (folder / "tone").read_bytes()


def warnings_of(source: bytes | Path) -> set[str]:
    """What ffmpeg warns of when it decodes a file, or what comes through a pipe."""
    place, data = ("-", source) if isinstance(source, bytes) else (str(source), b"")
    said = run_ffmpeg(["-i", place, "-f", "null", "-"], data).stderr.decode()
    return {re.sub(r"^\[.*?\] |^\S+: ", "", line) for line in said.splitlines() if line}


def run_ffmpeg(arguments: list[str], data: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    assert shutil.which("ffmpeg") is not None, "ffmpeg is not on PATH: `just test-page` installs it where it can"
    return subprocess.run(["ffmpeg", "-v", "warning", *arguments], input=data, capture_output=True, check=False)
