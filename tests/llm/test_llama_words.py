"""The real model's words: text to tokens and back, by any thread."""

import threading
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.llm.llama import load
from engines.llm.options import LlamaOptions
from engines.llm.types import Message
from tests.llm.llama_writing import asking, greedy, prompt, spelt

pytestmark = pytest.mark.skipif(find_spec("llama_cpp") is None, reason="llama.cpp is not installed")


@pytest.fixture(scope="module")
def model() -> Iterator[Any]:
    model = load(LlamaOptions(context=1024, slots=8))()
    yield model
    model.close()


@pytest.mark.parametrize(
    "text", ["", "Hello.", " Hello\n\n", "naïve café 你好 👩‍👩‍👧‍👦🇩🇪", "\x00\x01\t\r\n", "𝔘𝔫𝔦", "a" * 3000]
)
def test_tokens_say_what_was_tokenised(model: Any, text: str) -> None:
    assert spelt(model, model.tokenise(text)).decode() == text


assigned = st.characters(exclude_categories=("Cs", "Cc", "Cn", "Co"), max_codepoint=0x3FFFF)
"""Characters that people write: the vocabulary lacks the bytes of some others."""


@settings(max_examples=100)
@given(text=st.text(assigned))
def test_tokens_say_any_text(model: Any, text: str) -> None:
    assert spelt(model, model.tokenise(text)) == text.encode()


def test_an_emoji_takes_several_tokens_that_are_no_characters(model: Any) -> None:
    pieces = [model.piece(token) for token in model.tokenise("🦜")]
    assert len(pieces) > 1
    with pytest.raises(UnicodeDecodeError):
        pieces[0].decode()
    assert b"".join(pieces).decode() == "🦜"


def test_half_a_surrogate_pair_is_a_question_mark(model: Any) -> None:
    assert spelt(model, model.tokenise("a\ud83d b")) == b"a? b"


def test_marks_are_tokens_of_their_own_and_write_nothing(model: Any) -> None:
    begin, *name, newline, end = model.tokenise("<|im_start|>user\n<|im_end|>")
    assert [model.piece(begin), model.piece(end)] == [b"", b""]
    assert spelt(model, [*name, newline]) == b"user\n"
    assert (model.is_end(begin), model.is_end(end), model.is_end(newline)) == (False, True, False)


def test_a_conversation_is_rendered_as_the_model_was_trained(model: Any) -> None:
    messages = [Message("system", "Be brief."), Message("user", "Hello")]
    closed = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n"
    assert model.render(messages) == closed + "<|im_start|>assistant\n"
    assert model.render(messages, asks=False) == closed


def test_the_model_says_what_it_is(model: Any) -> None:
    assert model.name == "SmolLM2-135M-Instruct.Q4_1"
    assert (model.num_slots, model.num_cells, model.context_length, model.batch_size) == (8, 1024, 1024, 128)


@pytest.mark.slow
def test_a_long_text_is_tokenised_on_a_thread_of_any_stack(model: Any) -> None:
    text = "The naïve 你好 fox said 12345 times 🦊; " * 8000
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.extend(model.tokenise(text + "a" * 100_000)))
    thread.start()
    thread.join()
    assert spelt(model, found).decode() == text + "a" * 100_000


@pytest.mark.slow
def test_others_read_and_tokenise_while_it_writes(model: Any) -> None:
    text = "Dr. Smith paid 3.50 for it 🦊. " * 20
    tokens, whole = model.tokenise(text), greedy(model, prompt(model), 60)
    is_over = threading.Event()
    failures: list[object] = []

    def read() -> None:
        while not is_over.is_set():
            if model.tokenise(text) != tokens or spelt(model, tokens).decode() != text:
                failures.append("another text")
            if not model.render(asking(text)).endswith("assistant\n") or any(map(model.is_end, tokens)):
                failures.append("another conversation")

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    written = greedy(model, prompt(model), 60)
    is_over.set()
    for reader in readers:
        reader.join()
    assert written == whole
    assert failures == []
