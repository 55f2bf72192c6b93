"""Text to the ids that the encoder reads, as NeMo's tokenizers give them, and which of them are which word.

Legend: a group is a run of ids between two spaces.
"""

import logging
import os
import re
import tempfile
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import import_module
from itertools import pairwise
from typing import Any, Final

import msgspec

from engines.magpie.pronouncing import takes_phonemes, with_phonemes
from engines.reading.spoken import Sound

UNSPACED: Final = frozenset({"zh", "ja"})
"""Languages written without spaces, in which a word is a character here."""

_SPACED_WORD = re.compile(r"\S+")
_UNSPACED_WORD = re.compile(r"[^\w\s]*(?:[A-Za-z0-9']+|\w)[^\w\s]*(?=\w|\s|$)|[^\w\s]+")
_PREFERRED_REGION = "msa"  # of Arabic, where no region is asked for: the standard one
_WHITE_SPACE = re.compile(r"\s")
_NUM_REMEMBERED = 4096


class WordSpan(msgspec.Struct, frozen=True):
    """A word as it stands in the text, `char_start` to `char_end`, and its ids, `id_start` to `id_end`.

    A word that the tokenizer leaves nothing of has no ids, and stands between those of its neighbours.
    """

    char_start: int
    char_end: int
    id_start: int
    id_end: int


class Tokens(msgspec.Struct, frozen=True):
    """The ids of a text, its end included, and its words. `has_sound`: there is more to them than marks and spaces."""

    ids: tuple[int, ...]
    words: tuple[WordSpan, ...]
    has_sound: bool


class Tokenizer:
    """NeMo's tokenizers of one checkpoint, one for each language. Any thread.

    Wraps NeMo's `AggregatedTTSTokenizer`. A word is always read as its phonemes where there are any: NeMo leaves one in
    five as letters, at random, as in training (`phoneme_probability`).
    """

    def __init__(self, aggregate: Any, text_eos: int, mapping: Mapping[str, Any] | None = None) -> None:
        """`mapping` is the checkpoint's own table of languages and tokenizers; without one NeMo's is used."""
        self._aggregate = aggregate
        self._text_eos = text_eos
        usable = [name for name, tokenizer in aggregate.tokenizers.items() if _is_complete(tokenizer)]
        self._names = _names_by_language(mapping or _nemo_mapping(), usable)
        for name in usable:
            _always_read_phonemes(aggregate.tokenizers[name])
            _warm_up(aggregate.tokenizers[name])
        self._phonemes = {name: _phonemes(aggregate.tokenizers[name]) for name in usable}
        self._is_speakable = lru_cache(_NUM_REMEMBERED)(self._has_sound_in)
        self._alone = lru_cache(_NUM_REMEMBERED)(self._count_alone)

    @property
    def languages(self) -> tuple[str, ...]:
        """Primary subtags (BCP 47) that there is a tokenizer for, English first where it is among them."""
        return tuple(self._names)

    def is_speakable(self, char: str, language: str | None = None) -> bool:
        """Whether this letter or digit leaves a trace in the ids: in those of `language`, or of any language.

        Digits often leave none: NeMo expects numbers to be written out.
        """
        return any(self._is_speakable(char, known) for known in ([language] if language else self._names))

    def encode(self, text: str, language: str, sounds: Sequence[Sound] = ()) -> Tokens:
        """The ids of a short text, as NeMo's `chunk_text_for_inference` gives them, but with a space for any white
        space: NeMo drops other kinds, and joins the words on both sides. Words in `sounds` are pronounced so where the
        language's tokenizer reads phonemes.

        Raises: KeyError for a language that is not in `languages`.
        """
        name = self._names[language]
        text = _WHITE_SPACE.sub(" ", text)
        ids = self._ids(with_phonemes(text, sounds, self._phonemes[name]) if sounds else text, name)
        words = _UNSPACED_WORD if language in UNSPACED else _SPACED_WORD
        found = [match.span() for match in words.finditer(text)]
        spans = self._spans(text, found, ids, name)
        return Tokens((*ids, self._text_eos), tuple(spans), self._sounds(text, ids, name))

    def _ids(self, text: str, name: str) -> list[int]:
        try:
            return self._aggregate.encode(text, name)
        except IndexError:  # some of NeMo's look at the last id of none, when only spaces are left
            return []

    # -- words -----------------------------------------------------------------------------------------------------

    def _spans(self, text: str, words: Sequence[tuple[int, int]], ids: list[int], name: str) -> list[WordSpan]:
        ranges = self._byte_ranges(text, words, ids, name)
        if ranges is None:
            groups = self._groups(ids, name)
            ranges = groups
            if len(groups) != len(words):
                alone = [self._alone(text[start:end], name) for start, end in words]
                ranges = _by_groups(alone, groups) or _by_length(alone, groups)
        return [WordSpan(*word, *place) for word, place in zip(words, ranges, strict=True)]

    def _byte_ranges(
        self, text: str, words: Sequence[tuple[int, int]], ids: list[int], name: str
    ) -> list[tuple[int, int]] | None:
        """Where each byte of the text is an id: known for certain."""
        encoded = text.encode("utf-8", "surrogatepass")
        if self._is_own(name) or len(ids) != len(encoded) + 1:
            return None
        place = [0]
        for char in text:
            place.append(place[-1] + len(char.encode("utf-8", "surrogatepass")))
        return [(place[start], place[end]) for start, end in words]

    def _count_alone(self, word: str, name: str) -> int:
        """How many ids the word has when it stands alone."""
        return sum(end - start for start, end in self._groups(self._ids(word, name), name))

    def _groups(self, ids: Sequence[int], name: str) -> list[tuple[int, int]]:
        """Runs of ids between spaces; one run of all where there are no spaces."""
        space = self._space(name)
        edges = [-1, *(place for place, token in enumerate(ids) if token == space), len(ids)]
        return [(left + 1, right) for left, right in pairwise(edges) if right > left + 1]

    # -- what the tokenizers are like --------------------------------------------------------------------------------

    def _is_own(self, name: str) -> bool:
        """Whether it is one of NeMo's, which have a table of tokens, and not one of bytes."""
        return hasattr(self._aggregate.tokenizers[name], "tokens")

    def _space(self, name: str) -> int | None:
        tokenizer = self._aggregate.tokenizers[name]
        return self._aggregate.tokenizer_offsets[name] + tokenizer.space if self._is_own(name) else None

    def _sounds(self, text: str, ids: Sequence[int], name: str) -> bool:
        if not self._is_own(name):
            return any(map(_is_sound, text))
        tokens, offset = self._aggregate.tokenizers[name].tokens, self._aggregate.tokenizer_offsets[name]
        return any(any(map(_is_sound, tokens[token - offset])) for token in ids)

    def _has_sound_in(self, char: str, language: str) -> bool:
        name = self._names[language]
        return self._sounds(char, self._ids(char, name), name)


