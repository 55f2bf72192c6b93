"""Settings: read once from the environment; what is unknown or malformed stops start-up."""

import msgspec
import pytest

from app.settings import SettingsError, TtsSettings, read_settings


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = read_settings({"PATH": "/bin", "tiding_port": "1"})
    assert settings == TtsSettings()
    assert (settings.port, settings.model, settings.modes) == (8001, "hibari", ())


def test_each_field_is_a_variable() -> None:
    settings = read_settings({
        "TIDING_HOST": "0.0.0.0", "TIDING_PORT": "9000", "TIDING_MODEL": "fake", "TIDING_MODES": "batch, stream,",
        "TIDING_LOG_LEVEL": "debug", "TIDING_MAX_SESSIONS": "3", "TIDING_MAX_WAITING_CHARS": "500",
        "TIDING_SEND_RATE": "0",
    })  # fmt: skip
    assert settings == TtsSettings("0.0.0.0", 9000, "fake", ("batch", "stream"), "debug", 3, 500, 0.0)
    assert len(msgspec.structs.fields(TtsSettings)) == 8, "a setting is not covered here"


def test_limits_carry_what_is_set() -> None:
    limits = TtsSettings(max_sessions=3, max_waiting_chars=500, send_rate=2.5).limits
    assert (limits.max_sessions, limits.max_waiting_chars, limits.send_rate) == (3, 500, 2.5)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("TIDING_PROT", "TIDING_PORT"),
        ("TIDING_MAX_SESSION", "TIDING_MAX_SESSIONS"),
        ("TIDING_VOICE_MODEL", "TIDING_MODEL"),
    ],
)
def test_an_unknown_variable_is_refused_with_the_nearest_one(name: str, meant: str) -> None:
    with pytest.raises(SettingsError, match=rf"{name} is not a setting; did you mean {meant}\?"):
        read_settings({name: "1"})


def test_an_unknown_variable_like_none_is_refused_with_all_there_are() -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings({"TIDING_XYZZY": "1"})
    for field in msgspec.structs.fields(TtsSettings):
        assert f"TIDING_{field.name.upper()}" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TIDING_PORT", "eighty"), ("TIDING_PORT", "0"), ("TIDING_PORT", "65536"), ("TIDING_PORT", ""),
        ("TIDING_MAX_SESSIONS", "0"), ("TIDING_MAX_SESSIONS", "1.5"), ("TIDING_MAX_WAITING_CHARS", "-1"),
        ("TIDING_SEND_RATE", "-1"), ("TIDING_SEND_RATE", "nan"), ("TIDING_LOG_LEVEL", "loud"),
    ],
)  # fmt: skip
def test_a_malformed_value_is_refused_by_name_and_value(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings({name: value})
    assert str(caught.value).startswith(f"{name}={value!r}: ")


def test_an_unknown_model_is_refused_with_the_choices() -> None:
    with pytest.raises(SettingsError, match=r"TIDING_MODEL='hibary': expected one of hibari, fake"):
        read_settings({"TIDING_MODEL": "hibary"})
