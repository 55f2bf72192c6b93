"""A checkpoint runs nothing of its own: what could is refused before NeMo sees the file."""

import io
import os
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from engines.magpie.archive import (
    MAX_MEMBERS,
    MAX_UNPACKED_BYTES,
    CheckpointError,
    UnsafeCheckpointError,
    check_archive,
    check_targets,
    read_config,
    unpack,
)
from engines.magpie.checkpoint import load
from engines.magpie.targets import BUILT, LEFT_OUT
from tests.magpie.archives import MAGPIE, rewrite, weights_of, write_archive

TOKENIZERS = "nemo.collections.common.tokenizers.text_to_speech.tts_tokenizers"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.nemo"


@pytest.mark.parametrize("name", ["magpie.nemo", "codec.nemo"])
def test_what_nemo_wrote_passes(checkpoint_file: Callable[[str], Path], name: str) -> None:
    config = check_archive(checkpoint_file("tiny").with_name(name))
    assert config["target"].startswith("nemo.collections.tts.models.")


def test_a_compressed_archive_passes(path: Path) -> None:
    assert check_archive(write_archive(path, {"target": MAGPIE}, mode="w:gz")) == {"target": MAGPIE}


def test_what_passes_is_unpacked_for_its_owner_alone(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "unpacked"
    folder.mkdir()
    unpack(write_archive(path, members={"./words.dict": b"A  B\n"}), folder)
    assert sorted(file.name for file in folder.iterdir()) == ["model_config.yaml", "model_weights.ckpt", "words.dict"]
    assert {file.stat().st_mode & 0o177 for file in folder.iterdir()} == {0}


# -- the configuration -------------------------------------------------------------------------------------------------

BAD_TARGETS: list[Any] = [
    {"_target_": "os.system"},
    {"target": "os.system"},
    {"cls": "os.system", "params": {"command": "true"}},
    {"params": {"_target_": "os.system"}},
    {"text_tokenizers": {"english": {"_target_": "builtins.eval"}}},
    {"train_ds": {"dataset": {"_target_": "subprocess.Popen"}}},
    {"log_config": {"generators": [{"a": 1}, [{"_target_": "os.system"}]]}},
    {"vector_quantizer": {"_target_": "torch.hub.load"}},
    {"vector_quantizer": {"_target_": "nemo.utils.model_utils.import_class_by_path"}},
    {"vector_quantizer": {"_target_": f"{MAGPIE}.restore_from"}},
    {"vector_quantizer": {"_target_": MAGPIE.upper()}},
    {"vector_quantizer": {"_target_": f" {MAGPIE}"}},
    {"vector_quantizer": {"_target_": ["os.system"]}},
    {"vector_quantizer": {"_target_": "${a.b}"}},
    {"vector_quantizer": {"_target_": None}},
    {"text_tokenizers": {"a": {"_target_": f"{TOKENIZERS}.IPATokenizer", "g2p": {"_target_": "os.system"}}}},
    {"model": {"vector_quantizer": {"_target_": "os.system"}}},
]


@pytest.mark.parametrize("config", BAD_TARGETS, ids=str)
def test_a_class_that_is_not_on_the_list_is_refused(path: Path, config: dict[str, Any]) -> None:
    with pytest.raises(UnsafeCheckpointError, match=r"some\.nemo: .* names .*not on the list"):
        check_archive(write_archive(path, config))


def test_the_refusal_names_the_class_and_its_place(path: Path) -> None:
    write_archive(path, {"log_config": {"generators": [{"_target_": "os.system"}]}})
    with pytest.raises(UnsafeCheckpointError, match=r"log_config\.generators\[0\]\._target_ names 'os\.system'"):
        check_archive(path)


@pytest.mark.parametrize("target", sorted(BUILT | LEFT_OUT))
def test_every_name_on_the_list_is_a_class(target: str) -> None:
    """A name with a slip in it would refuse good checkpoints."""
    module, _, name = target.rpartition(".")
    if not module:
        assert target == "AutoTokenizer"
        return
    assert isinstance(getattr(__import__(module, fromlist=[name]), name), type)


@pytest.mark.parametrize(
    "text",
    ["${oc.env:HOME}", "${oc.decode:${a}}", "x${oc.env:HOME}y", "${a${b}:c}", "${oc.create:{_target_:os.system}}"],
)
@pytest.mark.parametrize("place", ["value", "key", "list"])
def test_functions_of_the_configuration_language_are_refused(path: Path, text: str, place: str) -> None:
    config = {"value": {"a": text}, "key": {text: 1}, "list": {"a": [{"b": text}]}}[place]
    with pytest.raises(UnsafeCheckpointError, match="calls a function"):
        check_archive(write_archive(path, config))


def test_references_and_training_settings_pass(path: Path) -> None:
    config = {
        "a": "${b.c}",
        "d": "${list[0]}_${.e}",
        "train_ds": {"dataset": {"_target_": "nemo.collections.tts.data.text_to_speech_dataset.MagpieTTSDataset"}},
        "optim": {"_target_": "torch.optim.AdamW", "sched": {"name": "ExponentialLR"}},
    }
    assert check_archive(write_archive(path, config)) == config


@pytest.mark.parametrize(
    ("tokenizer", "is_refused"),
    [
        ({"_target_": "AutoTokenizer", "pretrained_model": "google/byt5-small"}, False),
        ({"_target_": "AutoTokenizer", "pretrained_model": "someone/else"}, True),
        ({"_target_": "AutoTokenizer", "pretrained_model": "/tmp/here"}, True),
        ({"_target_": "AutoTokenizer"}, True),
        ({"_target_": "T5Tokenizer", "pretrained_model": "google-t5/t5-small"}, True),
        ({"_target_": f"{TOKENIZERS}.IPATokenizer", "trust_remote_code": True}, True),
    ],
    ids=str,
)
def test_only_byte_tokenizers_may_be_named_of_a_hub(path: Path, tokenizer: dict[str, Any], is_refused: bool) -> None:
    write_archive(path, {"text_tokenizers": {"french": tokenizer}})
    if is_refused:
        with pytest.raises(UnsafeCheckpointError):
            check_archive(path)
    else:
        check_archive(path)


@pytest.mark.parametrize(
    "text",
    [
        "a: !!python/object/apply:os.system ['true']",
        "a: !!python/name:os.system",
        "a: &x [1]\nb: *x",
        "a: !!binary aGVsbG8=",
        "a: !!set {b, c}",
        "? [1, 2]\n: 3",
        "a: [",
        "[" * 5000,
    ],
)
def test_a_configuration_that_is_not_plain_data_is_refused(path: Path, text: str) -> None:
    with pytest.raises(UnsafeCheckpointError):
        check_archive(write_archive(path, text))


@pytest.mark.parametrize("text", ["", "just text", "- 1\n- 2"])
def test_a_configuration_without_settings_is_refused(path: Path, text: str) -> None:
    with pytest.raises(CheckpointError):
        check_archive(write_archive(path, text))


def test_numbers_are_read_as_nemo_reads_them(path: Path) -> None:
    source = b"a: 1e-4\nb: 1.0e-05\nc: 2026-01-02\nd: 500\ne: 3_072\nf: yes please"
    assert read_config(path, source) == {
        "a": 1e-4,
        "b": 1e-5,
        "c": "2026-01-02",
        "d": 500,
        "e": 3072,
        "f": "yes please",
    }


def test_settings_below_model_are_the_ones_that_count(path: Path) -> None:
    assert read_config(path, b"model: {a: 1}\nb: 2") == {"a": 1}


def test_after_training_settings_are_out_their_classes_are_refused_too(path: Path) -> None:
    check_targets(path, {"optim": {"_target_": "torch.optim.AdamW"}}, BUILT | LEFT_OUT)
    with pytest.raises(UnsafeCheckpointError):
        check_targets(path, {"optim": {"_target_": "torch.optim.AdamW"}}, BUILT)


# -- members -----------------------------------------------------------------------------------------------------------


def odd(kind: bytes, name: str = "odd") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = kind
    member.linkname = "model_config.yaml"
    return member


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(path: Path, kind: bytes) -> None:
    with pytest.raises(UnsafeCheckpointError, match="neither a file nor a folder"):
        check_archive(write_archive(path, odd=odd(kind)))


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x", "a\\..\\x"])
def test_members_that_lead_outside_are_refused(path: Path, name: str) -> None:
    with pytest.raises(UnsafeCheckpointError, match="leads outside"):
        check_archive(write_archive(path, members={name: b""}))
    assert not (path.parent / "x").exists()


@pytest.mark.parametrize("name", ["jieba.py", "a/__init__.PY", "x.pyc", "libx.so", "x.pth"])
def test_programs_are_refused(path: Path, name: str) -> None:
    with pytest.raises(UnsafeCheckpointError, match="is a program"):
        check_archive(write_archive(path, members={name: b""}))


def test_a_member_that_comes_twice_is_refused(path: Path) -> None:
    """Readers differ in which of the two they take."""
    with pytest.raises(UnsafeCheckpointError, match="twice"):
        check_archive(write_archive(path, members={"./model_config.yaml": b"target: os.system"}))


def test_more_members_than_a_checkpoint_has_are_refused(path: Path) -> None:
    with pytest.raises(UnsafeCheckpointError, match="more than"):
        check_archive(write_archive(path, members={str(i): b"" for i in range(MAX_MEMBERS)}))


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_member_that_says_it_is_larger_than_any_checkpoint_is_refused_before_it_is_written(
    path: Path, tmp_path: Path, mode: str
) -> None:
    bomb = tarfile.TarInfo("bomb")
    bomb.size = MAX_UNPACKED_BYTES
    (folder := tmp_path / "unpacked").mkdir()
    with pytest.raises(UnsafeCheckpointError, match="32 GiB unpacked"):
        unpack(write_archive(path, odd=bomb, mode=mode), folder)
    assert not (folder / "bomb").exists()


@pytest.mark.parametrize("content", [b"", b"junk" * 1000, b"\x1f\x8b\x08junk"])
def test_what_is_no_archive_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"some\.nemo"):
        check_archive(path)


