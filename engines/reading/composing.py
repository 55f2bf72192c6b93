"""Two readings, one after the other, as one: what was read may be read again until nothing changes."""

from collections.abc import Iterator

from engines.reading.spoken import Sound, Span, Spoken


def then(first: Spoken, second: Spoken) -> Spoken:
    """The second reading, which is of the first one's text, with the places that the first one knows."""
    spans = tuple(_spans(first.spans, second.spans))
    sounds = {(sound.start, sound.end): sound for sound in (*_kept(first, second), *second.sounds)}
    return Spoken(second.text, spans, tuple(sorted(sounds.values(), key=lambda sound: sound.start)))


def _spans(first: tuple[Span, ...], second: tuple[Span, ...]) -> Iterator[Span]:
    """One for each of the second reading; those that come from the same words of the first text become one."""
    at, last = 0, None
    for span in second:
        while first[at].spoken_end <= span.start:
            at += 1
        start, is_shared = first[at].start, last is not None and last.end > first[at].start
        while at + 1 < len(first) and first[at + 1].spoken_start < span.end:
            at += 1
        found = Span(span.spoken_start, span.spoken_end, start, first[at].end)
        if last is not None and is_shared:
            last = Span(last.spoken_start, found.spoken_end, last.start, found.end)
            continue
        if last is not None:
            yield last
        last = found
    if last is not None:
        yield last


def _kept(first: Spoken, second: Spoken) -> Iterator[Sound]:
    """Sounds of words that the second reading left as they were, at their new places."""
    for sound in first.sounds:
        covering = [span for span in second.spans if span.start < sound.end and span.end > sound.start]
        if not covering:
            continue
        begin, end = covering[0], covering[-1]
        if second.text[begin.spoken_start : end.spoken_end] == first.text[begin.start : end.end]:
            shift = begin.spoken_start - begin.start
            yield Sound(sound.start + shift, sound.end + shift, sound.ipa)
