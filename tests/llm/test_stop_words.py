"""An answer ends in front of the first stop word, wherever tokens begin and end."""

from hypothesis import given
from hypothesis import strategies as st

from engines.llm.stop_words import StopWords
from engines.llm.types import Token


def tokens_of(*texts: str) -> list[Token]:
    return [Token(text) for text in texts]


def passed(words: list[str], *texts: str, is_over: bool = True) -> tuple[list[Token], bool]:
    """What comes through, and whether a stop word was found."""
    stop_words = StopWords(words)
    out: list[Token] = []
    for token in tokens_of(*texts):
        out += stop_words.push(token)
        if stop_words.is_found:
            return out, True
    return [*out, *(stop_words.finish() if is_over else [])], False


def test_without_stop_words_nothing_is_held() -> None:
    assert passed([], "a", "b", is_over=False) == (tokens_of("a", "b"), False)
    assert passed([""], "a", "b", is_over=False) == (tokens_of("a", "b"), False), "an empty word stops nothing"


def test_what_may_begin_a_stop_word_is_held_until_that_is_known() -> None:
    stop_words = StopWords(["User:"])
    assert stop_words.push(Token("Hi. ")) == tokens_of("Hi. ")
    assert stop_words.push(Token("Us")) == []
    assert stop_words.push(Token("er")) == []
    assert stop_words.push(Token("s do")) == tokens_of("Us", "er", "s do")


def test_a_stop_word_that_is_a_token_is_left_out_whole() -> None:
    assert passed(["END"], "a", "END", "b") == (tokens_of("a"), True)


def test_a_stop_word_over_several_tokens_is_left_out_whole() -> None:
    assert passed(["END"], "a", "E", "N", "D", "b") == (tokens_of("a"), True)


def test_a_token_that_a_stop_word_begins_in_is_cut_and_the_cut_counts_for_none() -> None:
    assert passed(["END"], "a", "bcE", "NDd") == ([Token("a"), Token("bc", 0)], True)


def test_a_stop_word_inside_a_token_is_found() -> None:
    assert passed(["."], "Hello. You") == ([Token("Hello", 0)], True)


def test_the_first_of_several_stop_words_counts() -> None:
    assert passed(["later", "soon"], "a soon b later") == ([Token("a ", 0)], True)


def test_the_end_of_the_answer_lets_a_half_stop_word_through() -> None:
    assert passed(["END"], "a", "EN") == (tokens_of("a", "EN"), False)


def test_tokens_without_text_stay_in_their_place() -> None:
    assert passed(["END"], "", "E", "", "F") == (tokens_of("", "E", "", "F"), False)


letters = st.text("abc", max_size=4)


@given(st.lists(letters, max_size=3), st.lists(letters, max_size=12))
def test_what_comes_through_is_the_text_in_front_of_a_stop_word_in_the_tokens_it_came_in(
    words: list[str], texts: list[str]
) -> None:
    out, is_found = passed(words, *texts)
    whole = "".join(texts)
    text = "".join(token.text for token in out)
    assert whole.startswith(text)
    assert is_found == any(word in whole for word in words if word)
    assert not any(word in text for word in words if word), "a stop word has come through"
    if is_found:
        assert any(word and whole.startswith(word, len(text)) for word in words), "it is cut at the stop word"
    complete = [token for token in out if token.num_tokens]
    assert complete == tokens_of(*texts[: len(complete)])
    assert len(out) - len(complete) <= 1


@given(st.lists(letters.filter(bool), min_size=1, max_size=3), st.lists(letters, max_size=12))
def test_no_more_is_held_than_may_be_a_stop_word(words: list[str], texts: list[str]) -> None:
    stop_words = StopWords(words)
    num_chars = num_passed = 0
    for text in texts:
        passed_now = stop_words.push(Token(text))
        if stop_words.is_found:
            return
        num_chars += len(text)
        num_passed += sum(len(token.text) for token in passed_now)
        assert num_chars - num_passed <= max(map(len, words)) - 1 + max(map(len, texts))
