"""Sentences end behind tokens, as the speech side's segmenter says they do, and nobody waits long to know."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.full_stops import Verdict
from engines.llm.sentence_gate import MAX_HELD_TOKENS, SentenceGate
from engines.sentences import sentence_end
from tests.llm.writing import pieces


def gate_of(tokens: list[str], *, is_over: bool = True) -> SentenceGate:
    gate = SentenceGate()
    for token in tokens:
        gate.push(token)
    if is_over:
        gate.finish()
    return gate


def sentences(*tokens: str, is_over: bool = True) -> list[str]:
    """The tokens, joined from one end to the next."""
    gate = gate_of(list(tokens), is_over=is_over)
    parts = [""]
    for num_tokens, token in enumerate(tokens, 1):
        parts[-1] += token
        if gate.is_end(num_tokens):
            parts.append("")
    return parts


def test_a_sentence_ends_in_front_of_the_next_ones_first_token() -> None:
    assert sentences("Hello", ".", " The", " end") == ["Hello.", " The end"]


def test_an_abbreviation_ends_no_sentence() -> None:
    assert sentences("Ask", " Dr", ".", " Smith", ".", " He", " knows") == ["Ask Dr. Smith.", " He knows"]
    assert sentences("The", " U", ".S", ".", " army", ".", " It") == ["The U.S. army.", " It"]
    assert sentences(" It is", " 3", ".", "14", ".", " It") == [" It is 3.14.", " It"]


def test_what_stands_further_in_front_counts_however_long_ago_it_was_written() -> None:
    assert sentences(*[" word"] * 50, " page", " 12", ".", " The") == [" word" * 50 + " page 12.", " The"]
    assert sentences(*["word "] * 50, "\n", "12", ".", " The") == ["word " * 50 + "\n", "12. The"]


def test_closing_quotes_belong_to_the_sentence_whatever_tokens_they_are_in() -> None:
    assert sentences("“Hello", ".", "”", " The") == ["“Hello.”", " The"]
    assert sentences("“Hello", ".”", " The") == ["“Hello.”", " The"]


def test_a_newline_in_the_same_token_belongs_to_the_sentence() -> None:
    assert sentences("Hello", ".\n\n", "The") == ["Hello.\n\n", "The"]
    assert sentences("Hello", '."\n', "The") == ['Hello."\n', "The"]


def test_a_newline_of_its_own_belongs_to_what_follows_and_is_no_sentence() -> None:
    assert sentences("Hello", ".", "\n\n", "The", " end", ".") == ["Hello.", "\n\nThe end.", ""]


def test_a_token_with_letters_of_the_next_sentence_is_no_end_of_this_one() -> None:
    assert sentences("是的", "。他", "来", "了", "。", "好") == ["是的。他来了。", "好"]


def test_lines_end_sentences_as_they_do_in_speech() -> None:
    assert sentences("Things to do:", "\n", "- eat", "\n", "- sleep") == ["Things to do:\n", "- eat\n", "- sleep"]


def test_the_end_of_the_answer_decides_and_takes_blanks_along() -> None:
    assert sentences("Hello", ".") == ["Hello.", ""]
    assert sentences("Hello", ".", "\n") == ["Hello.\n", ""]
    assert sentences("Hello") == ["Hello"]
    assert sentences("Hello", ".", is_over=False) == ["Hello."], "it may go on: Hello.txt"


def test_a_sentence_has_something_to_say() -> None:
    assert sentences("...", "\n\n", "!", " Yes", ".", " No") == ["...\n\n! Yes.", " No"]


def test_the_tokens_behind_a_place_are_looked_at_until_it_is_decided() -> None:
    gate = SentenceGate()
    for text, is_open in [("Hello", False), (".", True), (" ", True), (" ", True), ("The", False)]:
        gate.push(text)
        assert gate.is_open(2) == is_open
    assert gate.is_end(2)


@pytest.mark.parametrize("num_tokens", [7, 8])
def test_a_place_that_stays_open_for_eight_tokens_is_no_end(num_tokens: int) -> None:
    gate = gate_of(["Hello", ".", *[" "] * num_tokens], is_over=False)
    assert gate.is_open(2) == (num_tokens < MAX_HELD_TOKENS)
    gate.push("The")
    assert gate.is_end(2) == (num_tokens < MAX_HELD_TOKENS)


def test_tokens_that_make_a_character_together_count_for_what_they_are() -> None:
    gate = SentenceGate()
    gate.push("Hello")
    gate.push(".")
    gate.push("😀", 3)
    gate.push("!")
    gate.finish()
    assert [num for num in range(8) if gate.is_end(num)] == [2]


@given(pieces)
def test_no_place_stays_open_behind_more_than_eight_tokens(tokens: list[str]) -> None:
    gate = SentenceGate()
    for num_tokens, token in enumerate(tokens, 1):
        gate.push(token)
        assert not any(gate.is_open(num) for num in range(num_tokens - MAX_HELD_TOKENS + 1))


@given(pieces)
def test_what_has_been_said_of_a_token_is_not_taken_back(tokens: list[str]) -> None:
    gate = SentenceGate()
    said: dict[int, bool] = {}
    for num_tokens, token in enumerate(tokens, 1):
        gate.push(token)
        for num in range(1, num_tokens + 1):
            if not gate.is_open(num):
                assert said.setdefault(num, gate.is_end(num)) == gate.is_end(num)


@given(pieces)
def test_only_blanks_stand_between_an_end_for_the_segmenter_and_one_for_the_gate(tokens: list[str]) -> None:
    gate, text = gate_of(tokens), "".join(tokens)
    start = 0
    for num_tokens in range(1, len(tokens) + 1):
        if gate.is_end(num_tokens):
            end = len("".join(tokens[:num_tokens]))
            places = [place for place in range(start, end + 1) if not text[place:end].strip()]
            assert any(sentence_end(text, place, is_final=True) is Verdict.END for place in places)
            assert any(char.isalnum() for char in text[start:end])
            start = end


@given(
    st.lists(st.sampled_from(["Hello there", ". It was", " Dr. Who", "! And", ' "Go."', "\n\n", " and more", ".\n"]))
)
def test_no_end_that_a_cut_could_be_made_at_is_missed(tokens: list[str]) -> None:
    """Where eight tokens show enough, the gate ends sentences where the segmenter does."""
    gate, text = gate_of(tokens), "".join(tokens)
    last_end = place = 0
    for num_tokens, token in enumerate(tokens, 1):
        for index, _ in enumerate(token, 1):
            place += 1
            is_end = sentence_end(text, place, is_final=True) is Verdict.END
            has_speech = any(char.isalnum() for char in text[last_end:place])
            if is_end and has_speech and not token[index:].strip():
                last_end = place
                is_last = not text[place:].strip()
                assert gate.is_end(num_tokens) or (is_last and gate.is_end(len(tokens)))
