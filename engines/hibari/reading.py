"""Text to the phoneme ids that the network reads, remembering which of the client's words each id comes from."""

import json
import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from itertools import pairwise
from pathlib import Path
from typing import Final

import msgspec
from hibari.g2p import G2P
from hibari.g2p.normalize import normalize

PAD: Final = 0
MAX_IDS: Final = 400
"""More than this is read in several runs of the network. Source: hibari/tts.py, MAX_PHONEMES."""

_SILENT = frozenset(' ;:,.!?—…"“”()')
_LONG_NUMBER = re.compile(r"\d{16,}")  # hibari's number reader ends at decillions: longer ones are read digit by digit


class SpokenWord(msgspec.Struct, frozen=True):
    """A word as the client wrote it, `char_start` to `char_end` in the segment, and its ids: `id_start` to `id_end`."""

    text: str
    char_start: int
    char_end: int
    id_start: float
    id_end: float


class Reading(msgspec.Struct, frozen=True):
    """Phoneme ids of a segment without pads, and its words. Fractions of an id share it between words."""

    ids: list[int]
    words: list[SpokenWord]

    def split(self) -> tuple["Reading", "Reading"]:
        """What fits one run of the network, cut before a word, and the rest."""
        if len(self.ids) <= MAX_IDS:
            return self, Reading([], [])
        starts = [round(word.id_start) for word in self.words if 0 < word.id_start <= MAX_IDS]
        at = max(starts, default=MAX_IDS)
        return Reading(self.ids[:at], [w for w in self.words if w.id_end <= at]), Reading(
            self.ids[at:], [_earlier(w, at) for w in self.words if w.id_end > at]
        )


def _earlier(word: SpokenWord, num_ids: int) -> SpokenWord:
    return msgspec.structs.replace(word, id_start=max(0.0, word.id_start - num_ids), id_end=word.id_end - num_ids)


class _Span(msgspec.Struct, frozen=True):
    start: float
    end: float


class Reader:
    """hibari's own text front end with positions kept. Any thread, once made."""

    def __init__(self, assets: Path) -> None:
        self._vocabulary: dict[str, int] = json.loads((assets / "vocab.json").read_text("utf-8"))
        self._letters = frozenset(json.loads((assets / "oov.json").read_text("utf-8"))["in"])
        self._g2p = G2P(british=False)

    def is_speakable(self, char: str) -> bool:
        """Letters that the pronunciation net knows, and decimal digits."""
        return char in self._letters or char in "0123456789"

    def read(self, text: str) -> Reading:
        """The reading of a segment of text; no ids when nothing in it is pronounced."""
        normal = _LONG_NUMBER.sub(lambda run: " ".join(run.group()), normalize(text))
        ids, spans = self._phonemes(normal)
        return Reading(ids, list(_align(text, normal.split(), spans)))

    def _phonemes(self, normal: str) -> tuple[list[int], list[_Span]]:
        """Ids, and for each whitespace-delimited word of the normalised text the ids that are its sound."""
        tokens = self._g2p.phonemize_tokens(self._g2p.tokenize(normal))
        ids: list[int] = []
        spans: list[_Span] = []
        start, end, has_sound = 0, 0, False
        for token in tokens:
            for char in (token.phonemes or "") + (" " if token.whitespace else ""):
                if char == " " and not ids:
                    continue
                if char in self._vocabulary:
                    ids.append(self._vocabulary[char])
                if char not in _SILENT:
                    start, end, has_sound = (start if has_sound else len(ids) - 1), len(ids), True
            if token.whitespace:
                spans.append(_Span(start, end) if has_sound else _Span(end, end))
                has_sound = False
        spans.append(_Span(start, end) if has_sound else _Span(end, end))
        while ids and ids[-1] == self._vocabulary[" "]:
            ids.pop()
        return ids, spans


def _align(text: str, normal: list[str], spans: list[_Span]) -> Iterator[SpokenWord]:
    """The client's words, each with the ids of what the front end made of it."""
    if len(normal) != len(spans):
        return
    written = list(re.finditer(r"\S+", text))
    blocks = SequenceMatcher(None, [word.group() for word in written], normal, autojunk=False).get_opcodes()
    for _, first, last, normal_first, normal_last in blocks:
        words, heard = written[first:last], [s for s in spans[normal_first:normal_last] if s.end > s.start]
        if not heard:
            continue  # punctuation, or characters that the voice leaves out
        shares = heard if len(heard) == len(words) else _share(_Span(heard[0].start, heard[-1].end), words)
        for word, span in zip(words, shares, strict=True):
            yield SpokenWord(word.group(), word.start(), word.end(), span.start, span.end)


def _share(span: _Span, words: list[re.Match[str]]) -> list[_Span]:
    """A stretch of sound divided among words by their length: "7:30 pm" is read as three words, and written as two."""
    ends = [0.0]
    for word in words:
        ends.append(ends[-1] + len(word.group()))
    scale = (span.end - span.start) / (ends[-1] or 1.0)
    return [_Span(span.start + a * scale, span.start + b * scale) for a, b in pairwise(ends)]
