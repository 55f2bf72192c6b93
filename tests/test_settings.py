"""Settings: read once from the environment; what is unknown or malformed stops start-up."""

from importlib.util import find_spec

import msgspec
import pytest

from app.settings import SettingsError, TtsSettings, read_settings
from engines.catalog import MODELS, ModelMissing, ModelOptions
from engines.magpie.options import MagpieOptions


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = read_settings({"PATH": "/bin", "tiding_port": "1"})
    assert settings == TtsSettings()
    assert (settings.port, settings.model, settings.modes) == (8001, "hibari", ())


def test_each_field_is_a_variable() -> None:
    settings = read_settings({
        "TIDING_HOST": "0.0.0.0", "TIDING_PORT": "9000", "TIDING_MODEL": "fake", "TIDING_MODES": "batch, stream,",
        "TIDING_LOG_LEVEL": "debug", "TIDING_MAX_SESSIONS": "3", "TIDING_MAX_WAITING_CHARS": "500",
        "TIDING_SEND_RATE": "0", "TIDING_MAGPIE_CHECKPOINT": "/m.nemo", "TIDING_MAGPIE_CODEC": "/c.nemo",
        "TIDING_MAGPIE_DEVICE": "cpu", "TIDING_MAGPIE_SLOTS": "64", "TIDING_MAGPIE_PRECISION": "tf32",
        "TIDING_MAGPIE_CODEC_PRECISION": "float16",
    })  # fmt: skip
    assert settings == TtsSettings(
        "0.0.0.0", 9000, "fake", ("batch", "stream"), "debug", 3, 500, 0.0,
        "/m.nemo", "/c.nemo", "cpu", 64, "tf32", "float16",
    )  # fmt: skip
    assert len(msgspec.structs.fields(TtsSettings)) == 14, "a setting is not covered here"


def test_models_are_given_what_is_set_for_them() -> None:
    settings = TtsSettings(
        magpie_checkpoint="/m.nemo",
        magpie_codec="/c.nemo",
        magpie_device="cpu",
        magpie_slots=64,
        magpie_precision="tf32",
        magpie_codec_precision="float16",
    )
    assert settings.model_options.magpie == MagpieOptions("/m.nemo", "/c.nemo", "cpu", 64, "tf32", "float16")
    assert TtsSettings().model_options == ModelOptions()


@pytest.mark.skipif(find_spec("torch") is not None, reason="what is missing is installed here")
def test_a_model_that_is_not_installed_says_how_to_install_it() -> None:
    with pytest.raises(
        ModelMissing, match=r"not installed here \(torch, nemo\): `just setup-magpie`.*tiding\[magpie\]"
    ):
        MODELS["magpie"](ModelOptions())


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
        ("TIDING_MAGPIE_CHECKPOINT", ""), ("TIDING_MAGPIE_DEVICE", "gpu"), ("TIDING_MAGPIE_SLOTS", "-1"),
        ("TIDING_MAGPIE_SLOTS", "1025"), ("TIDING_MAGPIE_PRECISION", "float16"),
        ("TIDING_MAGPIE_CODEC_PRECISION", "int8"),
    ],
)  # fmt: skip
def test_a_malformed_value_is_refused_by_name_and_value(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings({name: value})
    assert str(caught.value).startswith(f"{name}={value!r}: ")


def test_an_unknown_model_is_refused_with_the_choices() -> None:
    with pytest.raises(SettingsError, match=r"TIDING_MODEL='hibary': expected one of hibari, fake, magpie"):
        read_settings({"TIDING_MODEL": "hibary"})
