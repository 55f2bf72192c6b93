"""Settings: read once from the environment; what is unknown or malformed stops start-up."""

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias

import msgspec
import pytest
from msgspec import inspect

from app.setting_values import choices_of, words_of
from app.settings import LlmSettings, SettingsError, TtsSettings, read_llm_settings, read_settings
from engines.catalog import MODELS, ModelMissing, ModelOptions
from engines.llm.engine import TextLimits
from engines.llm.options import LlamaOptions
from engines.magpie.options import MagpieOptions
from engines.reading import Lexicon

Read: TypeAlias = Callable[[Mapping[str, str]], TtsSettings | LlmSettings]


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = read_settings({"PATH": "/bin", "tiding_port": "1"})
    assert settings == TtsSettings()
    assert (settings.port, settings.model, settings.modes) == (8001, "hibari", ())


EVERY_FIELD = [
    pytest.param(read, prefix + field.name.upper(), field, id=prefix + field.name.upper())
    for kind, prefix, read in ((TtsSettings, "TIDING_", read_settings), (LlmSettings, "TIDING_LLM_", read_llm_settings))
    for field in msgspec.structs.fields(kind)
]


def another(field: msgspec.structs.FieldInfo) -> tuple[str, object]:
    """A text for the field and the value that it means, which is not the default."""
    shape = inspect.type_info(field.type)
    if isinstance(shape, inspect.Metadata) and shape.extra_json_schema and "examples" in shape.extra_json_schema:
        value = shape.extra_json_schema["examples"][0]
        return value, value
    match field.default:
        case bool():
            return str(not field.default).lower(), not field.default
        case int():
            return str(field.default + 1), field.default + 1
        case float():
            return str(field.default + 0.5), field.default + 0.5
        case tuple():
            return "batch, stream,", ("batch", "stream")
        case str():
            value = next((choice for choice in choices_of(field.type) if choice != field.default), "/a/path, or a name")
            return ("fake", "fake") if field.name == "model" else (value, value)
        case _:
            raise AssertionError(f"{field.name}: say here what it may be")


def nonsense(field: msgspec.structs.FieldInfo) -> list[str]:
    """Texts that are no value of the field."""
    shape = inspect.type_info(field.type)
    if isinstance(shape, inspect.Metadata):
        return ["", "?", "a" * 63, "a" * 65, "a" * 64 + "\n", "g" * 64]
    match shape:
        case inspect.BoolType():
            return ["", "yes", "2", "off"]
        case inspect.IntType() | inspect.FloatType():
            low = shape.gt if shape.gt is not None else None if shape.ge is None else shape.ge - 1
            beyond = [str(bound) for bound in (low, None if shape.le is None else shape.le + 1) if bound is not None]
            return ["", "many", "0x10", "1e999", "nan", "inf", "tcp://10.0.0.1:80", *beyond]
        case inspect.LiteralType():
            return ["", "loud", "auto "]
        case inspect.StrType(min_length=least):
            return [""] if least else []
        case _:
            return []


@pytest.mark.parametrize(("read", "name", "field"), EVERY_FIELD)
def test_each_field_is_a_variable_that_sets_it_alone(read: Read, name: str, field: msgspec.structs.FieldInfo) -> None:
    text, value = another(field)
    assert read({name: text}) == msgspec.structs.replace(read({}), **{field.name: value})


@pytest.mark.parametrize(("read", "name", "field"), EVERY_FIELD)
def test_each_field_refuses_what_is_not_of_its_type_by_name_and_value(
    read: Read, name: str, field: msgspec.structs.FieldInfo
) -> None:
    for text in nonsense(field):
        with pytest.raises(SettingsError) as caught:
            read({name: text})
        assert str(caught.value).startswith(f"{name}={text!r}: expected {words_of(field.type)}")


@pytest.mark.parametrize("read", [read_settings, read_llm_settings])
@pytest.mark.parametrize("name", [each.values[1] for each in EVERY_FIELD])
def test_each_variable_is_named_to_those_who_miss_a_letter_of_it(read: Read, name: str) -> None:
    for wrong in (name + "S" if not name.endswith("S") else name[:-1], name[:-2] + name[-1], name.lower()):
        if wrong.startswith("TIDING_") and wrong != name:
            with pytest.raises(SettingsError, match=rf"^{wrong} is not a setting; did you mean TIDING_\w+\?"):
                read({wrong: "1"})


