"""The fake that all other tests of the text engine stand on: it writes its script, and notices what is done to it."""

import threading
from collections.abc import Sequence

import pytest

from engines.fake import Gate
from engines.llm.fake import FakeText, chatter, words_of
from engines.llm.model import Run, Sampler, TextModel
from engines.llm.types import Message, Sampling

GREEDY = Sampling(temperature=0)


def asking(text: str = "a fox") -> list[Message]:
    return [Message("user", text)]


def write(
    model: FakeText, tokens: Sequence[int], *, slot: int = 0, start: int = 0, sampler: Sampler | None = None
) -> str:
    """What follows these, to the end of the answer."""
    sampler = sampler or model.make_sampler(GREEDY)
    written = b""
    while True:
        assert model.decode([Run(slot, start, tokens, draws=True)])
        start += len(tokens)
        tokens = [model.draw(slot, sampler)]
        if model.is_end(tokens[0]):
            return written.decode()
        written += model.piece(tokens[0])


def prompt(model: FakeText, text: str = "a fox") -> list[int]:
    return model.tokenise(model.render(asking(text)))


def drawn(model: FakeText, num_tokens: int, *, slot: int = 0) -> list[int]:
    """A slot's prompt and the first tokens of its answer, all of which it holds."""
    tokens, sampler = prompt(model), model.make_sampler(GREEDY)
    assert model.decode([Run(slot, 0, tokens, draws=True)])
    for _ in range(num_tokens):
        tokens.append(model.draw(slot, sampler))
        assert model.decode([Run(slot, len(tokens) - 1, tokens[-1:], draws=True)])
    return tokens


def test_it_keeps_the_contract() -> None:
    model: TextModel = FakeText()
    assert (model.name, model.num_slots, model.num_cells, model.context_length, model.batch_size) == (
        "fake", 4, 4096, 4096, 64,
    )  # fmt: skip


def test_it_writes_its_script_word_by_word() -> None:
    model = FakeText(lambda _: ["One", " two", "."])
    assert write(model, prompt(model)) == "One two." == model.answer(*asking())
    assert [len(batch[0].tokens) for batch in model.batches] == [len(prompt(model)), 1, 1, 1]


def test_the_answer_depends_on_the_conversation() -> None:
    model = FakeText()
    assert model.answer(*asking("a fox")) != model.answer(*asking("a hen"))
    assert model.answer(*asking()) != model.answer(*asking(), Message("assistant", "Yes."), *asking())
    assert len(chatter(model.render(asking()))) > 20


def test_characters_may_take_several_tokens() -> None:
    parts = [bytes([byte]) for byte in "🦜".encode()]
    model = FakeText(lambda _: ["A", *parts, "!"])
    assert write(model, prompt(model)) == "A🦜!"
    assert len(model.batches) == 7


def test_marks_write_nothing_and_one_of_them_ends() -> None:
    model = FakeText()
    tokens = model.tokenise(model.render(asking("Hello")))
    assert b"".join(map(model.piece, tokens)) == b"Hello"
    assert [model.is_end(token) for token in tokens] == [False, False, True, False]
    assert model.tokenise(model.render(asking("Hello"), asks=False)) == tokens[:-1]


