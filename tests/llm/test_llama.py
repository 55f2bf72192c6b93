"""The real model: what llama.cpp writes is what llama-cpp-python's own calls write, whatever happens in between."""

import logging
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from engines.llm.llama import load
from engines.llm.llama.threads import choose_threads, let_threads_sleep
from engines.llm.llama.weights import locate
from engines.llm.model import Run
from engines.llm.options import LlamaOptions
from engines.llm.types import Message, Messages, Sampling
from tests.llm.llama_writing import GREEDY, Writer, asking, empty, greedy, prompt, spelt, words

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("llama_cpp") is None, reason="llama.cpp is not installed"),
]

SMALL = LlamaOptions(context=1024, slots=8, batch_size=512)
TIGHT = LlamaOptions(context=256, slots=4, batch_size=256)
"""As few cells as llama.cpp can have."""


@pytest.fixture(scope="module")
def loaded() -> Iterator[Any]:
    model = load(SMALL)()
    yield model
    model.close()


@pytest.fixture(scope="module")
def loaded_tight() -> Iterator[Any]:
    model = load(TIGHT)()
    yield model
    model.close()


@pytest.fixture
def model(loaded: Any) -> Iterator[Any]:
    """With empty slots."""
    yield loaded
    empty(loaded)


@pytest.fixture
def tight(loaded_tight: Any) -> Iterator[Any]:
    yield loaded_tight
    empty(loaded_tight)


# -- the same as llama-cpp-python --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def high_level() -> Any:
    """llama-cpp-python's own class, with the threads and the attention that ours has."""
    let_threads_sleep()
    import llama_cpp

    chosen = choose_threads(0)
    return llama_cpp.Llama(
        str(locate("")),
        n_ctx=SMALL.context,
        n_threads=chosen.one_token,
        n_threads_batch=chosen.batch,
        flash_attn=True,
        verbose=False,
    )


CONVERSATIONS: list[Messages] = [
    asking("Tell me about the sea."),
    [Message("system", "You answer in one sentence."), *asking("What is a magpie? 🐦")],
    [*asking("Count to ten."), Message("assistant", "1, 2, 3, 4,"), *asking("Go on, please.")],
]


@pytest.mark.slow
@pytest.mark.parametrize("messages", CONVERSATIONS)
@pytest.mark.parametrize(
    "sampling",
    [GREEDY, Sampling(temperature=0, repeat_penalty=1.0), Sampling(temperature=0.9, top_p=0.8, top_k=20, seed=7)],
)
def test_the_text_is_that_of_the_high_level_call(
    model: Any, high_level: Any, messages: Messages, sampling: Sampling
) -> None:
    completion = high_level.create_chat_completion(
        [{"role": message.role, "content": message.content} for message in messages],
        max_tokens=50,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        min_p=0.0,
        repeat_penalty=sampling.repeat_penalty,
        seed=sampling.seed,
    )
    high_level.reset()
    writer = Writer(model, model.tokenise(model.render(messages)), sampling=sampling)
    drawn = writer.write(50)
    assert spelt(model, drawn).decode("utf-8", "ignore") == completion["choices"][0]["message"]["content"]
    assert completion["usage"]["completion_tokens"] == len(drawn) - model.is_end(drawn[-1])


# -- the cache ---------------------------------------------------------------------------------------------------------


def test_what_was_saved_goes_on_as_if_nothing_had_been(model: Any) -> None:
    whole = greedy(model, prompt(model), 40)
    writer = Writer(model, prompt(model))
    before = writer.write(20)
    saved = model.save(0)
    model.truncate(0, 0)
    assert Writer(model, words(model, 50)).write(1), "others have used the cells since"
    model.truncate(0, 0)
    assert model.load(0, saved)
    assert before + writer.write(20) == whole


def test_what_was_saved_goes_on_in_another_slot(model: Any) -> None:
    whole = greedy(model, prompt(model), 40)
    writer = Writer(model, prompt(model), slot=1)
    before = writer.write(20)
    saved = model.save(1)
    model.truncate(1, 0)
    writer.slot = 6
    assert model.load(6, saved)
    assert before + writer.write(20) == whole


def test_saving_changes_nothing(model: Any) -> None:
    whole = greedy(model, prompt(model), 20)
    writer = Writer(model, prompt(model))
    drawn: list[int] = []
    while len(drawn) < 20:
        assert model.save(0) is not None
        drawn += writer.write(1)
    assert drawn == whole


def test_an_empty_slot_can_be_saved(model: Any) -> None:
    assert model.load(1, model.save(0))
    assert greedy(model, prompt(model), 5, slot=1) == greedy(model, prompt(model), 5)


def test_what_was_taken_back_is_as_if_it_had_never_been(model: Any) -> None:
    whole = greedy(model, prompt(model), 20)
    writer = Writer(model, prompt(model))
    drawn = writer.write(10)
    assert model.decode([Run(0, writer.num_held, words(model, 30), draws=False)])
    model.truncate(0, writer.num_held)
    assert drawn + writer.write(10) == whole


def test_a_copy_takes_no_cells_and_goes_on_the_same(tight: Any) -> None:
    tokens = words(tight, 180)
    whole = greedy(tight, tokens, 10)
    assert tight.decode([Run(0, 0, tokens[:-1], draws=False)])
    for slot in (1, 2, 3):
        tight.copy(0, slot, len(tokens) - 1)
    for slot in (0, 1, 2, 3):
        writer = Writer(tight, tokens, slot=slot)
        writer.num_held = len(tokens) - 1
        assert writer.write(10) == whole
    tight.truncate(0, 0)
    writer = Writer(tight, tokens, slot=1)
    writer.num_held = len(tokens) - 1
    tight.truncate(1, writer.num_held)
    assert writer.write(10) == whole, "the copy outlives what it was copied from"