def test_no_two_fields_are_one_variable() -> None:
    names = [each.values[1] for each in EVERY_FIELD]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [("TIDING_LOG_LEVEL", "warn", "warning"), ("TIDING_LOG_LEVEL", "INFO", "info"),
     ("TIDING_MAGPIE_PRECISION", "bfloat", "bfloat16"), ("TIDING_MODEL", "Magpy", "magpie")],
)  # fmt: skip
def test_a_value_that_is_near_a_choice_is_told_which(name: str, value: str, meant: str) -> None:
    with pytest.raises(SettingsError, match=rf"^{name}={value!r}: expected .*; did you mean {meant}\?"):
        read_settings({name: value})


def test_models_are_given_what_is_set_for_them() -> None:
    settings = TtsSettings(
        magpie_checkpoint="/m.nemo",
        magpie_codec="/c.nemo",
        magpie_device="cpu",
        magpie_slots=64,
        magpie_precision="tf32",
        magpie_codec_precision="float16",
        magpie_sha256="a" * 64,
        magpie_codec_sha256="b" * 64,
    )
    expected = MagpieOptions("/m.nemo", "/c.nemo", "cpu", 64, "tf32", "float16", "a" * 64, "b" * 64)
    assert settings.model_options.magpie == expected
    assert TtsSettings().model_options == ModelOptions()


@pytest.mark.skipif(find_spec("torch") is not None, reason="what is missing is installed here")
def test_a_model_that_is_not_installed_says_how_to_install_it() -> None:
    with pytest.raises(
        ModelMissing, match=r"not installed here \(torch, nemo\): `just setup-magpie`.*tiding\[magpie\]"
    ):
        MODELS["magpie"](ModelOptions())


def test_limits_carry_what_is_set() -> None:
    limits = TtsSettings(max_sessions=3, max_contexts=4, max_waiting_chars=500, send_rate=2.5, markdown=False).limits
    assert (limits.max_sessions, limits.max_contexts, limits.max_waiting_chars, limits.send_rate) == (3, 4, 500, 2.5)
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


def test_an_unknown_model_is_refused_with_the_choices() -> None:
    with pytest.raises(SettingsError, match=r"TIDING_MODEL='hibary': expected one of hibari, fake, magpie"):
        read_settings({"TIDING_MODEL": "hibary"})


# -- the LLM server ----------------------------------------------------------------------------------------------------


def test_an_empty_environment_gives_the_defaults_of_the_llm_server() -> None:
    settings = read_llm_settings({"PATH": "/bin", "tiding_llm_port": "1"})
    assert settings == LlmSettings()
    assert (settings.host, settings.port, settings.model, settings.speech_port) == ("127.0.0.1", 8002, "", 8001)
    assert settings.options == LlamaOptions()
    assert settings.limits == TextLimits(max_line=0, max_wait_s=10.0)


def test_the_model_and_the_engine_are_given_what_is_set_for_them() -> None:
    settings = LlmSettings(
        model="/m.gguf", context=4096, slots=4, threads=3, gpu_layers=7, kv_type="q8_0", flash_attention="on",
        chat_template="/t.jinja", max_sessions=5, remembered=0, step_ms=50.5, sha256="c" * 64,
    )  # fmt: skip
    assert settings.options == LlamaOptions(
        model="/m.gguf", context=4096, slots=4, threads=3, gpu_layers=7, kv_type="q8_0", flash_attention="on",
        chat_template="/t.jinja", sha256="c" * 64,
    )  # fmt: skip
    assert settings.limits == TextLimits(max_sessions=5, max_line=0, max_wait_s=10.0, remembered=0, step_ms=50.5)


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
def test_an_unknown_variable_is_refused_by_both_servers(read: Read, name: str, meant: str) -> None:
    with pytest.raises(SettingsError, match=rf"{name} is not a setting; did you mean {meant}\?"):
        read({name: "1"})


@pytest.mark.parametrize(("name", "value"), [("TIDING_LOG_LEVEL", "loud"), ("TIDING_PORT", "many")])
def test_a_malformed_value_that_both_servers_share_is_refused_by_its_own_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name}={value!r}: expected "):
        read_llm_settings({name: value})
