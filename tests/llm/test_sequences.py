"""What is evaluated of a sequence, what is missing, and what two of them share."""

from hypothesis import given
from hypothesis import strategies as st

from engines.llm.model import Run
from engines.llm.sequences import TokenSequence, num_alike

tokens = st.lists(st.integers(0, 1), min_size=1, max_size=12)


def evaluated(prompt: list[int], num: int) -> TokenSequence:
    sequence = TokenSequence(prompt)
    sequence.num_evaluated = num
    return sequence


def test_a_prompt_is_evaluated_in_pieces_and_only_the_last_is_drawn_from() -> None:
    sequence = TokenSequence([1, 2, 3])
    assert sequence.run(5, 2) == Run(5, 0, [1, 2], draws=False)
    sequence.num_evaluated = 2
    assert sequence.run(5, 2) == Run(5, 2, [3], draws=True)


def test_what_was_drawn_last_is_what_is_missing() -> None:
    sequence = evaluated([1, 2], 2)
    sequence.tokens.append(9)
    assert sequence.num_missing == 1
    assert sequence.run(0, 1) == Run(0, 2, [9], draws=True)


@given(tokens, tokens)
def test_sequences_are_alike_up_to_the_first_difference(one: list[int], other: list[int]) -> None:
    num = num_alike(one, other)
    assert one[:num] == other[:num]
    assert num == min(len(one), len(other)) or one[num] != other[num]


@given(tokens, tokens, st.integers(0, 12))
def test_what_is_shared_is_evaluated_and_leaves_a_token_to_be(one: list[int], other: list[int], num: int) -> None:
    shared = evaluated(one, min(num, len(one))).num_shared_with(other)
    assert shared == min(num_alike(one, other), num, len(one), len(other) - 1)


@given(tokens, tokens, st.integers(0, 12))
def test_what_is_rewritten_stays_evaluated_as_far_as_it_is_the_same(one: list[int], new: list[int], num: int) -> None:
    sequence = evaluated(one, min(num, len(one)))
    sequence.rewrite(new)
    assert sequence.tokens == new
    assert sequence.tokens[: sequence.num_evaluated] == one[: sequence.num_evaluated]
    assert sequence.num_missing >= 1
