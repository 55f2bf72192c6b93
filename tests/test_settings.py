"""Settings: read once from the environment; what is unknown or malformed stops start-up."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import msgspec
import pytest

from app.settings import LlmSettings, SettingsError, TtsSettings, read_llm_settings, read_settings
from engines.catalog import MODELS, ModelMissing, ModelOptions
from engines.llm.engine import TextLimits
from engines.llm.options import LlamaOptions
from engines.magpie.options import MagpieOptions
from engines.reading import Lexicon


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = read_settings({"PATH": "/bin", "tiding_port": "1"})
    assert settings == TtsSettings()
    assert (settings.port, settings.model, settings.modes) == (8001, "hibari", ())


def test_each_field_is_a_variable() -> None:
    settings = read_settings({
        "TIDING_HOST": "0.0.0.0", "TIDING_PORT": "9000", "TIDING_MODEL": "fake", "TIDING_MODES": "batch, stream,",
        "TIDING_LOG_LEVEL": "debug", "TIDING_MAX_SESSIONS": "3", "TIDING_MAX_WAITING_CHARS": "500",
        "TIDING_SEND_RATE": "0", "TIDING_MARKDOWN": "false", "TIDING_LEXICON": "/l.json", "TIDING_LOG_FORMAT": "json",
        "TIDING_MAGPIE_CHECKPOINT": "/m.nemo", "TIDING_MAGPIE_CODEC": "/c.nemo",
        "TIDING_MAGPIE_DEVICE": "cpu", "TIDING_MAGPIE_SLOTS": "64", "TIDING_MAGPIE_PRECISION": "tf32",
        "TIDING_MAGPIE_CODEC_PRECISION": "float16",
    })  # fmt: skip
    assert settings == TtsSettings(
        "0.0.0.0", 9000, "fake", ("batch", "stream"), "debug", 3, 500, 0.0, False, "/l.json", "json",
        "/m.nemo", "/c.nemo", "cpu", 64, "tf32", "float16",
    )  # fmt: skip
    assert len(msgspec.structs.fields(TtsSettings)) == 17, "a setting is not covered here"


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
    limits = TtsSettings(max_sessions=3, max_waiting_chars=500, send_rate=2.5, markdown=False).limits
    assert (limits.max_sessions, limits.max_waiting_chars, limits.send_rate) == (3, 500, 2.5)
    assert not limits.is_markdown


def test_a_lexicon_is_read_at_start_and_one_that_cannot_be_stops_it(tmp_path: Path) -> None:
    assert TtsSettings().pronunciations == Lexicon()
    file = tmp_path / "lexicon.json"
    file.write_text('{"Tiding": "tie-ding"}')
    assert TtsSettings(lexicon=str(file)).pronunciations == Lexicon.of({"Tiding": "tie-ding"})
    for wrong in ("[]", "{", '{"": "x"}', '{"GIF": 5}'):
        file.write_text(wrong)
        with pytest.raises(SettingsError, match=r"TIDING_LEXICON.*lexicon\.json"):
            _ = TtsSettings(lexicon=str(file)).pronunciations
    with pytest.raises(SettingsError, match="TIDING_LEXICON"):
        _ = TtsSettings(lexicon=str(tmp_path / "none.json")).pronunciations


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
    for kind, prefix in ((TtsSettings, "TIDING_"), (LlmSettings, "TIDING_LLM_")):
        for field in msgspec.structs.fields(kind):
            assert prefix + field.name.upper() in str(caught.value)


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


# -- the LLM server ----------------------------------------------------------------------------------------------------


def test_an_empty_environment_gives_the_defaults_of_the_llm_server() -> None:
    settings = read_llm_settings({"PATH": "/bin", "tiding_llm_port": "1"})
    assert settings == LlmSettings()
    assert (settings.host, settings.port, settings.model, settings.speech_port) == ("127.0.0.1", 8002, "", 8001)
    assert settings.options == LlamaOptions()
    assert settings.limits == TextLimits()


def test_each_field_of_the_llm_server_is_a_variable() -> None:
    settings = read_llm_settings({
        "TIDING_LLM_HOST": "0.0.0.0", "TIDING_LLM_PORT": "9000", "TIDING_LLM_MODEL": "/m.gguf",
        "TIDING_LLM_CONTEXT": "4096", "TIDING_LLM_SLOTS": "4", "TIDING_LLM_THREADS": "3", "TIDING_LLM_GPU_LAYERS": "7",
        "TIDING_LLM_KV_TYPE": "q8_0", "TIDING_LLM_FLASH_ATTENTION": "on", "TIDING_LLM_CHAT_TEMPLATE": "/t.jinja",
        "TIDING_LLM_MAX_SESSIONS": "5", "TIDING_LLM_REMEMBERED": "0", "TIDING_LLM_STEP_MS": "50.5",
        "TIDING_LLM_ORIGINS": "https://a.example, https://b.example,", "TIDING_LLM_SPEECH_PORT": "9001",
        "TIDING_LLM_LOG_LEVEL": "debug", "TIDING_LLM_LOG_FORMAT": "json",
    })  # fmt: skip
    assert settings == LlmSettings(
        "0.0.0.0", 9000, "/m.gguf", 4096, 4, 3, 7, "q8_0", "on", "/t.jinja", 5, 0, 50.5,
        ("https://a.example", "https://b.example"), 9001, "debug", "json",
    )  # fmt: skip
    assert len(msgspec.structs.fields(LlmSettings)) == 17, "a setting is not covered here"


def test_the_model_and_the_engine_are_given_what_is_set_for_them() -> None:
    settings = LlmSettings(
        model="/m.gguf", context=4096, slots=4, threads=3, gpu_layers=7, kv_type="q8_0", flash_attention="on",
        chat_template="/t.jinja", max_sessions=5, remembered=0, step_ms=50.5,
    )  # fmt: skip
    assert settings.options == LlamaOptions(
        model="/m.gguf", context=4096, slots=4, threads=3, gpu_layers=7, kv_type="q8_0", flash_attention="on",
        chat_template="/t.jinja",
    )  # fmt: skip
    assert settings.limits == TextLimits(max_sessions=5, remembered=0, step_ms=50.5)


def test_host_log_level_and_the_place_of_the_page_follow_the_speech_server() -> None:
    shared = {"TIDING_HOST": "0.0.0.0", "TIDING_LOG_LEVEL": "debug", "TIDING_PORT": "9001"}
    settings = read_llm_settings(shared)
    assert (settings.host, settings.log_level, settings.speech_port, settings.port) == ("0.0.0.0", "debug", 9001, 8002)
    own = {"TIDING_LLM_HOST": "::1", "TIDING_LLM_LOG_LEVEL": "error", "TIDING_LLM_SPEECH_PORT": "80"}
    settings = read_llm_settings(shared | own)
    assert (settings.host, settings.log_level, settings.speech_port) == ("::1", "error", 80)
    speech = read_settings(shared | own)
    assert (speech.host, speech.log_level, speech.port) == ("0.0.0.0", "debug", 9001)


def test_what_the_servers_do_not_share_is_the_affair_of_each() -> None:
    environment = {"TIDING_MODEL": "fake", "TIDING_MAX_SESSIONS": "3", "TIDING_LLM_MAX_SESSIONS": "5"}
    assert read_llm_settings(environment) == LlmSettings(max_sessions=5)
    assert read_settings(environment) == TtsSettings(model="fake", max_sessions=3)


def test_the_variables_of_the_other_server_are_known_and_their_values_are_its_affair() -> None:
    assert read_settings({"TIDING_LLM_SLOTS": "many"}) == TtsSettings()
    assert read_llm_settings({"TIDING_SEND_RATE": "fast"}) == LlmSettings()


@pytest.mark.parametrize("read", [read_settings, read_llm_settings])
@pytest.mark.parametrize(
    ("name", "meant"),
    [("TIDING_LLM_CONTEX", "TIDING_LLM_CONTEXT"), ("TIDING_LLM_SEND_RATE", "TIDING_SEND_RATE"),
     ("TIDING_LLM_THREAD", "TIDING_LLM_THREADS"), ("TIDING_PROT", "TIDING_PORT")],
)  # fmt: skip
def test_an_unknown_variable_is_refused_by_both_servers(read: Callable[..., object], name: str, meant: str) -> None:
    with pytest.raises(SettingsError, match=rf"{name} is not a setting; did you mean {meant}\?"):
        read({name: "1"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TIDING_LLM_PORT", "0"), ("TIDING_LLM_CONTEXT", "0"), ("TIDING_LLM_SLOTS", "0"), ("TIDING_LLM_SLOTS", "257"),
        ("TIDING_LLM_THREADS", "-1"), ("TIDING_LLM_GPU_LAYERS", "-2"), ("TIDING_LLM_KV_TYPE", "f8"),
        ("TIDING_LLM_FLASH_ATTENTION", "yes"), ("TIDING_LLM_MAX_SESSIONS", "0"), ("TIDING_LLM_REMEMBERED", "-1"),
        ("TIDING_LLM_STEP_MS", "0"), ("TIDING_LLM_STEP_MS", "nan"), ("TIDING_LLM_LOG_LEVEL", "loud"),
        ("TIDING_LOG_LEVEL", "loud"), ("TIDING_PORT", "many"),
    ],
)  # fmt: skip
def test_a_malformed_value_of_the_llm_server_is_refused_by_name_and_value(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_llm_settings({name: value})
    assert str(caught.value).startswith(f"{name}={value!r}: ")
