"""What a written text is read as, and which of the written words each of the spoken ones comes from."""

import msgspec


class Span(msgspec.Struct, frozen=True):
    """`spoken_start` to `spoken_end` of the spoken text is what `start` to `end` of the written text is read as."""

    spoken_start: int
    spoken_end: int
    start: int
    end: int


class Sound(msgspec.Struct, frozen=True):
    """`start` to `end` of the spoken text is to be pronounced as this IPA, without slashes."""

    start: int
    end: int
    ipa: str


class Spoken(msgspec.Struct, frozen=True):
    """A text as it is read aloud.

    `spans` are in order and overlap on neither side. Together they cover every character of `text` that is no white
    space. There is one for each written word, or for each group of words that is read as one thing ("March 3, 2024"); a
    written word that is read as nothing is in none.
    """

    text: str
    spans: tuple[Span, ...]
    sounds: tuple[Sound, ...] = ()