def test_an_archive_that_was_cut_short_is_refused(path: Path) -> None:
    whole = write_archive(path, weights=weights_of({"a": torch.ones(10_000)})).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match=r"some\.nemo"):
        check_archive(path)


def test_a_file_that_is_not_there_is_refused(path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        check_archive(path)


# -- weights -----------------------------------------------------------------------------------------------------------


class Command:
    """What a hostile pickle does: names a function to be called with arguments."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


def zipped(state: object) -> bytes:
    return weights_of(state)


def legacy(state: object) -> bytes:
    file = io.BytesIO()
    torch.save(state, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


@pytest.mark.parametrize("write", [zipped, legacy, pickle.dumps])
def test_weights_that_name_a_function_are_refused_and_it_is_not_called(
    path: Path, tmp_path: Path, write: Callable[[object], bytes]
) -> None:
    trace = tmp_path / "trace"
    write_archive(path, weights=write({"a": torch.ones(2), "b": Command(f"touch {trace}")}))
    with pytest.raises(UnsafeCheckpointError, match=r"holds more than tensors"):
        check_archive(path)
    assert not trace.exists()


def test_weights_of_the_old_format_pass(path: Path) -> None:
    check_archive(write_archive(path, weights=legacy({"a": torch.ones(2)})))


@pytest.mark.parametrize("weights", [b"junk" * 100, weights_of([torch.ones(2)])])
def test_weights_that_are_no_table_are_refused(path: Path, weights: bytes) -> None:
    with pytest.raises(CheckpointError, match=r"model_weights\.ckpt"):
        check_archive(write_archive(path, weights=weights))


@pytest.mark.parametrize("value", ["1", "true", "YES", "y"])
def test_nothing_is_read_where_torch_was_told_to_trust_pickles(
    path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", value)
    with pytest.raises(UnsafeCheckpointError, match="TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"):
        check_archive(write_archive(path))


# -- before NeMo -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["magpie", "codec"])
def test_load_refuses_an_unsafe_file_of_either_kind(
    checkpoint_file: Callable[[str], Path], tmp_path: Path, place: str
) -> None:
    good = checkpoint_file("tiny")
    source = good if place == "magpie" else good.with_name("codec.nemo")
    bad = rewrite(source, tmp_path / "bad.nemo", lambda config: config.update(extra={"_target_": "os.system"}))
    paths = (bad, good.with_name("codec.nemo")) if place == "magpie" else (good, bad)
    with pytest.raises(UnsafeCheckpointError, match=r"bad\.nemo: extra\._target_ names 'os\.system'"):
        load(str(paths[0]), codec=str(paths[1]), report=lambda _: None)