def test_a_part_of_a_slot_can_be_copied(model: Any) -> None:
    tokens = prompt(model)
    assert model.decode([Run(0, 0, [*tokens, *words(model, 20)], draws=False)])
    model.copy(0, 1, 10)
    writer = Writer(model, tokens, slot=1)
    writer.num_held = 10
    assert writer.write(3) == greedy(model, tokens, 3, slot=2)


def test_without_room_nothing_is_added(tight: Any) -> None:
    whole = greedy(tight, prompt(tight), 8)
    writer = Writer(tight, prompt(tight))
    drawn = writer.write(4)
    num_left = tight.num_cells - writer.num_held
    assert tight.decode([Run(1, 0, words(tight, num_left - 4), draws=False)])
    assert not tight.decode([writer.run, Run(2, 0, words(tight, 4), draws=True)])
    assert not tight.decode([Run(2, 0, words(tight, 5), draws=True)])
    assert drawn + writer.write(4) == whole, "no cell is missing, and no token is there twice"
    assert not tight.decode([writer.run])


def test_what_does_not_fit_is_not_loaded_and_no_error_is_logged(tight: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert tight.decode([Run(0, 0, words(tight, 200), draws=False)])
    saved = tight.save(0)
    with caplog.at_level(logging.DEBUG, "tiding.llama"):
        assert not tight.load(1, saved)
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []
    assert tight.decode([Run(1, 0, words(tight, 56), draws=False)]), "the slot is empty, and so are the other cells"
    tight.truncate(0, 0)
    tight.truncate(1, 0)
    assert tight.load(1, saved)


def test_a_cache_that_is_full_of_one_text_can_be_saved_and_loaded(tight: Any) -> None:
    assert tight.decode([Run(0, 0, words(tight, tight.num_cells), draws=True)])
    drawn = tight.draw(0, tight.make_sampler(GREEDY))
    tight.truncate(0, tight.num_cells - 1)
    saved = tight.save(0)
    tight.truncate(0, 0)
    assert tight.load(3, saved)
    assert tight.decode([Run(3, tight.num_cells - 1, words(tight, tight.num_cells)[-1:], draws=True)])
    assert tight.draw(3, tight.make_sampler(GREEDY)) == drawn


# -- the step ----------------------------------------------------------------------------------------------------------


def test_many_write_in_one_batch_each_its_own(model: Any) -> None:
    """Of texts that leave no doubt: what a batch of another size rounds otherwise may tip a doubtful one."""
    texts = [" ".join(str(num) for num in range(first, first + 30)) for first in (1, 30, 50)]
    sequences = [model.tokenise(text) for text in texts]
    alone = [greedy(model, tokens, 8) for tokens in sequences]
    writers = [Writer(model, tokens, slot=slot) for slot, tokens in enumerate(sequences)]
    for _ in range(8):
        assert model.decode([writer.run for writer in writers])
        for writer in writers:
            writer.draw()
    assert [writer.tokens[-8:] for writer in writers] == alone


def test_a_prompt_is_read_in_pieces_beside_one_who_writes(model: Any) -> None:
    counting = model.tokenise(" ".join(str(num) for num in range(1, 30)))
    alone = greedy(model, counting, 8)
    writer, tokens = Writer(model, counting, slot=1), model.tokenise(" ".join(str(num) for num in range(40, 80)))
    for start in range(0, len(tokens), 16):
        piece = Run(2, start, tokens[start : start + 16], draws=start + 16 >= len(tokens))
        assert model.decode([writer.run, piece])
        writer.draw()
    assert model.piece(model.draw(2, model.make_sampler(GREEDY))) == b" "
    assert [*writer.tokens[len(counting) :], *writer.write(8)][:8] == alone


def test_the_longest_batch_there_is_can_be_decoded(model: Any) -> None:
    assert model.batch_size == SMALL.batch_size
    assert model.decode([Run(0, 0, words(model, model.batch_size), draws=True)])


def test_misuse_is_an_exception_and_not_the_end_of_the_process(model: Any) -> None:
    with pytest.raises(AssertionError, match="room for 512"):
        model.decode([Run(0, 0, words(model, 513), draws=True)])
    assert model.decode([Run(0, 0, words(model, 5), draws=False)])
    with pytest.raises(KeyError):
        model.draw(0, model.make_sampler(GREEDY))
    with pytest.raises(RuntimeError, match="failed in a step"):
        model.decode([Run(0, 9, words(model, 5), draws=True)])
    sampler = model.make_sampler(GREEDY)
    assert model.decode([Run(0, 5, words(model, 5), draws=True)])
    sampler.close()
    sampler.close()
    with pytest.raises(AssertionError, match="closed sampler"):
        model.draw(0, sampler)


def test_a_seed_decides_and_none_is_another_each_time(model: Any) -> None:
    def write(seed: int | None) -> list[int]:
        sampling = Sampling(temperature=1.5, top_p=1.0, top_k=0, seed=seed)
        drawn = Writer(model, prompt(model), sampling=sampling).write(6)
        model.truncate(0, 0)
        return drawn

    for seed in (0, -1, 2**32 - 1):
        assert write(seed) == write(seed)
    assert write(1) != write(2)
    assert write(None) != write(None)
