"""What the clients of the benchmark say: sentences and talks of one kind, each of which begins like no other."""

import random
from typing import Final, TypeAlias

from engines.segmenter import Segmenter

Talk: TypeAlias = tuple[str, ...]
"""Sentences, each at most 100 characters, so that a WebSocket message of one is one segment."""

SENTENCES: Final = (
    "Good {time} from reading room {number} of the {place} library, {name}.",
    "Train {number} to {place} leaves in {few} minutes from the platform on your left.",
    "Your table {number} for {few} is ready, {name}, please follow me to the window.",
    "Room {number} is free at {few} in the {time}, and breakfast is until ten.",
)
OPENINGS: Final = (
    "Thank you for order {number}, {name}.",
    "Order {number} from {place} is here, {name}.",
    "Number {number} on {day}, {name}, I have found it.",
)
MIDDLES: Final = (
    "It left our warehouse in {place} on {day}, and it should arrive before {few}.",
    "The driver from {place} was here on {day}, but nobody answered the door.",
    "It has been in {place} since {day}, and it goes on to you in the {time}.",
)
ENDINGS: Final = (
    "If nobody is at home, the driver will leave it with a neighbour.",
    "You can follow it with number {number}, or call us again after {few}.",
    "Shall I send it to {place} instead, or would you like to collect it on {day}?",
)
WORDS: Final = {
    "name": ("Maria", "Mrs. Baker", "Peter", "Mr. Young", "Susan", "Doctor Hill", "Thomas", "Helen", "George", "Anna"),
    "place": ("Bristol", "Chester", "Dover", "Lincoln", "Norwich", "Oxford", "Plymouth", "Salisbury", "Winchester"),
    "day": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "time": ("morning", "afternoon", "evening"),
    "few": ("four", "five", "six", "seven", "eight", "nine", "eleven", "twelve"),
}


class Texts:
    """Texts without end. Any seed gives others, and the same seed the same. Event loop only."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._begun: set[str] = set()

    def sentence(self) -> Talk:
        """One sentence of about four seconds."""
        return self._fresh((SENTENCES,))

    def talk(self) -> Talk:
        """Three sentences, of about ten seconds."""
        return self._fresh((OPENINGS, MIDDLES, ENDINGS))

    def seed(self) -> int:
        """For the sampler of one stream."""
        return self._random.randrange(2**31)

    def _fresh(self, parts: tuple[tuple[str, ...], ...]) -> Talk:
        while True:
            talk = tuple(self._filled(self._random.choice(part)) for part in parts)
            begins = first_segment(" ".join(talk))
            if begins not in self._begun:
                self._begun.add(begins)
                return talk

    def _filled(self, pattern: str) -> str:
        words = {name: self._random.choice(choices) for name, choices in WORDS.items()}
        return pattern.format(number=self._random.randrange(2, 1000), **words)


def first_segment(text: str) -> str:
    """What an aggregated stream speaks first."""
    segmenter = Segmenter()
    segmenter.push(text)
    segment = segmenter.next("clause", is_final=True)
    assert segment is not None, "the text can be spoken"
    return segment.text
