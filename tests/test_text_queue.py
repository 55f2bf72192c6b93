"""Text in, cuts out: passages, numbers, pauses, positions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.text_queue import Cut, TextQueue
from engines.types import Boundary, Granularity, Segment


def make(max_chars: int = 200) -> TextQueue:
    return TextQueue(max_chars, lambda text: text)


def drain(queue: TextQueue, granularity: Granularity = "sentence") -> list[Cut]:
    return list(iter(lambda: queue.next(granularity), None))


def segments(queue: TextQueue, granularity: Granularity = "sentence") -> list[Segment]:
    return [cut.segment for cut in drain(queue, granularity) if cut.segment is not None]


def texts(queue: TextQueue, granularity: Granularity = "sentence") -> list[str]:
    return [segment.text for segment in segments(queue, granularity)]


def test_pushed_text_is_cut_into_sentences_as_they_end() -> None:
    queue = make()
    queue.push("One is here. Two is", "sentence", None)
    assert texts(queue) == ["One is here."]
    assert queue.has_open_speech
    queue.push(" here. And", "sentence", None)
    assert texts(queue) == ["Two is here."]
    queue.finish()
    assert texts(queue) == ["And"]
    assert queue.is_spent


def test_each_cut_of_aggregated_text_is_a_segment_of_its_own() -> None:
    queue = make()
    queue.push("One is here. Two is here.", "sentence", None)
    queue.finish()
    assert [(cut.number, cut.is_last_of_number) for cut in drain(queue)] == [(1, True), (2, True)]


def test_a_flush_speaks_what_is_held_and_takes_more_text_afterwards() -> None:
    queue = make()
    queue.push("Well", "sentence", None)
    assert texts(queue) == []
    queue.flush()
    assert texts(queue) == ["Well"]
    queue.push(" now.", "sentence", None)
    queue.flush()
    assert texts(queue) == ["now."]
    assert not queue.is_spent


def test_a_message_is_one_number_however_often_it_is_cut() -> None:
    queue = make()
    queue.push_message("One is here. Two is here. Three is here.", "sentence", None)
    queue.push_message("Four.", "sentence", None)
    cuts = drain(queue)
    assert [(cut.number, cut.is_last_of_number) for cut in cuts] == [(1, False), (1, False), (1, True), (2, True)]


@pytest.mark.parametrize("text", ["...", " ", "?!"])
def test_a_message_with_nothing_to_speak_is_answered_once(text: str) -> None:
    queue = make()
    queue.push_message(text, "sentence", "label")
    queue.push_message("Four.", "sentence", None)
    first, second = drain(queue)
    assert (first.number, first.segment, first.is_last_of_number, first.label) == (1, None, True, "label")
    assert second.number == 2


def test_a_message_that_ends_without_speech_still_ends_its_number() -> None:
    queue = make()
    queue.push_message("One is here. ...", "sentence", None)
    assert [cut.is_last_of_number for cut in drain(queue)] == [True]


def test_aggregated_text_with_nothing_to_speak_is_no_segment() -> None:
    queue = make()
    queue.push(" ... ", "sentence", None)
    queue.finish()
    assert drain(queue) == []
    assert queue.is_spent


def test_a_message_ends_the_aggregated_text_before_it() -> None:
    queue = make()
    queue.push("Half a", "sentence", None)
    queue.push_message("Whole.", "sentence", None)
    assert texts(queue) == ["Half a", "Whole."]


def test_labels_stay_with_their_text() -> None:
    queue = make()
    queue.push_message("One.", "sentence", "first")
    queue.push_message("Two.", "sentence", "second")
    assert [cut.label for cut in drain(queue)] == ["first", "second"]


def test_between_aggregated_segments_the_pause_is_by_punctuation() -> None:
    queue = make()
    queue.push("On the other side of it, there is a house. It is red.\n\nNobody lives there.", "clause", None)
    queue.finish()
    cuts = segments(queue, "clause")
    assert [(cut.boundary, cut.pause_before_ms) for cut in cuts] == [
        (Boundary.CLAUSE, 0.0),
        (Boundary.SENTENCE, 120.0),
        (Boundary.PARAGRAPH, 250.0),
        (Boundary.SENTENCE, 450.0),
    ]


def test_between_messages_there_is_no_pause_of_ours() -> None:
    queue = make()
    queue.push_message("One is here. Two is here.", "sentence", None)
    queue.push_message("Three is here.", "sentence", None)
    assert [segment.pause_before_ms for segment in segments(queue)] == [0.0, 250.0, 0.0]


def test_how_the_text_in_front_wants_to_be_cut() -> None:
    queue = make()
    assert queue.cutting is None
    queue.push_message("One.", "adaptive", None)
    queue.push_message("Two.", "sentence", None)
    assert queue.cutting == "adaptive"
    assert queue.next("sentence") is not None
    assert queue.cutting == "sentence"


def test_waiting_characters_count_all_passages_and_shrink_as_they_are_cut() -> None:
    queue = make()
    queue.push_message("One.", "sentence", None)
    queue.push_message("Three.", "sentence", None)
    assert queue.num_waiting_chars == 10
    queue.next("sentence")
    assert queue.num_waiting_chars == 6


def test_what_cannot_be_spoken_is_replaced_for_the_model_only() -> None:
    queue = TextQueue(200, lambda text: text.replace("#", " "))
    queue.push_message("Number #one.", "sentence", None)
    assert texts(queue) == ["Number  one."]
    assert queue.text == "Number #one."


def test_no_segment_is_longer_than_the_model_takes() -> None:
    queue = make(max_chars=20)
    queue.push("word " * 30, "sentence", None)
    queue.finish()
    found = segments(queue)
    assert all(len(segment.text) <= 20 for segment in found)
    assert "".join(segment.text.replace(" ", "") for segment in found) == "word" * 30


pieces = st.lists(st.tuples(st.booleans(), st.text("ab .,!?\n", max_size=30)), max_size=8)


@given(pieces)
def test_segments_stand_in_all_text_where_they_say(parts: list[tuple[bool, str]]) -> None:
    queue, cuts = make(max_chars=12), list[Cut]()
    for is_message, text in parts:
        (queue.push_message if is_message else queue.push)(text, "sentence", None)
        cuts += drain(queue)
    queue.finish()
    cuts += drain(queue)
    spoken = [cut.segment for cut in cuts if cut.segment is not None]
    assert queue.text == "".join(text for _, text in parts)
    assert all(queue.text[segment.start : segment.end] == segment.text for segment in spoken)
    num_letters = sum(map(str.isalnum, queue.text))
    assert sum(map(str.isalnum, "".join(segment.text for segment in spoken))) == num_letters
    assert queue.is_spent


@given(pieces)
def test_every_number_comes_in_order_and_ends_once(parts: list[tuple[bool, str]]) -> None:
    queue = make(max_chars=12)
    for is_message, text in parts:
        (queue.push_message if is_message else queue.push)(text, "sentence", None)
    queue.finish()
    cuts = drain(queue)
    ends = [cut.number for cut in cuts if cut.is_last_of_number]
    assert ends == list(range(1, len(ends) + 1))
    assert [cut.number for cut in cuts] == sorted(cut.number for cut in cuts)
    assert len(ends) >= sum(is_message for is_message, _ in parts)
