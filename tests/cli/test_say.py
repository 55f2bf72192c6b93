"""`tiding say` on the fake voice: where its text comes from, what it writes, and how it ends."""

import json
from pathlib import Path

import av
import numpy as np
import pytest

from engines.formats import audio_form
from engines.session import Session
from engines.types import Limits
from tests.cli.commands import invoke, run
from tests.decoding import decoded, similarity
from tests.running import frames_of, running

pytestmark = pytest.mark.slow

HELLO = "Hello there. This is said once."
CODECS = {
    "mp3": ("mp3float", "a.mp3"), "opus": ("opus", "a.ogg"), "aac": ("aac", "a.aac"), "flac": ("flac", "a.flac"),
    "wav": ("pcm_s16le", "a.wav"),
}  # fmt: skip


def said(folder: Path, *arguments: str, name: str = "said.wav") -> bytes:
    """The file of a command that goes well and has nothing to say."""
    result = invoke(["say", *arguments, "-o", str(folder / name)])
    assert (result.exit_code, result.output) == (0, "")
    return (folder / name).read_bytes()


def samples(data: bytes) -> np.ndarray:
    assert data[36:40] == b"data"
    return np.frombuffer(data[44:], "<i2")


# -- text in -----------------------------------------------------------------------------------------------------------


def test_arguments_files_and_a_pipe_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "text").write_text(HELLO)
    spoken = said(tmp_path, *HELLO.split())
    assert said(tmp_path, HELLO) == spoken
    assert said(tmp_path, "-f", str(tmp_path / "text")) == spoken
    for arguments in (["say"], ["say", "-f", "-"]):
        result = invoke([*arguments, "-o", str(tmp_path / "piped.wav")], HELLO)
        assert result.exit_code == 0
        assert (tmp_path / "piped.wav").read_bytes() == spoken


