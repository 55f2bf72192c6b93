import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.cleaning import SpeechFilter, clean, has_speech, speakable

PICTURES = ["😀", "👩‍👩‍👧‍👦", "❤️", "🇩🇪", "👍🏽", "→", "★", "©", "™", "ℹ️", "‼️", "〰️", "✅", "│", "⠿"]
CODES = [0x00, 0x1B, 0x0D, 0x85, 0xAD, 0x200B, 0x200D, 0x202E, 0xFEFF, 0xFE0F, 0xE000, 0xD83D]
SILENT = [*PICTURES, *map(chr, CODES)]

READ = """
Zoë naïve Łódź Ñandú ß cafe\u0301
你好，世界。 こんにちは、か\u3099 ー 안녕하세요 \u1112\u1161\u11ab
Привет नमस्ते שלום مرحبا
20 °C, 5 % + 3 = 8 & $1 €2 £3 ¥4 @home #1 §5
“quotes” — ‘dashes’ … «» ¿Qué? ¡Sí! a*b_c`d^e|f~g\tx² ½ Ⅷ
""".splitlines()


@pytest.mark.parametrize("silent", SILENT)
def test_what_has_no_reading_becomes_spaces(silent: str) -> None:
    assert clean(f"a{silent}b") == f"a{' ' * len(silent)}b"


@pytest.mark.parametrize("spoken", READ)
def test_what_can_be_read_survives(spoken: str) -> None:
    assert clean(spoken) == spoken


def test_a_keycap_leaves_its_digit() -> None:
    assert clean("1\ufe0f\u20e3") == "1  "


def test_line_separators_become_newlines() -> None:
    assert clean("a\u2028b\u2029c") == "a\nb\nc"


@settings(max_examples=200)
@given(st.text(st.characters(), max_size=40), st.text(st.characters(), max_size=40))
def test_cleaning_keeps_length_and_can_be_done_in_pieces(left: str, right: str) -> None:
    cleaned = clean(left + right)
    assert len(cleaned) == len(left + right)
    assert cleaned == clean(left) + clean(right) == clean(cleaned)
    cleaned.encode()


@pytest.mark.parametrize("code", [0xD800, 0xDBFF, 0xDC00, 0xDFFF])
def test_lone_surrogates_can_be_encoded_afterwards(code: int) -> None:
    assert clean(chr(code)).encode() == b" "


@pytest.mark.parametrize("text", ["a", "…3", "你", "é", "Ж!"])
def test_letters_and_digits_are_speech(text: str) -> None:
    assert has_speech(text)


@pytest.mark.parametrize("text", ["", " \n", "...", "😀", "—!?", "\u0301", "$%&"])
def test_marks_and_pictures_are_no_speech(text: str) -> None:
    assert not has_speech(text)


def test_letters_that_a_voice_has_not_leave_a_space_and_are_told_once() -> None:
    texts = SpeechFilter(speakable(lambda char: char in "abc1"))
    assert texts.prepare("жж") == "  "
    assert not texts.has_speech
    assert texts.prepare("a-b, 1 жd😀!") == "a-b, 1    !"
    assert texts.has_speech
    assert texts.take_left_out() == "жd"
    assert texts.take_left_out() == ""


def test_tables_do_not_grow_with_all_that_is_sent() -> None:
    table = speakable(str.isascii)
    every = "".join(map(chr, range(0x20, 0xD800)))
    assert clean(every).translate(table) == "".join(
        " " if char.isalnum() and not char.isascii() else char for char in clean(every)
    )
    assert isinstance(table, dict)
    assert len(table) <= 4096
