"""What the benchmark's clients say: no two alike where a cache could help."""

import pytest

from modes.speaking import LONG_MESSAGE_CHARS
from tests.bench.speech_modes import first_text
from tests.bench.speech_texts import ENDINGS, MIDDLES, OPENINGS, SENTENCES, WORDS, Texts, first_segment

LONGEST = {name: max(choices, key=len) for name, choices in WORDS.items()} | {"number": "999"}


def test_no_text_begins_like_another() -> None:
    texts = Texts(seed=1)
    begins = [first_segment(" ".join(talk)) for _ in range(400) for talk in (texts.sentence(), texts.talk())]
    assert len(set(begins)) == len(begins)


def test_the_same_seed_gives_the_same_texts_and_another_gives_others() -> None:
    one, same, other = ([texts.talk() for _ in range(5)] for texts in map(Texts, (1, 1, 2)))
    assert one == same
    assert not set(one) & set(other)


def test_samplers_get_many_seeds() -> None:
    texts = Texts(seed=1)
    assert len({texts.seed() for _ in range(100)}) == 100


@pytest.mark.parametrize("pattern", [*SENTENCES, *OPENINGS, *MIDDLES, *ENDINGS])
def test_a_sentence_is_one_segment_on_a_socket(pattern: str) -> None:
    assert len(pattern.format(**LONGEST)) <= LONG_MESSAGE_CHARS


def test_a_talk_is_three_sentences() -> None:
    assert len(Texts(seed=1).talk()) == 3


def test_the_bare_model_is_given_what_a_mode_has_to_speak_first() -> None:
    talk = ("Order 64 is here, Maria.", "It left on Monday.")
    assert first_text("batch", talk) == "Order 64 is here, Maria. It left on Monday."
    assert first_text("websocket", talk) == "Order 64 is here, Maria."
    for mode in ("stream", "adaptive", "tokens"):
        assert "Order 64 is here, Maria.".startswith(first_text(mode, talk).strip())