def test_tokens_are_the_same_whoever_asks_first() -> None:
    model = FakeText()
    found: list[list[int]] = []
    threads = [
        threading.Thread(target=lambda: found.append(model.tokenise("what the fox said to the hen " * 50)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [found[0]] * 4
    assert words_of("It's 3.50!  Now") == ["It", "'", "s", " 3", ".", "50", "!", "  Now"]


def test_temperature_draws_others_and_a_seed_the_same_ones() -> None:
    model = FakeText()

    def written(sampling: Sampling) -> str:
        text = write(model, prompt(model), sampler=model.make_sampler(sampling))
        model.truncate(0, 0)
        return text

    assert written(Sampling(seed=1)) == written(Sampling(seed=1)) != written(Sampling(seed=2))
    assert written(Sampling(seed=1)).casefold() == written(GREEDY).casefold()


# -- the cache ---------------------------------------------------------------------------------------------------------


def test_a_slot_goes_on_from_what_it_holds() -> None:
    model = FakeText()
    tokens = drawn(model, 5)
    saved = model.save(0)
    model.truncate(0, len(tokens) - 3)
    assert model.held[0] == tokens[:-3]
    model.truncate(0, 0)
    assert model.load(2, saved)
    assert model.held == [[], [], tokens, []]
    model.truncate(2, len(tokens) - 1)
    rest = write(model, tokens[-1:], slot=2, start=len(tokens) - 1)
    said = b"".join(map(model.piece, tokens[len(prompt(model)) :])).decode()
    assert said + rest == model.answer(*asking())


def test_a_copy_shares_its_cells() -> None:
    model = FakeText(num_cells=12)
    assert model.decode([Run(0, 0, list(range(10)), draws=False)])
    model.copy(0, 1, 8)
    assert (model.held[1], model.num_used_cells) == (list(range(8)), 10)
    model.truncate(0, 0)
    assert model.num_used_cells == 8
    assert model.decode([Run(1, 8, [1, 2, 3, 4], draws=False)])
    assert model.num_used_cells == 12
    model.truncate(1, 0)
    assert model.num_used_cells == 0


def test_without_room_nothing_is_added() -> None:
    model = FakeText(num_cells=10)
    assert model.decode([Run(0, 0, [1] * 8, draws=False)])
    saved = model.save(0)
    assert not model.decode([Run(0, 8, [1], draws=True), Run(1, 0, [1, 2], draws=True)])
    assert not model.load(1, saved)
    assert (model.held, len(model.batches)) == ([[1] * 8, [], [], []], 1)


# -- what it does when it is told to -----------------------------------------------------------------------------------


def test_a_gate_holds_the_device_before_a_batch() -> None:
    gate = Gate()
    model = FakeText(gate=gate)
    thread = threading.Thread(target=lambda: model.decode([Run(0, 0, [1], draws=False)]))
    thread.start()
    gate.wait_held()
    assert model.held[0] == []
    gate.allow()
    thread.join()
    assert model.held[0] == [1]


def test_a_batch_fails_when_it_is_to() -> None:
    model = FakeText(fails_at=1)
    assert model.decode([Run(0, 0, [1], draws=False)])
    with pytest.raises(RuntimeError, match="as it was told to"):
        model.decode([Run(0, 1, [1], draws=False)])
    assert model.held[0] == [1]


# -- what it notices ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        ([], "size"),
        ([Run(0, 0, [], draws=False)], "size"),
        ([Run(0, 0, [], draws=False), Run(1, 0, [1], draws=False)], "has tokens"),
        ([Run(0, 0, [1] * 65, draws=False)], "size"),
        ([Run(4, 0, [1], draws=False)], "no slot 4"),
        ([Run(-1, 0, [1], draws=False)], "no slot -1"),
        ([Run(0, 1, [1], draws=False)], "holds 0 tokens"),
        ([Run(0, 0, [1], draws=False), Run(0, 1, [1], draws=False)], "once"),
        ([Run(0, 0, [1] * 21, draws=False)], "too long"),
    ],
)
def test_a_batch_that_cannot_be_is_noticed(runs: list[Run], said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        FakeText(context_length=20).decode(runs)


def test_a_draw_without_a_thought_is_noticed() -> None:
    model = FakeText()
    sampler = model.make_sampler(GREEDY)
    assert model.decode([Run(0, 0, prompt(model), draws=True), Run(1, 0, [1], draws=False)])
    with pytest.raises(AssertionError, match="no run of slot 1"):
        model.draw(1, sampler)
    assert model.draw(0, sampler)
    with pytest.raises(AssertionError, match="no run of slot 0"):
        model.draw(0, sampler)
    model.truncate(0, 0)
    assert model.decode([Run(0, 0, prompt(model), draws=True)])
    model.truncate(0, 3)
    with pytest.raises(AssertionError, match="no run of slot 0"):
        model.draw(0, sampler)


def test_a_slot_that_is_not_empty_is_noticed() -> None:
    model = FakeText()
    assert model.decode([Run(0, 0, [1, 2], draws=False), Run(1, 0, [1], draws=False)])
    with pytest.raises(AssertionError, match="slot 1 is not empty"):
        model.copy(0, 1, 1)
    with pytest.raises(AssertionError, match="slot 1 is not empty"):
        model.load(1, model.save(0))
    with pytest.raises(AssertionError, match="holds no 3"):
        model.copy(0, 2, 3)


def test_samplers_are_counted_and_closed_once() -> None:
    model = FakeText()
    sampler = model.make_sampler(GREEDY)
    assert model.num_samplers == 1
    sampler.close()
    assert model.num_samplers == 0
    with pytest.raises(AssertionError, match="closed once"):
        sampler.close()
    assert model.decode([Run(0, 0, prompt(model), draws=True)])
    with pytest.raises(AssertionError, match="closed sampler"):
        model.draw(0, sampler)


def test_a_closed_model_is_not_used() -> None:
    model = FakeText()
    model.close()
    with pytest.raises(AssertionError, match="closed model"):
        model.decode([Run(0, 0, [1], draws=False)])