def _is_sound(char: str) -> bool:
    """Letters, phonemes and digits, and the marks that are written on letters."""
    return char.isalnum() or unicodedata.category(char) in ("Mn", "Mc")


def _by_groups(alone: Sequence[int], groups: Sequence[tuple[int, int]]) -> list[tuple[int, int]] | None:
    """Each word that has ids is the next group; None where their numbers differ."""
    if sum(map(bool, alone)) != len(groups):
        return None
    ranges: list[tuple[int, int]] = []
    rest, at = iter(groups), 0
    for num_ids in alone:
        start, at = next(rest) if num_ids else (at, at)
        ranges.append((start, at))
    return ranges


def _by_length(alone: Sequence[int], groups: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Words share all ids as they would alone: exact where the sum is the same, as in languages without spaces."""
    places = [place for start, end in groups for place in range(start, end)]
    if not places:
        return [(0, 0)] * len(alone)
    places.append(places[-1] + 1)
    shares = alone if any(alone) else [1] * len(alone)
    scale = (len(places) - 1) / sum(shares)
    done, edges = 0, [0]
    for share in shares:
        done += share
        edges.append(round(done * scale))
    return [
        (places[left], places[right - 1] + 1) if right > left else (places[left], places[left])
        for left, right in pairwise(edges)
    ]


def _names_by_language(mapping: Mapping[str, Any], available: Sequence[str]) -> dict[str, str]:
    """Primary subtag -> the tokenizer that the checkpoint has for it. A language without one is left out."""
    found: dict[str, tuple[bool, str]] = {}
    for tag, candidates in mapping.items():
        primary, _, region = tag.lower().replace("_", "-").partition("-")
        names = [candidates] if isinstance(candidates, str) else list(candidates)
        name = next((name for name in names if name in available), None)
        is_plain = region in ("", _PREFERRED_REGION)
        if name is not None and (primary not in found or (is_plain and not found[primary][0])):
            found[primary] = (is_plain, name)
    return {language: found[language][1] for language in sorted(found, key=lambda language: language != "en")}


def _phonemes(tokenizer: Any) -> frozenset[str]:
    """What it reads of IPA; nothing, if it reads letters, bytes or another alphabet."""
    return frozenset(tokenizer.tokens) if takes_phonemes(tokenizer) else frozenset()


def _nemo_mapping() -> Mapping[str, Any]:
    from nemo.collections.tts.parts.utils.tts_dataset_utils import LANGUAGE_TOKENIZER_MAP

    return LANGUAGE_TOKENIZER_MAP


def _is_complete(tokenizer: Any) -> bool:
    """Whether it can read without fetching anything: the reader of Japanese would download its dictionary, unchecked,
    when it is first asked for it.

    Source: pyopenjtalk 0.4.1, `_lazy_init`; `OPEN_JTALK_DICT_DIR` is where the dictionary may be put beforehand.
    """
    if type(getattr(tokenizer, "g2p", None)).__name__ != "JapaneseKatakanaAccentG2p":
        return True
    return os.path.exists(import_module("pyopenjtalk").OPEN_JTALK_DICT_DIR)


def _warm_up(tokenizer: Any) -> None:
    """jieba reads its dictionary when it is first used, and keeps and trusts a copy where everybody may write."""
    if type(getattr(tokenizer, "g2p", None)).__name__ == "ChineseG2p":
        jieba = import_module("jieba")
        jieba.setLogLevel(logging.CRITICAL)
        words = jieba.dt
        with tempfile.TemporaryDirectory() as folder:
            words.tmp_dir = folder
            words.initialize()


def _always_read_phonemes(tokenizer: Any) -> None:
    holders: list[Any] = [tokenizer, getattr(tokenizer, "g2p", None)]
    for holder in holders:
        if getattr(holder, "phoneme_probability", None) is not None:
            holder.phoneme_probability = 1.0
