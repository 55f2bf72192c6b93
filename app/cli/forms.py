"""The forms of audio by the names that a shell gives them. What the engine offers, without importing it."""

from pathlib import PurePath
from typing import Final, Literal, TypeAlias

Encoding: TypeAlias = Literal["pcm_s16le", "pcm_f32le", "mulaw", "alaw"]

FORMATS: Final = ("mp3", "opus", "aac", "flac", "wav", "pcm")
RAW_FORMATS: Final = ("wav", "pcm")
ENCODINGS: Final[tuple[Encoding, ...]] = ("pcm_s16le", "pcm_f32le", "mulaw", "alaw")
SAMPLE_RATES_HZ: Final = (8000, 16000, 22050, 24000, 44100, 48000)

DEFAULT_RATE_HZ: Final = 24_000
"""What the speech endpoint's own default is: a text sounds the same with a server and without."""

SUFFIXES: Final = {
    ".mp3": "mp3", ".opus": "opus", ".ogg": "opus", ".aac": "aac", ".flac": "flac", ".wav": "wav",
    ".pcm": "pcm", ".raw": "pcm",
}  # fmt: skip
"""What a file's name says of its format."""

WORD_SUFFIXES: Final = (".srt", ".vtt", ".json")


def format_of(name: str) -> str | None:
    """The format that a file's name ends in; None where it names none."""
    return SUFFIXES.get(PurePath(name).suffix.lower())
