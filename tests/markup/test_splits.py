"""However a text is pushed, the same comes out of it, as long as before, and little is held."""

import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.markup import Markup
from tests.markup.filtering import filtered

pytestmark = pytest.mark.slow

MAX_HELD_CHARS = 300

FRAGMENTS = [
    *("*", "**", "***", "_", "__", "~~", "~~~", "==", "===", "`", "``", "```", "#", "##", "---", "|", "||", ">", "> "),
    *(
        "- ",
        "* ",
        "+ ",
        "• ",
        "1. ",
        "2) ",
        "[ ]",
        "[x]",
        "[",
        "]",
        "(",
        ")",
        "](",
        "][",
        "!",
        "![",
        "[1]",
        "[^1]",
        "[^1]:",
    ),
    *(
        "<",
        "</",
        "/>",
        "<br>",
        "<b>",
        "</p>",
        "<!--",
        "-->",
        "<http://a.b>",
        "<me@a.b>",
        "&",
        "&amp;",
        "&#39;",
        ";",
        "\\",
    ),
    *(
        "[a]: http://b",
        "](http://a_b_(c)",
        ' "d")',
        "[pause]",
        "[pause:3s]",
        "[pau",
        "<break/>",
        '<break time="1s"',
        "\r\n",
    ),
    *(
        "http://x.y/_a_",
        "www.a.b",
        "\n",
        "\n\n",
        " ",
        "  ",
        "\t",
        "a",
        "word",
        "It",
        "5",
        "12",
        "3.5",
        ".",
        ",",
        ":",
        "?",
    ),
    *(
        '"',
        "'",
        "$",
        "重点",
        "，",
        "。",
        "é",
        "🙂",
        "\u2029",
        "x" * 60,
        "-" * 50,
        " " * 50,
        "|-" * 20,
        "*" * 300,
        "[" * 300,
    ),
]

texts = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=3), max_size=60).map("".join)


def pieces(text: str, rng: random.Random) -> Iterator[str]:
    while text:
        num_chars = rng.randint(1, rng.choice([1, 3, 20, 200]))
        yield text[:num_chars]
        text = text[num_chars:]


def assert_split_makes_no_difference(text: str, rng: random.Random, *, is_markdown: bool) -> None:
    whole = filtered([text], is_markdown=is_markdown)
    assert len(whole.text) == len(text)
    for parts in (list(text), list(pieces(text, rng))):
        split = filtered(parts, is_markdown=is_markdown)
        assert (split.text, split.rests) == (whole.text, whole.rests)
    assert filtered(text, is_markdown=is_markdown).num_held_chars <= MAX_HELD_CHARS


@settings(max_examples=200)
@given(texts, st.randoms(use_true_random=False), st.booleans())
def test_any_split_gives_the_same_text_and_the_same_rests(text: str, rng: random.Random, is_markdown: bool) -> None:
    assert_split_makes_no_difference(text, rng, is_markdown=is_markdown)


@pytest.mark.parametrize("seed", range(40))
def test_any_split_of_a_long_text_gives_the_same(seed: int) -> None:
    rng = random.Random(seed)
    some = rng.sample(FRAGMENTS, rng.randint(4, len(FRAGMENTS)))
    text = "".join(rng.choice(some) for _ in range(300))
    assert_split_makes_no_difference(text, rng, is_markdown=True)


@settings(max_examples=100)
@given(st.lists(texts, max_size=6))
def test_flushes_leave_the_length_as_it_was(parts: list[str]) -> None:
    markup = Markup()
    for part in parts:
        assert len(markup.push(part) + markup.flush()) == len(part)
        assert markup.num_held_chars == 0


@pytest.mark.parametrize(
    "endless",
    [
        "[a](http://" + "b" * 900,
        "<b " + "c" * 900,
        "[" * 900,
        "`" * 900,
        "*" * 900,
        "-" * 900,
        "|" + "-|" * 400,
        "<!--" * 200,
        "# a\n" + " " * 900,
    ],
)
def test_what_never_ends_is_given_out_all_the_same(endless: str) -> None:
    found = filtered(endless)
    assert found.num_held_chars <= MAX_HELD_CHARS
    assert found.text == filtered([endless]).text
