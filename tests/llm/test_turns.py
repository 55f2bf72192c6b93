"""Prompts, and how they grow by turns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.errors import ContextTooLong, RequestError
from engines.llm.fake import FakeText
from engines.llm.turns import first_prompt, next_prompt
from engines.llm.types import Message
from tests.llm.running import user
from tests.llm.writing import pieces

MORE = [user("a hen")]


def test_a_prompt_is_the_conversation_and_the_asking() -> None:
    model = FakeText()
    prompt = first_prompt(model, [user("a fox")])
    assert prompt.text == "<user>a fox<end><assistant>"
    assert prompt.tokens == model.tokenise(prompt.text)
    assert prompt.num_new == len(prompt.tokens)


def test_a_prompt_has_to_leave_room_for_an_answer() -> None:
    num_tokens = len(first_prompt(FakeText(), MORE).tokens)
    first_prompt(FakeText(context_length=num_tokens + 1), MORE)
    with pytest.raises(ContextTooLong):
        first_prompt(FakeText(context_length=num_tokens), MORE)


def test_a_prompt_has_something_to_answer() -> None:
    class Silent(FakeText):
        def render(self, messages, *, asks=True) -> str:
            return ""

    with pytest.raises(RequestError, match="nothing"):
        first_prompt(Silent(), [])


def test_the_tokens_that_an_answer_was_drawn_as_are_kept() -> None:
    """Other ones would say the same."""
    model = FakeText()
    prompt = first_prompt(model, [user("a fox")])
    drawn = [model._token(piece) for piece in (b"He", b"llo", b".")]
    assert drawn != model.tokenise("Hello.")
    following = next_prompt(model, prompt, drawn, "Hello.", MORE)
    new = model.tokenise("<end><user>a hen<end><assistant>")
    assert following.tokens == [*prompt.tokens, *drawn, *new]
    assert following.num_new == len(new)
    assert following.text == model.render([user("a fox"), Message("assistant", "Hello."), *MORE])


def test_an_answer_of_which_nothing_was_read_is_no_turn() -> None:
    model = FakeText()
    prompt = first_prompt(model, [user("a fox")])
    following = next_prompt(model, prompt, model.tokenise("Hello."), "", MORE)
    assert following.tokens == model.tokenise(model.render([user("a fox"), *MORE]))
    assert following.messages == (user("a fox"), *MORE)


@given(pieces, st.integers(0, 40), st.integers(0, 3))
def test_whatever_part_of_an_answer_was_read_is_what_the_model_goes_on_from(
    tokens: list[str], num_read: int, num_cut: int
) -> None:
    """A stop word may have cut the last token."""
    model = FakeText()
    prompt = first_prompt(model, [user("a fox")])
    drawn = [model._token(token.encode()) for token in tokens]
    whole = "".join(tokens[:num_read])
    answer = whole[: len(whole) - num_cut]
    following = next_prompt(model, prompt, drawn, answer, MORE)
    text = b"".join(model._pieces[token] for token in following.tokens).decode()
    assert text == following.text
    num_whole = max(n for n in range(len(tokens) + 1) if answer.startswith("".join(tokens[:n])))
    if answer:
        start = len(prompt.tokens)
        assert following.tokens[start : start + num_whole] == drawn[:num_whole]


@given(st.lists(st.integers(1, 3), max_size=6), st.integers(0, 12))
def test_no_token_is_kept_that_holds_half_a_character(sizes: list[int], num_chars: int) -> None:
    model = FakeText()
    prompt = first_prompt(model, [user("a fox")])
    text, data = "aé🦊ß", "aé🦊ß".encode()
    drawn: list[int] = []
    for size in sizes:
        drawn.append(model._token(data[:size]))
        data = data[size:]
    following = next_prompt(model, prompt, drawn, text[:num_chars], MORE)
    assert b"".join(model._pieces[token] for token in following.tokens).decode() == following.text
