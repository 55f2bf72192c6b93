"""What a recogniser hears of each class of text, from a real server, is what a person would have read aloud."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import httpx
import pytest

from tests.contract import int16_samples
from tests.reading.hearing import error_rate, in_words
from tests.recognising import transcribe
from tests.serving import Served

pytestmark = [pytest.mark.slow, pytest.mark.recogniser]

MAX_ERROR_RATE = 0.05
"""Of the words of all classes."""

MAX_CLASS_ERROR_RATE = 0.1

MAX_SAID_CHARS = 200
"""Some twenty seconds."""

HZ = 24_000


def sentences() -> Iterator[tuple[str, str, str]]:
    """A class of text, a sentence as it is written, and as a person would read it."""
    for line in (Path(__file__).parent / "heard.tsv").read_text("utf-8").splitlines():
        kind, written, said = line.split("\t")
        yield kind, written.replace("\\n", "\n"), said


def talks() -> Iterator[tuple[str, str, str]]:
    """The sentences of each class, as many together as the recogniser hears at once: it costs as much for one."""
    for kind, group in groupby(sentences(), key=lambda sentence: sentence[0]):
        waiting: list[tuple[str, str]] = []
        for _, written, said in group:
            if waiting and sum(len(one) for _, one in waiting) + len(said) > MAX_SAID_CHARS:
                yield kind, *map(_joined, zip(*waiting, strict=True))
                waiting = []
            waiting.append((written, said))
        yield kind, *map(_joined, zip(*waiting, strict=True))


def _joined(texts: Sequence[str]) -> str:
    return "\n\n".join(texts)


@pytest.fixture(scope="module")
def heard(hibari_server: Served) -> dict[str, list[tuple[str, str]]]:
    """By class: what should have been said, and what was understood."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    with httpx.Client(base_url=hibari_server.url, timeout=30) as client:
        for kind, written, said in talks():
            body = {"input": written, "language": "en-US", "response_format": "pcm"}
            speech = client.post("/v1/audio/speech", json=body).raise_for_status().content
            found[kind].append((said, transcribe(int16_samples(speech), HZ)))
    return found


@pytest.mark.parametrize("kind", dict.fromkeys(kind for kind, _, _ in sentences()))
def test_a_class_of_text_is_understood(kind: str, heard: dict[str, list[tuple[str, str]]]) -> None:
    assert _error_rate(heard[kind]) <= MAX_CLASS_ERROR_RATE, heard[kind]


def test_all_of_it_is_understood(heard: dict[str, list[tuple[str, str]]]) -> None:
    assert _error_rate([pair for pairs in heard.values() for pair in pairs]) <= MAX_ERROR_RATE


def test_what_a_recogniser_writes_in_figures_is_compared_as_words() -> None:
    assert in_words("Call 555-1234 at 6:05 p.m.") == in_words(
        "call five five five one two three four at six oh five p m"
    )
    assert in_words("In 1984 it cost $3.50.") == in_words(
        "in nineteen eighty four it cost three dollars and fifty cents"
    )
    assert error_rate("we are open twenty four seven", "We are open 24-7.") == 0
    assert error_rate("from three to five", "From 3-5.") == 0
    assert error_rate("it costs five dollars", "It costs $6.") > 0


def _error_rate(pairs: list[tuple[str, str]]) -> float:
    """Weighed by the words of each sentence."""
    num_words = [len(in_words(said).split()) for said, _ in pairs]
    rates = [error_rate(said, understood) for said, understood in pairs]
    return sum(map(float.__mul__, rates, map(float, num_words))) / sum(num_words)
