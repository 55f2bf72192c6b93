"""Captions and words as files: their syntax, read back."""

import re

import msgspec
import pytest
from hypothesis import given

from app.cli.captions import captions
from app.cli.forms import WORD_SUFFIXES
from app.cli.pieces import TimedWord
from app.cli.word_files import WORD_FILES, unmarked
from tests.cli.test_captions import many, spoken_texts, timed

pytestmark = pytest.mark.slow

CLOCK = r"(\d\d+):(\d\d):(\d\d)[,.](\d\d\d)"
SRT_CUE = re.compile(rf"(\d+)\n{CLOCK} --> {CLOCK}\n(.+(?:\n.+)?)\n")
VTT_CUE = re.compile(rf"{CLOCK} --> {CLOCK}\n(.+(?:\n.+)?)\n")

TEXT = "Salt & 3 < 4. Then, an hour later, it is done."
AN_HOUR_LATER = [
    TimedWord(word.text, word.start_ms + 3_600_000 * (index > 4), word.end_ms + 3_600_000 * (index > 4),
              word.char_start, word.char_end)
    for index, word in enumerate(timed(TEXT))
]  # fmt: skip


def ms(clock: tuple[str, ...]) -> int:
    hours, minutes, seconds, rest = map(int, clock)
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + rest


@many
@given(spoken_texts())
def test_srt_is_numbered_captions_with_blank_lines_between(spoken: tuple[str, list[TimedWord]]) -> None:
    text, words = spoken
    blocks = WORD_FILES[".srt"](text, words, words[-1].end_ms).split("\n\n")
    for number, (block, caption) in enumerate(
        zip(blocks, captions(unmarked(text), words, words[-1].end_ms), strict=True), start=1
    ):
        match = SRT_CUE.fullmatch(block if block.endswith("\n") else block + "\n")
        assert match is not None
        assert match[1] == str(number)
        assert (ms(match.groups()[1:5]), ms(match.groups()[5:9])) == (caption.start_ms, caption.end_ms)
        assert tuple(match[10].split("\n")) == caption.lines


def test_vtt_begins_with_its_name_and_escapes_what_would_be_markup() -> None:
    first, *blocks = WORD_FILES[".vtt"](TEXT, AN_HOUR_LATER, 3_700_000).split("\n\n")
    assert first == "WEBVTT"
    cues = [VTT_CUE.fullmatch(block.rstrip("\n") + "\n") for block in blocks]
    assert all(cues)
    assert "&amp; 3 &lt; 4." in blocks[0]
    assert cues[-1] is not None
    assert cues[-1][1] == "01"


def test_json_is_the_words_themselves() -> None:
    data = WORD_FILES[".json"](TEXT, AN_HOUR_LATER, 0)
    assert msgspec.json.decode(data, type=list[TimedWord]) == AN_HOUR_LATER


def test_every_suffix_that_is_offered_has_its_file() -> None:
    assert WORD_FILES.keys() == set(WORD_SUFFIXES)


@pytest.mark.parametrize("suffix", [".srt", ".vtt"])
def test_captions_show_what_was_spoken_and_no_marks(suffix: str) -> None:
    text = "This is **Tiding**, and [that](http://x.example) is `code`."
    spoken = ("This", "is", "Tiding", "and", "that", "is", "code")
    words: list[TimedWord] = []
    for number, word in enumerate(spoken):
        start = text.index(word, words[-1].char_end if words else 0)
        words.append(TimedWord(word, 300.0 * number, 300.0 * number + 250, start, start + len(word)))
    assert "This is Tiding, and that is code." in " ".join(WORD_FILES[suffix](text, words, 2100.0).split())
