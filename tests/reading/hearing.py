"""What a recogniser heard, beside what a person would have said, in one spelling."""

import re

from engines.reading import read
from tests.recognising import normalised, word_error_rate

_POINT = re.compile(r"(?<=\d)\.(?=\d\d\b)")
_OH = re.compile(r"(?<=\d) oh (?=\d)")
_LETTERS = re.compile(r"\b[a-z](?: [a-z]\b)+")
_SPELLINGS = {
    "okay": "ok", "mister": "mr", "missus": "mrs", "et cetera": "etc", "e mail": "email", "web site": "website",
    "grey": "gray", "wi fi": "wifi", "co workers": "coworkers", "versus": "vs",
}  # fmt: skip


def error_rate(said: str, heard: str) -> float:
    """The word error rate of what was heard, in the spelling that fits best: a recogniser writes "24-7" for what may
    have been a range, and "6.45" for a time.
    """
    spellings = {heard, heard.replace("-", " "), _POINT.sub(":", heard)}
    return min(word_error_rate([in_words(said)], [in_words(spelling)]) for spelling in spellings)


def in_words(text: str) -> str:
    """A text in one spelling: figures, signs and abbreviations as the words they are read as, letters joined ("F B I"
    and "FBI"), numbers as `normalised` has them.
    """
    words = _OH.sub(" 0 ", normalised(read(text, "en-US").text.replace("-", " ").replace("%", " percent ")))
    words = normalised(words)
    for spelling, other in _SPELLINGS.items():
        words = re.sub(rf"\b{spelling}\b", other, words)
    return _LETTERS.sub(lambda letters: letters[0].replace(" ", ""), words)
