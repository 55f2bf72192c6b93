"""What a recogniser hears of written things is what a person would have read: a sentence for each great class."""

import pytest
from hibari import Hibari

from engines.audio import to_int16
from engines.reading import read
from tests.recognising import transcribe, word_error_rate

pytestmark = [pytest.mark.slow, pytest.mark.recogniser]

MAX_ERROR_RATE = 0.1
"""Of the words of all sentences."""

SENTENCES = {
    "The company has 1,234,567 users and grew by 2.5% in 2024.": (
        "the company has one million two hundred thirty four thousand five hundred sixty seven users "
        "and grew by two point five percent in twenty twenty four"
    ),
    "It was -5 °C outside, and the train left at 15:30.": (
        "it was minus five degrees celsius outside and the train left at fifteen thirty"
    ),
    "On 3/15/2024 we paid €20 for it.": "on march fifteenth twenty twenty four we paid twenty euros for it",
    "He is 5'11\" tall and weighs 180 lbs.": "he is five foot eleven tall and weighs one hundred eighty pounds",
    "A 5 km run takes 25-30 min.": "a five kilometer run takes twenty five to thirty minutes",
    "Add ½ cup of milk and 2½ cups of flour.": "add one half cup of milk and two and a half cups of flour",
    "Mr. and Mrs. Brown vs. Ms. Jones et al.": "mister and missus brown versus ms jones and others",
    "Turn left w/o stopping and call 911.": "turn left without stopping and call nine one one",
    "See No. 5, fig. 2 and pp. 3-5.": "see number five figure two and pages three to five",
    "It opens at 10:00 and closes at 17:45.": "it opens at ten o'clock and closes at seventeen forty five",
}


def test_a_recogniser_hears_what_a_person_would_have_read() -> None:
    speak = Hibari()
    heard = [transcribe(to_int16(speak(read(written).text, seed=0)), 24_000) for written in SENTENCES]
    assert word_error_rate([*SENTENCES.values()], [_in_words(text) for text in heard]) <= MAX_ERROR_RATE, heard


def _in_words(text: str) -> str:
    """Signs that the recogniser writes for words: "2.5%", "€20"."""
    for sign, word in (("%", " percent"), ("°", " degrees "), (" km", " kilometer"), ("-kilometer", " kilometer")):
        text = text.replace(sign, word)
    return read(text, "en-US").text.replace("-", " ")
