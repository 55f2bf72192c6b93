"""Reads a segment of text: look-alikes are folded, the rules of its language find what is read otherwise, and the
pieces are put together with the words they come from.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

import msgspec

from engines.reading.composing import then
from engines.reading.english import english
from engines.reading.folding import Folded, fold
from engines.reading.languages import other_language
from engines.reading.lexicon import EMPTY, Lexicon
from engines.reading.rules import Piece, Reader, find_pieces
from engines.reading.spoken import Sound, Span, Spoken

_UNREAD: Final = Reader(())
_MAX_READINGS: Final = 8
_RUN = re.compile(r"\S+")
_LETTER_A = re.compile(r"(?<![\w'’])A(?![\w'’])")
_LETTER_A_IPA: Final = "ˈeɪ"  # a voice would read the article


def read(text: str, language: str = "en", lexicon: Lexicon = EMPTY) -> Spoken:
    """A segment of text as it is read aloud, with the places its words come from.

    `language` is a BCP 47 tag. English, German, Spanish, French, Italian and Vietnamese are read; in others only the
    lexicon is. Any thread.
    """
    reader = _reader(language)
    folded = Folded(text, range(len(text) + 1)) if reader is _UNREAD else fold(text)
    fixed = [_respelled(piece, reader) for piece in lexicon.find(folded.text)]
    return _settled(folded, reader, fixed)


@lru_cache(maxsize=4096)
def is_read(char: str, language: str) -> bool:
    """Whether `read` makes words of this character by itself: digits, "½", "²", "%"."""
    spoken = read(char, language).text
    return spoken != char and any(map(str.isalpha, spoken))


@lru_cache(maxsize=64)
def _reader(language: str) -> Reader:
    primary, *subtags = language.replace("_", "-").split("-")
    region = next((tag.upper() for tag in subtags if len(tag) == 2), "")
    return english(region) if primary.lower() == "en" else other_language(primary.lower()) or _UNREAD


def _read_once(folded: Folded, reader: Reader, fixed: Sequence[Piece] = ()) -> Spoken:
    pieces = list(find_pieces(folded.text, reader, fixed))
    return _assembled(folded, pieces) if pieces else _as_written(folded)


def _settled(folded: Folded, reader: Reader, fixed: Sequence[Piece] = ()) -> Spoken:
    """The reading, read again until nothing changes: what came to stand side by side may make something new."""
    spoken, written = _read_once(folded, reader, fixed), folded.text
    for _ in range(_MAX_READINGS if reader.rules else 0):
        if spoken.text == written:
            break
        written = spoken.text
        again = _read_once(fold(written), reader, _prescribed(spoken))
        spoken = then(spoken, again)
    return spoken


def _prescribed(spoken: Spoken) -> list[Piece]:
    """Words whose sound somebody chose: no rule is to touch them."""
    return [
        Piece(sound.start, sound.end, spoken.text[sound.start : sound.end], sound.ipa)
        for sound in spoken.sounds
        if sound.ipa != _LETTER_A_IPA
    ]


def _respelled(piece: Piece, reader: Reader) -> Piece:
    """A piece of the lexicon, whose words are read as well."""
    words = _settled(fold(piece.words), reader).text
    return msgspec.structs.replace(piece, words=words)


class _Group(msgspec.Struct):
    """Neighbouring words that are read as one thing, and the pieces in them."""

    start: int
    end: int
    pieces: list[Piece]


def _groups(text: str, pieces: list[Piece]) -> Iterator[_Group]:
    """Words, those that a piece spans together."""
    group, at = _Group(0, 0, []), 0
    for run in _RUN.finditer(text):
        is_spanned = bool(group.pieces) and group.pieces[-1].end > run.start()
        if not is_spanned:
            if group.end:
                yield group
            group = _Group(run.start(), run.end(), [])
        group.end = run.end()
        while at < len(pieces) and pieces[at].start < run.end():
            group.pieces.append(pieces[at])
            at += 1
    if group.end:
        yield group


def _as_written(folded: Folded) -> Spoken:
    """What `_assembled` makes of a text in which nothing is read otherwise."""
    origins = folded.origins
    runs = (run.span() for run in _RUN.finditer(folded.text))
    return Spoken(folded.text, tuple(Span(start, end, origins[start], origins[end - 1] + 1) for start, end in runs))


def _assembled(folded: Folded, pieces: list[Piece]) -> Spoken:
    """White space between groups stays as it is; a group that is read as nothing leaves only that."""
    text, origins = folded.text, folded.origins
    parts: list[str] = []
    spans: list[Span] = []
    sounds: list[Sound] = []
    length = end = 0
    for group in _groups(text, pieces):
        gap, words, group_sounds = text[end : group.start], *_said(text, group)
        if words:
            at = length + len(gap)
            spans.append(Span(at, at + len(words), origins[group.start], origins[group.end - 1] + 1))
            sounds += [Sound(at + one.start, at + one.end, one.ipa) for one in group_sounds]
        parts += [gap, words]
        length += len(gap) + len(words)
        end = group.end
    return Spoken("".join([*parts, text[end:]]), tuple(spans), tuple(sounds))


def _said(text: str, group: _Group) -> tuple[str, list[Sound]]:
    """A group's words without space around them; words and numbers that touched are parted."""
    said, sounds, at = _Said(), list[Sound](), group.start
    for piece in group.pieces:
        said.add(text[at : piece.start])
        sounds += _sounds(piece, said.add(piece.words))
        at = piece.end
    said.add(text[at : group.end])
    whole = "".join(said.parts)
    num_leading = len(whole) - len(whole.lstrip())
    return whole.strip(), [Sound(one.start - num_leading, one.end - num_leading, one.ipa) for one in sounds]


class _Said(msgspec.Struct):
    """Text that is put together."""

    parts: list[str] = []
    length: int = 0

    def add(self, part: str) -> int:
        """Where the part begins: behind a space, where two words would touch."""
        if part:
            if self.parts and self.parts[-1][-1].isalnum() and part[0].isalnum():
                self.parts.append(" ")
                self.length += 1
            self.parts.append(part)
            self.length += len(part)
        return self.length - len(part)


def _sounds(piece: Piece, start: int) -> Iterator[Sound]:
    if piece.ipa:
        yield Sound(start, start + len(piece.words), piece.ipa)
        return
    for letter in _LETTER_A.finditer(piece.words):
        yield Sound(start + letter.start(), start + letter.end(), _LETTER_A_IPA)