def test_files_are_paragraphs(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("Hello there.")
    (tmp_path / "two").write_bytes(b"\xef\xbb\xbfThis is said once.\r\n")
    both = said(tmp_path, "-f", str(tmp_path / "one"), "-f", str(tmp_path / "two"))
    assert both == said(tmp_path, "Hello there.\n\nThis is said once.")
    assert both != said(tmp_path, "Hello there. This is said once.")


def test_a_file_that_is_no_text_is_named_with_the_byte(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    result = invoke(["say", "-f", str(tmp_path / "latin")])
    assert (result.exit_code, result.stderr) == (
        1,
        f"tiding: {tmp_path / 'latin'} is not text in UTF-8: byte 3 is 0xe9\n",
    )


# -- audio out ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", CODECS)
def test_a_suffix_says_the_format(tmp_path: Path, form: str) -> None:
    codec, name = CODECS[form]
    data = said(tmp_path, HELLO, name=name)
    with av.open(str(tmp_path / name)) as file:
        assert file.streams.audio[0].codec_context.name == codec
    whole = samples(said(tmp_path, HELLO)) / np.float32(32768)
    pcm, rate_hz = decoded(data)
    assert rate_hz == 24_000 or form == "opus"
    if rate_hz == 24_000:
        assert similarity(pcm, whole)[0] > 0.95
        assert abs(len(pcm) - len(whole)) <= 2500


@pytest.mark.parametrize("name", ["a.pcm", "a.raw"])
def test_raw_samples_are_those_of_the_wav(tmp_path: Path, name: str) -> None:
    assert said(tmp_path, HELLO, name=name) == said(tmp_path, HELLO)[44:]


def test_a_format_that_is_named_goes_before_the_suffix(tmp_path: Path) -> None:
    assert said(tmp_path, HELLO, "--format", "flac", name="a.mp3")[:4] == b"fLaC"


@pytest.mark.parametrize("form", ["mp3", "flac", "wav"])
def test_a_file_states_its_exact_length(tmp_path: Path, form: str) -> None:
    num_samples = len(samples(said(tmp_path, HELLO)))
    data = said(tmp_path, HELLO, name=f"a.{form}")
    if form == "wav":
        assert int.from_bytes(data[4:8], "little") == len(data) - 8
        assert int.from_bytes(data[40:44], "little") == len(data) - 44
    else:
        assert b"Xing" in data or b"Info" in data or int.from_bytes(data[21:26], "big") & (1 << 36) - 1 == num_samples
        assert len(decoded(data)[0]) == pytest.approx(num_samples, abs=1)


@pytest.mark.parametrize(("encoding", "num_bytes"), [("mulaw", 1), ("alaw", 1), ("pcm_f32le", 4)])
def test_samples_are_written_as_asked(tmp_path: Path, encoding: str, num_bytes: int) -> None:
    usual = samples(said(tmp_path, HELLO, "--sample-rate", "8000"))
    data = said(tmp_path, HELLO, "--sample-rate", "8000", "--encoding", encoding)
    assert int.from_bytes(data[54:58], "little") == len(usual) * num_bytes
    pcm, rate_hz = decoded(data)
    assert rate_hz == 8000
    assert similarity(pcm, usual / np.float32(32768))[0] > 0.99


def test_stdout_has_the_samples_of_the_file_behind_a_header_of_unknown_length(tmp_path: Path) -> None:
    whole = said(tmp_path, HELLO)
    for arguments in ([HELLO], [HELLO, "-o", "-"]):
        result = invoke(["say", *arguments])
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout_bytes[40:44] == b"\xff" * 4
        assert result.stdout_bytes[44:] == whole[44:]


def test_voice_language_seed_and_speed_change_what_is_heard(tmp_path: Path) -> None:
    usual = said(tmp_path, HELLO)
    assert said(tmp_path, HELLO) == usual
    for options in (["--voice", "square"], ["--language", "de-DE"], ["--seed", "7"], ["--speed", "2"]):
        assert said(tmp_path, HELLO, *options) != usual
    assert len(said(tmp_path, HELLO, "--speed", "2")) == pytest.approx(len(usual) / 2, rel=0.1)


def test_a_file_that_was_there_is_replaced_and_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real.wav").write_bytes(b"old")
    (tmp_path / "said.wav").symlink_to(tmp_path / "real.wav")
    assert said(tmp_path, HELLO)[:4] == b"RIFF"
    assert (tmp_path / "said.wav").is_symlink()
    assert {path.name for path in tmp_path.iterdir()} == {"real.wav", "said.wav"}


def test_what_is_no_file_is_written_and_stays_what_it_is() -> None:
    result = invoke(["say", HELLO, "--format", "wav", "-o", "/dev/null"])
    assert (result.exit_code, result.output) == (0, "")
    assert Path("/dev/null").is_char_device()


# -- long texts --------------------------------------------------------------------------------------------------------


def long_text(num_chars: int) -> str:
    sentences = [f"Sentence {number} goes on, as sentences do; then it ends.\n" for number in range(num_chars // 50)]
    return "".join(sentences)[:num_chars]


async def in_one_piece(text: str) -> bytes:
    """The samples of a session that is handed all of a text at once."""
    limits = Limits(max_waiting_chars=len(text), max_request_chars=len(text))
    async with running(limits=limits) as (engine, _):
        session: Session = engine.open_session(cutting="sentence", is_paced=False)
        session.push(text)
        session.finish()
        frames = await frames_of(session)
        encoder = audio_form("pcm", 24_000, "pcm_s16le").encoder(engine.format.sample_rate_hz)
        return b"".join(encoder.encode(f.pcm) + (encoder.end_segment() if f.is_segment_end else b"") for f in frames)


@pytest.mark.slow
async def test_a_text_that_is_longer_than_a_session_holds_sounds_as_it_would_in_one_piece(tmp_path: Path) -> None:
    text = long_text(30_000)
    expected = await in_one_piece(text)
    (tmp_path / "text").write_text(text)
    done = run("say", "-f", str(tmp_path / "text"), "--format", "pcm", "-o", str(tmp_path / "said.pcm"))
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "said.pcm").read_bytes() == expected


@pytest.mark.parametrize(
    "silence", [" \n" * 15_000, "日本語" * 10_000, "😀 " * 15_000, f"\n```\n{'code ' * 6_000}\n```\n"],
    ids=["white space", "another script", "emoji", "code"],
)  # fmt: skip
def test_a_long_silence_in_a_text_does_not_stop_it(silence: str) -> None:
    done = run("say", "--format", "pcm", "-q", text=f"Before. {silence} Behind.")
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(done.stdout) > len(invoke(["say", "Before.", "--format", "pcm"]).stdout_bytes)


# -- words -------------------------------------------------------------------------------------------------------------


def test_words_are_written_beside_the_audio(tmp_path: Path) -> None:
    words = tmp_path / "said.json"
    said(tmp_path, HELLO, "--words", str(words))
    spoken = json.loads(words.read_text())
    assert [word["text"] for word in spoken] == HELLO.split()
    assert all(HELLO[word["char_start"] : word["char_end"]] == word["text"] for word in spoken)
    assert all(word["start_ms"] < word["end_ms"] for word in spoken)


@pytest.mark.parametrize(("suffix", "begin"), [("srt", "1\n00:00:00,"), ("vtt", "WEBVTT\n\n00:00:00."), ("VTT", "WEB")])
def test_captions_are_written_beside_the_audio(tmp_path: Path, suffix: str, begin: str) -> None:
    captions = tmp_path / f"said.{suffix}"
    said(tmp_path, HELLO, "--words", str(captions))
    assert captions.read_text().startswith(begin)
    assert "Hello there." in captions.read_text()


def test_words_come_with_a_stream_as_well(tmp_path: Path) -> None:
    result = invoke(["say", HELLO, "--words", str(tmp_path / "said.srt")])
    assert result.exit_code == 0
    assert result.stdout_bytes[:4] == b"RIFF"
    assert "This is said once." in (tmp_path / "said.srt").read_text()


# -- what is said on stderr --------------------------------------------------------------------------------------------


def test_characters_that_the_voice_cannot_speak_are_named(tmp_path: Path) -> None:
    output = ["-o", str(tmp_path / "said.wav")]
    result = invoke(["say", "Hello 日本 日.", *output])
    assert (result.exit_code, result.stderr) == (0, "tiding: the voice cannot speak, and leaves out: 日 本\n")
    assert invoke(["say", "Hello 日本.", "--quiet", *output]).stderr == ""


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["Hi.", "-o", "hi.doc"], 2, "the name hi.doc does not say its format: expected --format, or one of .mp3, "),
        (["Hi.", "-o", "hi"], 2, "the name hi does not say its format"),
        (["Hi.", "--format", "midi"], 2, "'midi' is not one of 'mp3', 'opus', 'aac', 'flac', 'wav', 'pcm'."),
        (["Hi.", "--words", "hi.txt"], 2, "--words hi.txt: expected a name that ends in .srt, .vtt, .json."),
        (["Hi.", "--encoding", "mulaw", "-o", "hi.mp3"], 2, "--encoding mulaw is for wav and pcm, not for mp3."),
        (["Hi.", "--speed", "9"], 2, "9.0 is not in the range 0.25<=x<=4.0."),
        (["Hi.", "-f", "/dev/null"], 2, "both a text and a file are given"),
        (["-f", "/nowhere/text"], 2, "'/nowhere/text' does not exist."),
        (["Hi.", "--server", "localhost:8001"], 2, "'localhost:8001' is no address of a server: expected one like"),
        (["Hi.", "--server", "http://a:b"], 2, "'http://a:b' is no address of a server"),
        (["Hi.", "--api-key", "two\nlines"], 2, "a key has no line ends"),
        (["Hi.", "--voice", "bob"], 1, "tiding: unknown voice 'bob'; choose one of: sine, square, aria"),
        (["Hi.", "--language", "fi"], 1, "tiding: unsupported language 'fi'; choose one of: en, de"),
        (["Hi.", "-o", "/nowhere/hi.wav"], 1, "tiding: /nowhere/hi.wav cannot be written: No such file or directory"),
        (["\udce9"], 1, "tiding: the text is not in UTF-8"),
        ([""], 1, "tiding: the text holds nothing that can be spoken"),
        (["😀 ..."], 1, "tiding: the text holds nothing that can be spoken"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(arguments: list[str], status: int, message: str) -> None:
    result = invoke(["say", *arguments])
    assert result.exit_code == status
    assert message in result.stderr
    assert result.stdout_bytes == b""


def test_a_wrong_setting_is_misuse() -> None:
    result = invoke(["say", "Hi."], prot="80")
    assert (result.exit_code, result.stderr) == (
        2,
        "tiding: TIDING_PROT is not a setting; did you mean TIDING_PORT?\n",
    )
