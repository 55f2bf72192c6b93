"""Text through the filter, whole or in pieces, and through the segmenter behind it."""

from collections.abc import Iterable
from typing import NamedTuple

from engines.cleaning import clean
from engines.markup import Markup, Rest
from engines.segmenter import Segmenter


class Filtered(NamedTuple):
    """What came out, the pauses in it, and the most that was held."""

    text: str
    rests: list[Rest]
    num_held_chars: int


def filtered(pieces: Iterable[str], *, is_markdown: bool = True) -> Filtered:
    """The pieces pushed one by one, with a flush at the end."""
    markup = Markup(is_markdown=is_markdown)
    out: list[str] = []
    rests: list[Rest] = []
    num_held_chars = 0
    for piece in pieces:
        out.append(markup.push(piece))
        rests += markup.take_rests()
        num_held_chars = max(num_held_chars, markup.num_held_chars)
    out.append(markup.flush())
    rests += markup.take_rests()
    assert markup.num_held_chars == 0
    return Filtered("".join(out), rests, num_held_chars)


def spoken(text: str, *, is_markdown: bool = True) -> list[str]:
    """The segments that are cut from a text, white space within them as one space; each is where it was written."""
    whole = filtered([text], is_markdown=is_markdown).text
    segmenter = Segmenter()
    segmenter.push(clean(whole))
    segments: list[str] = []
    while (segment := segmenter.next(is_final=True)) is not None:
        segments.append(" ".join(segment.text.split()))
        for word in filter(str.isalnum, segment.text.split()):
            assert word in text[segment.start : segment.start + len(segment.text)]
    return segments
