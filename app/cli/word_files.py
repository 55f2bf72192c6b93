"""The words of a speech as a file: SubRip or WebVTT captions, or each word with its times as JSON."""

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import msgspec

from app.cli.captions import Caption, captions
from app.cli.pieces import TimedWord

WordFile: TypeAlias = Callable[[str, Sequence[TimedWord], float], str]
"""Given the text, its words, and how long it sounds in milliseconds: what is in the file."""


def srt(text: str, words: Sequence[TimedWord], audio_ms: float) -> str:
    """SubRip captions. Source: the format of Zuggy's SubRip, as players read it: numbered, a comma before the ms."""
    parts = [
        f"{number}\n{_clock(caption.start_ms, ',')} --> {_clock(caption.end_ms, ',')}\n{_shown(caption)}\n"
        for number, caption in enumerate(captions(unmarked(text), words, audio_ms), 1)
    ]
    return "\n".join(parts)


def vtt(text: str, words: Sequence[TimedWord], audio_ms: float) -> str:
    """WebVTT captions. Source: W3C, WebVTT: The Web Video Text Tracks Format, sections 4.1 and 4.2.2 (escapes)."""
    parts = [
        f"{_clock(caption.start_ms, '.')} --> {_clock(caption.end_ms, '.')}\n{_escaped(_shown(caption))}\n"
        for caption in captions(unmarked(text), words, audio_ms)
    ]
    return "\n".join(["WEBVTT\n", *parts])


def json(_: str, words: Sequence[TimedWord], __: float) -> str:
    """A list of words, as the speech endpoint sends them."""
    return msgspec.json.format(msgspec.json.encode(words)).decode() + "\n"


WORD_FILES: Final[dict[str, WordFile]] = {".srt": srt, ".vtt": vtt, ".json": json}
"""By the suffix of a file's name."""


def unmarked(text: str) -> str:
    """Without Markdown, as it was spoken, and as long as before."""
    from engines.markup import Markup  # and with it NumPy, which a client that wants no captions has no use for

    markup = Markup()
    return markup.push(text) + markup.flush()


def _clock(time_ms: int, point: str) -> str:
    seconds, ms = divmod(time_ms, 1000)
    minutes, s = divmod(seconds, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{s:02}{point}{ms:03}"


def _shown(caption: Caption) -> str:
    return "\n".join(caption.lines)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
