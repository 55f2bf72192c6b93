"""Bytes become whole characters, however they are cut."""

from hypothesis import given
from hypothesis import strategies as st

from engines.llm.characters import Characters


def pushed(characters: Characters, pieces: list[bytes]) -> list[str]:
    return [characters.push(piece) for piece in pieces]


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces: list[bytes] = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [*pieces, data]


@given(st.text(), st.lists(st.integers(0, 5)))
def test_a_text_comes_back_whole_however_its_bytes_are_cut(text: str, sizes: list[int]) -> None:
    characters = Characters()
    pieces = cut(text.encode(), sizes)
    assert "".join(pushed(characters, pieces)) == text
    assert characters.finish() == ""


@given(st.binary(), st.lists(st.integers(0, 5)))
def test_bytes_that_are_no_text_are_replaced_the_same_however_they_are_cut(data: bytes, sizes: list[int]) -> None:
    characters = Characters()
    joined = "".join(pushed(characters, cut(data, sizes))) + characters.finish()
    assert joined == data.decode(errors="replace")


def test_a_character_comes_with_its_last_byte() -> None:
    characters = Characters()
    assert pushed(characters, [b"a\xf0\x9f", b"\x98", b"\x80b"]) == ["a", "", "😀b"]


def test_a_character_that_is_not_finished_is_replaced_at_the_end() -> None:
    characters = Characters()
    assert (characters.push(b"a\xf0\x9f"), characters.finish()) == ("a", "\ufffd")
