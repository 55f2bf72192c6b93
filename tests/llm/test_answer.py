"""From drawn tokens to chunks: reasons, exact counts, what is held, and that nothing is lost."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.llm.answer import Answer
from engines.llm.types import ChunkEnd, Event, Pause, Reason, Token
from tests.llm.writing import pieces

SENTENCE = Pause(at_sentence=True)
ALL = Pause()


class Model:
    """Draws these tokens and then the end; counts what was drawn."""

    def __init__(self, tokens: Sequence[str | bytes]) -> None:
        self.tokens = [token.encode() if isinstance(token, str) else token for token in tokens]
        self.num_drawn = 0

    def write(self, answer: Answer, pause: Pause, now_s: float = 0.0) -> tuple[list[Token], ChunkEnd]:
        """One chunk: its tokens and its end."""
        events = answer.begin(pause, now_s)
        while answer.is_under_way:
            events += self.draw(answer, now_s)
        return split(events)

    def draw(self, answer: Answer, now_s: float = 0.0) -> list[Event]:
        if self.num_drawn == len(self.tokens):
            return answer.finish("eos", now_s)
        self.num_drawn += 1
        return answer.push(self.tokens[self.num_drawn - 1], now_s)

    def write_all(self, answer: Answer, pauses: Sequence[Pause]) -> list[ChunkEnd]:
        """Chunk by chunk to the end, the last pause again and again."""
        ends: list[ChunkEnd] = []
        while not answer.is_done:
            tokens, end = self.write(answer, pauses[min(len(ends), len(pauses) - 1)])
            assert end.text == "".join(token.text for token in tokens)
            ends.append(end)
        return ends


def split(events: Sequence[Event]) -> tuple[list[Token], ChunkEnd]:
    *tokens, end = events
    assert isinstance(end, ChunkEnd)
    assert all(isinstance(token, Token) for token in tokens)
    return [token for token in tokens if isinstance(token, Token)], end


def new(*, stop: Sequence[str] = (), max_tokens: int = 10_000) -> Answer:
    return Answer(stop, max_tokens)


def chunks(
    *tokens: str | bytes, pauses: Sequence[Pause] = (SENTENCE,), stop: Sequence[str] = (), max_tokens: int = 10_000
) -> list[tuple[str, Reason, int]]:
    ends = Model(tokens).write_all(new(stop=stop, max_tokens=max_tokens), pauses)
    assert [end.is_done for end in ends] == [False] * (len(ends) - 1) + [True]
    return [(end.text, end.reason, end.num_tokens) for end in ends]


# -- reasons -----------------------------------------------------------------------------------------------------------


def test_a_chunk_of_so_many_tokens_has_exactly_as_many() -> None:
    assert chunks("a", "b", "c", "d", "e", pauses=[Pause(max_tokens=2)]) == [
        ("ab", "max_tokens", 2),
        ("cd", "max_tokens", 2),
        ("e", "eos", 1),
    ]


def test_nothing_is_drawn_beyond_a_chunk_of_so_many_tokens() -> None:
    model = Model(["Hello", ".", " The", " end"])
    model.write(new(), Pause(max_tokens=2))
    assert model.num_drawn == 2, "a full stop at its end is not looked behind"


def test_a_chunk_ends_with_its_sentence_and_the_last_one_with_the_answer() -> None:
    assert chunks("Hello", ".", " The", " end", ".") == [
        ("Hello.", "sentence_boundary", 2),
        (" The end.", "sentence_boundary_eos", 3),
    ]


def test_no_more_is_drawn_than_decides_that_a_sentence_has_ended() -> None:
    model, answer = Model(["Hello", ".", " The", " end"]), new()
    model.write(answer, SENTENCE)
    assert (model.num_drawn, answer.num_given) == (3, 2)


def test_an_answer_without_a_full_stop_ends_with_eos() -> None:
    assert chunks("Hello") == [("Hello", "eos", 1)]
    assert chunks("Hello", ".", pauses=[ALL]) == [("Hello.", "eos", 2)], "sentences were not asked for"


def test_an_answer_without_a_character_is_empty() -> None:
    assert chunks() == [("", "empty_response", 0)]
    assert chunks("", "") == [("", "empty_response", 2)]


def test_the_end_of_an_answer_that_was_all_given_is_no_empty_response() -> None:
    assert chunks("a", "b", pauses=[Pause(max_tokens=2)]) == [("ab", "max_tokens", 2), ("", "eos", 0)]


def test_whichever_comes_first_ends_a_chunk() -> None:
    both = Pause(max_tokens=3, at_sentence=True)
    assert chunks("Hello", ".", " The", " long", " end", " is", ".", pauses=[both]) == [
        ("Hello.", "sentence_boundary", 2),
        (" The long end", "max_tokens", 3),
        (" is.", "sentence_boundary_eos", 2),
    ]


def test_a_sentence_that_ends_with_the_last_token_of_a_chunk_is_not_looked_for() -> None:
    both = Pause(max_tokens=2, at_sentence=True)
    assert chunks("Hello", ".", " The", " end", pauses=[both])[0] == ("Hello.", "max_tokens", 2)


def test_an_end_in_front_of_a_chunk_does_not_end_it() -> None:
    pauses = [Pause(max_tokens=2), SENTENCE]
    assert chunks("Hello", ".", " The", " end", ".", " It", pauses=pauses) == [
        ("Hello.", "max_tokens", 2),
        (" The end.", "sentence_boundary", 3),
        (" It", "eos", 1),
    ]


def test_a_sentence_without_end_is_paused_after_two_hundred_tokens() -> None:
    assert [end[1:] for end in chunks(*["a "] * 450)] == [("max_tokens", 200), ("max_tokens", 200), ("eos", 50)]


def test_a_chunk_without_a_pause_is_bounded() -> None:
    assert [end[1:] for end in chunks(*["a "] * 600, pauses=[ALL])] == [("max_tokens", 500), ("eos", 100)]


def test_a_stop_word_ends_the_answer_in_front_of_it() -> None:
    assert chunks("Hi", ". ", "Us", "er", ": x", pauses=[ALL], stop=["User:"]) == [("Hi. ", "stop_word", 2)]


def test_a_token_that_is_cut_comes_as_text_that_counts_for_none() -> None:
    model = Model(["Hi", " there STOP", " x"])
    tokens, end = model.write(new(stop=["STOP"]), ALL)
    assert tokens == [Token("Hi"), Token(" there ", 0)]
    assert (end.reason, end.num_tokens, end.text) == ("stop_word", 1, "Hi there ")


def test_the_cut_end_of_a_sentence_belongs_to_it() -> None:
    assert chunks("Hi", " there. STOP", stop=["STOP"]) == [("Hi there. ", "stop_word", 1)]


def test_what_may_be_a_stop_word_counts_when_it_is_let_through() -> None:
    assert chunks("a", "S", "T", "X", "b", pauses=[Pause(max_tokens=2)], stop=["STOP"]) == [
        ("aS", "max_tokens", 2),
        ("TX", "max_tokens", 2),
        ("b", "eos", 1),
    ]


def test_the_most_tokens_of_an_answer_end_it() -> None:
    assert chunks("a", "b", "c", pauses=[Pause(max_tokens=2)], max_tokens=2) == [("ab", "max_tokens", 2)]
    assert chunks("a", max_tokens=0) == [("", "max_tokens", 0)]
    assert chunks("Hello", ".", " The", max_tokens=2) == [("Hello.", "max_tokens", 2)]


def test_tokens_that_were_looked_at_come_out_before_the_most_of_them_end_the_answer() -> None:
    assert chunks("Hello", ".", " The", " end", max_tokens=3) == [
        ("Hello.", "sentence_boundary", 2),
        (" The", "max_tokens", 1),
    ]


def test_a_client_pauses_at_any_token_and_what_is_held_comes_first_afterwards() -> None:
    model, answer = Model(["Hello", ".", " ", "The", " end"]), new()
    events = answer.begin(SENTENCE, 0)
    for _ in range(3):
        events += model.draw(answer)
    tokens, end = split([*events, *answer.stop(0)])
    assert (tokens, end.reason, end.is_done) == ([Token("Hello"), Token(".")], "client", False)
    assert answer.stop(0) == [], "nothing is under way"
    assert answer.begin(Pause(max_tokens=1), 0)[0] == Token(" ")
    assert model.write_all(answer, [ALL])[0].text == "The end"


# -- characters --------------------------------------------------------------------------------------------------------


def test_a_character_of_several_tokens_comes_as_one() -> None:
    tokens, end = Model(["a", b"\xf0\x9f", b"\x98", b"\x80"]).write(new(), ALL)
    assert tokens == [Token("a"), Token("😀", 3)]
    assert end.num_tokens == 4


def test_a_chunk_that_ends_inside_a_character_counts_exactly_and_leaves_it_to_the_next() -> None:
    assert chunks(b"\xf0\x9f", b"\x98", b"\x80", "b", pauses=[Pause(max_tokens=2)]) == [
        ("", "max_tokens", 2),
        ("😀b", "max_tokens", 2),
        ("", "eos", 0),
    ]


def test_a_character_that_the_model_does_not_finish_is_replaced() -> None:
    assert chunks("a", b"\xf0\x9f", pauses=[ALL]) == [("a\ufffd", "eos", 2)]


# -- times -------------------------------------------------------------------------------------------------------------


def test_times_count_from_the_asking() -> None:
    model, answer = Model(["a", "b"]), new()
    events = [*answer.begin(Pause(max_tokens=2), 10.0), *model.draw(answer, 10.25), *model.draw(answer, 10.5)]
    _, end = split(events)
    assert (end.ttft_ms, end.elapsed_ms) == (250, 500)


def test_a_chunk_without_text_has_no_first_token() -> None:
    model = Model([])
    _, end = model.write(new(), ALL, 7.0)
    assert (end.ttft_ms, end.elapsed_ms) == (None, 0)


# -- taking back -------------------------------------------------------------------------------------------------------


def test_what_reached_nobody_comes_first_in_the_next_chunk() -> None:
    model, answer = Model(["a", "b", "c", b"\xf0\x9f", b"\x98\x80", "e"]), new()
    tokens, _ = model.write(answer, Pause(max_tokens=4))
    answer.take_back(tokens[1:])
    assert answer.num_given == 1
    assert model.write_all(answer, [ALL])[0].text == "bc😀e"
    assert answer.num_given == 6


def test_an_answer_whose_end_reached_nobody_is_not_done() -> None:
    model, answer = Model(["a", "b"]), new()
    tokens, _ = model.write(answer, ALL)
    answer.take_back(tokens)
    assert not answer.is_done
    assert [end.text for end in model.write_all(answer, [ALL])] == ["ab"]


# -- properties --------------------------------------------------------------------------------------------------------

pauses = st.builds(Pause, max_tokens=st.none() | st.integers(1, 6), at_sentence=st.booleans())
stops = st.lists(st.sampled_from(["Dr. S", "\n\n", "The end", ". It", "14"]), max_size=1)


@given(pieces, st.lists(pauses, min_size=1), stops, st.integers(1, 50), st.randoms(use_true_random=False))
def test_chunks_joined_are_the_uninterrupted_answer(
    tokens: list[str], how: list[Pause], stop: list[str], max_tokens: int, rng
) -> None:
    whole = Model(tokens).write_all(new(stop=stop, max_tokens=max_tokens), [ALL])
    model, answer = Model(tokens), new(stop=stop, max_tokens=max_tokens)
    seen: list[ChunkEnd] = []
    for pause in how * 60:
        if answer.is_done:
            break
        events = answer.begin(pause, 0)
        while answer.is_under_way:
            events += answer.stop(0) if rng.random() < 0.1 else model.draw(answer)
        given, end = split(events)
        num_read = rng.randint(0, len(given)) if rng.random() < 0.1 else len(given)
        answer.take_back(given[num_read:])
        seen.append(ChunkEnd(end.reason, "".join(token.text for token in given[:num_read]), 0, None, 0, end.is_done))
    seen += model.write_all(answer, [ALL])
    assert "".join(end.text for end in seen) == "".join(end.text for end in whole)


@given(pieces, st.lists(pauses, min_size=1))
def test_tokens_are_counted_once(tokens: list[str], how: list[Pause]) -> None:
    answer = new()
    ends = Model(tokens).write_all(answer, how)
    assert sum(end.num_tokens for end in ends) == answer.num_given == len(tokens)


@given(pieces, st.lists(st.integers(1, 9)))
def test_sentences_end_in_the_same_places_whatever_was_paused_before(tokens: list[str], counts: list[int]) -> None:
    def places(how: Sequence[Pause]) -> set[int]:
        model, answer, found = Model(tokens), new(), set[int]()
        for pause in how:
            if not answer.is_done:
                model.write(answer, pause)
        while not answer.is_done:
            _, end = model.write(answer, SENTENCE)
            if end.reason == "sentence_boundary":
                found.add(answer.num_given)
        return found

    start = min(sum(counts), len(tokens))
    assert places([Pause(max_tokens=count) for count in counts]) == {place for place in places([]) if place > start}


@given(pieces)
def test_a_chunk_of_a_sentence_draws_at_most_eight_tokens_more(tokens: list[str]) -> None:
    model, answer = Model(tokens), new()
    while not answer.is_done:
        model.write(answer, SENTENCE)
        assert model.num_drawn - answer.num_given <= 8


@pytest.mark.parametrize("pause", [SENTENCE, ALL, Pause(max_tokens=3)])
@given(tokens=pieces)
def test_every_chunk_that_is_not_the_last_gives_something(pause: Pause, tokens: list[str]) -> None:
    ends = Model(tokens).write_all(new(), [pause])
    assert all(end.num_tokens for end in ends[:-1])
