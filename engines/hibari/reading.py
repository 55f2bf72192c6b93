"""Text to the phoneme ids that the network reads, remembering which of the client's words each id comes from."""

import json
import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import pairwise
from pathlib import Path
from typing import Final

import msgspec
from hibari.g2p import G2P
from hibari.g2p.normalize import normalize
from hibari.g2p.token import Tok

from engines.hibari.ipa import phonemes
from engines.reading.spoken import Sound

PAD: Final = 0
MAX_IDS: Final = 400
"""More than this is read in several runs of the network. Source: hibari/tts.py, MAX_PHONEMES."""

_SILENT = frozenset(' ;:,.!?—…"“”()')
_POSSESSIVE = re.compile(r"['’]s(?!\w)")
_SHORT_WORDS = re.compile(
    r"a[nst]|and|are|be|but|by|can|do|for|get|go|got|ha[ds]|he|her|hi[ms]|how|i[fns]|its|me|my|not?|o[fnr]|our|put|"
    r"she|so|the|to|up|was|we|why|you"
)
"""Words of three letters and fewer that are words in capitals too; others (OS, SAT, US) are as often initials."""
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


class _Prescribed(msgspec.Struct, frozen=True):
    """A text with a name in the place of each stretch that is not read as written, so that normalisation sees a word
    and leaves it alone; for each name what is written there, and its phonemes."""

    text: str
    written: dict[str, str]
    phonemes: dict[str, str]

    def annotated(self, normal: str) -> str:
        """The normalised text as hibari's tokenizer is told phonemes: `[name](/phonemes/)`."""
        return self._replaced(normal, {name: f"[{name}](/{sound}/)" for name, sound in self.phonemes.items()})

    def restored(self, word: str) -> str:
        return self._replaced(word, self.written)

    def _replaced(self, text: str, by_name: dict[str, str]) -> str:
        return re.sub("|".join(by_name), lambda name: by_name[name.group()], text) if by_name else text


def _prescribe(text: str, sounds: Sequence[Sound]) -> _Prescribed:
    """The text with names for the stretches that have a sound. Of two that overlap the first counts."""
    parts: list[str] = []
    written: dict[str, str] = {}
    spoken: dict[str, str] = {}
    stem, done = "zqx", 0
    while stem in text.lower():
        stem += "q"
    for sound in sorted(sounds, key=lambda sound: sound.start):
        piece, phones = text[sound.start : sound.end], phonemes(sound.ipa)
        if sound.start < done or not phones or piece != piece.strip() or not piece:
            continue
        owner = _POSSESSIVE.match(text, sound.end)
        if owner is not None:
            piece, phones = piece + owner.group(), phones + _possessive(phones)
        name = _name(stem, len(written), is_capital=piece[0].isupper())
        written[name], spoken[name] = piece, phones
        parts += text[done : sound.start], name
        done = sound.start + len(piece)
    return _Prescribed("".join([*parts, text[done:]]), written, spoken)


def _possessive(phones: str) -> str:
    """How 's sounds behind a word. Source: hibari-tts 0.2.1, hibari/g2p/lexicon.py, the suffix -s."""
    last = phones[-1]
    return "ᵻz" if last in "szʃʒʧʤ" else "s" if last in "ptkfθ" else "z"


def _name(stem: str, number: int, *, is_capital: bool) -> str:
    """A word of letters, none the beginning of another, in no dictionary."""
    name = stem + "".join(chr(ord("a") + int(digit)) for digit in str(number)) + "z"
    return name.capitalize() if is_capital else name


class Reader:
    """hibari's own text front end with positions kept. Any thread, once made."""

    def __init__(self, assets: Path) -> None:
        self._vocabulary: dict[str, int] = json.loads((assets / "vocab.json").read_text("utf-8"))
        self._letters = frozenset(json.loads((assets / "oov.json").read_text("utf-8"))["in"])
        self._g2p = G2P(british=False)

    def is_speakable(self, char: str) -> bool:
        """Letters that the pronunciation net knows, and decimal digits."""
        return char in self._letters or char in "0123456789"

    def read(self, text: str, sounds: Sequence[Sound] = ()) -> Reading:
        """The reading of a segment of text; no ids when nothing in it is pronounced. What `sounds` say of places in the
        text goes before the dictionary, where any of it is in the network's alphabet."""
        prescribed = _prescribe(text.replace("](", ")("), sounds)  # hibari's own mark for phonemes is not a client's
        normal = _LONG_NUMBER.sub(lambda run: " ".join(run.group()), normalize(prescribed.text))
        ids, spans = self._phonemes(prescribed.annotated(normal))
        return Reading(ids, list(_align(text, list(map(prescribed.restored, normal.split())), spans)))

    def _phonemes(self, normal: str) -> tuple[list[int], list[_Span]]:
        """Ids, and for each whitespace-delimited word of the normalised text the ids that are its sound."""
        ids: list[int] = []
        spans: list[_Span] = []
        start, end, has_sound = 0, 0, False
        for token in self._tokens(normal):
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

    def _tokens(self, normal: str) -> list[Tok]:
        """hibari's tokens with their phonemes; words in capitals that it takes for names and spells are read as words
        ("he WENT home")."""
        tokens = self._g2p.phonemize_tokens(self._g2p.tokenize(normal))
        shouted = self._shouted(tokens)
        if not shouted:
            return tokens
        lowered = re.sub(r"\b[A-Z]{2,}\b", lambda word: word[0].lower() if word[0] in shouted else word[0], normal)
        return self._g2p.phonemize_tokens(self._g2p.tokenize(lowered))

    def _shouted(self, tokens: list[Tok]) -> set[str]:
        """The words that are spelled for their capitals alone."""
        is_word = [token.text.isupper() and self._is_word(token.text.lower()) for token in tokens]
        around = zip([False, *is_word], [*is_word[1:], False], strict=False)
        return {
            token.text
            for token, is_known, neighbours in zip(tokens, is_word, around, strict=False)
            if (is_known or (token.text == "IT" and any(neighbours)))
            and token.phonemes == self._g2p.lexicon.get_NNP(token.text)[0]
        }

    def _is_word(self, word: str) -> bool:
        """In hibari's dictionary, or a regular form of what is."""
        if len(word) < 4:
            return bool(_SHORT_WORDS.fullmatch(word))
        lexicon = self._g2p.lexicon
        return (
            word in lexicon.golds
            or word in lexicon.silvers
            or any(form(word, "NN", None, None)[0] for form in (lexicon.stem_s, lexicon.stem_ed, lexicon.stem_ing))
        )


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
