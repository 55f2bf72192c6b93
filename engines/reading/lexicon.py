"""Words that somebody wants read in a way of their own: other spellings, or sounds."""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

from engines.reading.rules import Piece

MAX_ENTRIES: Final = 1000
MAX_CHARS: Final = 200
"""Of a word or phrase, and of a pronunciation."""

_IPA = re.compile(r"[a-zæçðøħŋœβθχɐ-\u02afʰʲʷˠˤⁿˡˈˌːˑ˞˥-˩ꜛꜜ↗↘ᵊᵝᵻꭧ.|‖‿ \u0300-\u036f]+")
_WORD = re.compile(r"\w+|[^\w\s]")


class Lexicon(msgspec.Struct, frozen=True):
    """Words and phrases with what is said instead: a respelling ("jiff"), or IPA between slashes ("/dʒɪf/").

    Only whole words are replaced, the longest entry first. An entry in lower case matches any case; one with a capital
    matches as it is written. A possessive 's stays, behind the sound as well. Any thread.
    """

    entries: dict[str, str] = {}

    @classmethod
    def of(cls, mapping: Mapping[str, str]) -> "Lexicon":
        """The lexicon of a mapping from word or phrase to pronunciation.

        Raises: ValueError, naming the entry, for empty or overlong ones (200 characters), for more than 1,000, and for
        characters between slashes that are not of the IPA.
        """
        if len(mapping) > MAX_ENTRIES:
            raise ValueError(f"a lexicon has at most {MAX_ENTRIES} entries, this one {len(mapping)}")
        return cls({_checked_word(word): _checked_pronunciation(word, said) for word, said in mapping.items()})

    @classmethod
    def load(cls, path: Path) -> "Lexicon":
        """The lexicon in a file: a JSON object in UTF-8.

        Raises: ValueError, with the file and the reason, where it cannot be read or is no lexicon.
        """
        try:
            return cls.of(msgspec.json.decode(path.read_bytes(), type=dict[str, str]))
        except (OSError, msgspec.DecodeError, ValueError) as error:
            raise ValueError(f"{path}: {error}") from error

    def merged(self, other: "Lexicon") -> "Lexicon":
        """Both; where they name the same word, the other's pronunciation.

        Raises: ValueError for more than 1,000 entries together.
        """
        return Lexicon.of({**self.entries, **other.entries}) if other.entries else self

    def find(self, text: str) -> Iterator[Piece]:
        """Where its entries stand in a text, in order. The words of a piece with IPA are as they are written."""
        if not self.entries:
            return
        index, end = _index(tuple(self.entries)), 0
        for place in _WORD.finditer(text):
            if place.start() < end:
                continue
            for entry in index.get(place[0].lower(), ()):
                if (match := _pattern(entry).match(text, place.start())) is not None:
                    yield _piece(match, self.entries[entry])
                    end = match.end()
                    break


EMPTY: Final = Lexicon()


@lru_cache(maxsize=64)
def _index(entries: tuple[str, ...]) -> dict[str, list[str]]:
    """Entries by the first word, in lower case; of one word, the longest first, and then those with capitals."""
    index: dict[str, list[str]] = {}
    for entry in sorted(entries, key=lambda entry: (-len(entry), entry.islower())):
        if (first := _WORD.match(entry)) is not None:
            index.setdefault(first[0].lower(), []).append(entry)
    return index


@lru_cache(maxsize=4096)
def _pattern(entry: str) -> re.Pattern[str]:
    """A whole word is no part of an address or a path either."""
    words = r"\s+".join(map(re.escape, entry.split()))
    flags = re.IGNORECASE if entry == entry.lower() else 0
    return re.compile(rf"(?<![\w@/\\])(?<!\w\.)(?:{words})(?![\w@/\\]|\.\w)", flags)


def _piece(match: re.Match[str], said: str) -> Piece:
    if said[0] == "/":
        return Piece(*match.span(), match[0], said[1:-1])
    return Piece(*match.span(), said)


def _checked_word(word: str) -> str:
    plain = " ".join(word.split())
    if not any(map(str.isalnum, plain)):
        raise ValueError(f"lexicon entry {word!r}: a word or phrase is expected")
    if len(plain) > MAX_CHARS:
        raise ValueError(f"lexicon entry {word[:40]!r}…: {len(plain)} characters, at most {MAX_CHARS}")
    return plain


def _checked_pronunciation(word: str, said: str) -> str:
    plain = " ".join(said.split())
    if len(plain) > MAX_CHARS:
        raise ValueError(f"lexicon entry {word!r}: a pronunciation of {len(plain)} characters, at most {MAX_CHARS}")
    if not plain.startswith("/"):
        if not any(map(str.isalnum, plain)):
            raise ValueError(f"lexicon entry {word!r}: the pronunciation is empty")
        return plain
    if len(plain) < 3 or not plain.endswith("/"):
        raise ValueError(f"lexicon entry {word!r}: IPA is expected between slashes, like /dʒɪf/, not {said!r}")
    if wrong := _IPA.sub("", plain[1:-1]):
        raise ValueError(f"lexicon entry {word!r}: not of the IPA: {' '.join(dict.fromkeys(wrong))}")
    return plain
