"""A checkpoint as NeMo wrote it, read back into plain tensors, and what is refused in plain words."""

import gc
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from nemo.collections.tts.models import AudioCodecModel
from nemo.collections.tts.models.magpietts import MagpieTTSModel

from engines.magpie.archive import CheckpointError
from engines.magpie.checkpoint import Checkpoint, load
from engines.magpie.options import DEFAULT_CHECKPOINT
from engines.magpie.restoring import REQUIRED, require_supported
from engines.magpie.shape import Recipe, Shape
from engines.magpie.speakers import read_voices
from tests.magpie.archives import rewrite
from tests.magpie.random_checkpoint import SIZES, build_model, write_checkpoint

Files = Callable[[str], Path]
Checkpoints = Callable[[str], Checkpoint]

TRAINING = {
    "train_ds": {"dataset": {"_target_": "nemo.collections.tts.data.text_to_speech_dataset.MagpieTTSDataset"}},
    "optim": {"_target_": "torch.optim.AdamW", "lr": 1e-4},
    "text_context_remapping_json": "/nowhere.json",
}
CODEC_TRAINING = {
    "use_scl_loss": True,
    "semantic_codec_path": "/nowhere.nemo",
    "discriminator": {
        "_target_": "nemo.collections.tts.modules.audio_codec_modules.SLMDiscriminator",
        "slm_model_name": "microsoft/wavlm-base-plus",
    },
}


def quiet(_: str) -> None:
    """Reports nothing."""


@pytest.mark.parametrize("size", ["tiny", "tiny2"])
def test_weights_are_those_that_nemo_wrote(checkpoint: Checkpoints, size: str) -> None:
    """Every one that NeMo would run, by NeMo's names, and the voices."""
    read, written = checkpoint(size), build_model(size)
    left_out = ("context_encoder", "_codec_model", "baked_context_embedding")
    expected = {name: value for name, value in written.named_parameters() if not name.startswith(left_out)}
    assert read.weights.keys() == expected.keys()
    assert all(torch.equal(read.weights[name], value) for name, value in expected.items())
    assert {(type(value), value.dtype, value.requires_grad) for value in read.weights.values()} == {
        (torch.Tensor, torch.float32, False)
    }
    voices, _ = written.get_baked_context_embeddings_batch(2, [0, 1])
    assert torch.equal(read.prefix, voices)


@pytest.mark.parametrize("size", ["tiny", "tiny2"])
def test_dimensions_are_read_from_the_checkpoint(checkpoint: Checkpoints, size: str) -> None:
    wanted = SIZES[size]
    assert checkpoint(size).shape == Shape(
        d_model=wanted.d_model,
        num_text_ids=195,
        encoder_layers=wanted.encoder_layers,
        encoder_heads=wanted.heads,
        encoder_kernel=3,
        encoder_positions=wanted.positions,
        decoder_layers=wanted.decoder_layers,
        decoder_heads=wanted.heads,
        cross_heads=1,
        cross_head_dim=wanted.cross_head_dim,
        decoder_positions=wanted.positions,
        prefix_len=wanted.prefix_len,
        num_voices=wanted.num_voices,
        num_codebooks=8,
        codebook_size=2016,
        num_code_ids=2024,
        stacking=wanted.stacking,
        audio_bos=2016,
        audio_eos=2017,
        text_eos=194,
        local_layers=wanted.local_layers,
        local_heads=wanted.local_heads,
        local_dim=wanted.local_dim,
    )


def test_what_a_checkpoint_does_not_say_is_as_in_nemo(checkpoint: Checkpoints) -> None:
    assert checkpoint("tiny").recipe == Recipe(alignment_layers=(0, 1), prior_layers=(0, 1))
    assert (checkpoint("tiny").sample_rate_hz, checkpoint("tiny").samples_per_frame) == (22050, 1024)


@pytest.mark.parametrize(
    ("method", "eos_from", "eos_in"),
    [("argmax_zero_cb", "argmax", "first"), ("argmax_or_multinomial_all", "either", "all")],
)
def test_sampling_is_read_from_the_checkpoint(tmp_path: Path, method: str, eos_from: str, eos_in: str) -> None:
    path = write_checkpoint(
        "tiny",
        tmp_path,
        max_decoder_steps=300,
        min_generated_frames=2,
        temperature=0.6,
        topk=40,
        cfg_scale=1.5,
        apply_attention_prior=False,
        prior_epsilon=0.2,  # as the released checkpoint of 2025 spells it
        attention_prior_lookahead_window=6,
        estimate_alignment_from_layers=[1],
        apply_prior_to_layers=[0, 5],
        start_prior_after_n_audio_steps=3,
        ignore_finished_sentence_tracking=False,
        eos_detection_method=method,
        attention_sink_threshold=4,  # NeMo 3.0.0 does not know it
    )
    assert load(str(path), report=quiet).recipe == Recipe(
        max_frames=300,
        min_frames=2,
        temperature=0.6,
        top_k=40,
        cfg_scale=1.5,
        has_prior=False,
        prior_epsilon=0.2,
        prior_lookahead=6,
        prior_start_step=3,
        alignment_layers=(1,),
        prior_layers=(0,),
        tracks_text_end=True,
        eos_from=eos_from,
        eos_in=eos_in,
    )


def test_nothing_of_nemos_modules_is_left(checkpoint: Checkpoints) -> None:
    checkpoint("tiny")
    gc.collect()
    assert not [thing for thing in gc.get_objects() if type(thing) in (MagpieTTSModel, AudioCodecModel)]


def test_loading_leaves_nothing_behind(
    checkpoint_file: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """No files, no other working directory, and not a word but the reports."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = os.getcwd()
    said: list[str] = []
    load(str(checkpoint_file("tiny")), report=said.append)
    assert not list(tmp_path.iterdir())
    assert os.getcwd() == before
    assert capfd.readouterr() == ("", "")
    shown = [re.sub(r"\d[\d.]*", "N", line) for line in said]
    assert shown == [
        "checking magpie.nemo",
        "checking codec.nemo",
        "checked in N s",
        "importing NeMo",
        "NeMo imported in N s",
        "reading weights",
        "N million weights read in N s",
    ]


def test_training_settings_are_not_acted_upon(checkpoint_file: Files, tmp_path: Path) -> None:
    """A data set, an optimiser, a discriminator that would be fetched, files that are not there."""
    good = checkpoint_file("tiny")
    magpie = rewrite(good, tmp_path / "magpie.nemo", lambda config: config.update(TRAINING))
    codec = rewrite(
        good.with_name("codec.nemo"), tmp_path / "trained.nemo", lambda config: config.update(CODEC_TRAINING)
    )
    assert load(str(magpie), codec=str(codec), report=quiet).shape.num_voices == 2


# -- codec -------------------------------------------------------------------------------------------------------------


def test_a_codec_that_moved_with_its_checkpoint_is_found(checkpoint_file: Files, tmp_path: Path) -> None:
    magpie = rewrite(
        checkpoint_file("tiny"),
        tmp_path / "moved.nemo",
        lambda config: config.update(codecmodel_path="/elsewhere/codec.nemo"),
    )
    with pytest.raises(
        CheckpointError, match=r"/elsewhere/codec\.nemo: there is no such file; set TIDING_MAGPIE_CODEC"
    ):
        load(str(magpie), report=quiet)
    shutil.copy(checkpoint_file("tiny").with_name("codec.nemo"), tmp_path)
    assert load(str(magpie), report=quiet).name == "moved"


def test_a_codec_of_another_kind_is_refused(checkpoint_file: Files, tmp_path: Path) -> None:
    other = rewrite(
        checkpoint_file("tiny").with_name("codec.nemo"),
        tmp_path / "other.nemo",
        lambda config: config["audio_decoder"].update(activation="elephant"),
    )
    with pytest.raises(CheckpointError, match=r"magpie\.nemo"):
        load(str(checkpoint_file("tiny")), codec=str(other), report=quiet)


# -- voices ------------------------------------------------------------------------------------------------------------


def voices_of(config: dict[str, Any], folder: Path, shape: Shape) -> list[tuple[str, str]]:
    voices = read_voices(Path("some.nemo"), folder, config, shape)
    assert {voice.locale for voice in voices} == {"en-US"}
    return [(voice.name, voice.gender) for voice in voices]


@pytest.fixture
def shape(checkpoint: Checkpoints) -> Shape:
    return checkpoint("tiny").shape


@pytest.mark.parametrize("speaker_map", [{"Aria": 1, "Max": 0}, {"0": "Max", "1": "Aria"}])
@pytest.mark.parametrize("is_file", [True, False])
def test_voices_have_the_names_that_the_checkpoint_gives(
    tmp_path: Path, shape: Shape, speaker_map: dict[str, Any], is_file: bool
) -> None:
    (tmp_path / "abc_speakers.json").write_text(json.dumps(speaker_map))
    said = "nemo:abc_speakers.json" if is_file else speaker_map
    assert voices_of({"speaker_map": said}, tmp_path, shape) == [("max", ""), ("aria", "female")]


@pytest.mark.parametrize("speaker_map", ["nemo:gone.json", {"Aria": 0}, {"A": 0, "a": 1}, {"A": 0, "B": 1, "C": 2}])
def test_names_that_do_not_fit_the_voices_are_refused(tmp_path: Path, shape: Shape, speaker_map: Any) -> None:
    with pytest.raises(CheckpointError, match=r"some\.nemo"):
        voices_of({"speaker_map": speaker_map}, tmp_path, shape)


@pytest.mark.parametrize(
    ("prefix_len", "names"),
    [
        (110, "john sofia aria jason leo"),
        (217, "aria jason john leo sofia"),
        (54, "voice-1 voice-2 voice-3 voice-4 voice-5"),
    ],
)
def test_released_checkpoints_are_known_by_their_voices_lengths(
    tmp_path: Path, shape: Shape, prefix_len: int, names: str
) -> None:
    released = msgspec.structs.replace(shape, num_voices=5, prefix_len=prefix_len)
    found = voices_of({}, tmp_path, released)
    assert [name for name, _ in found] == names.split()
    assert dict(found).get("sofia", "female") == "female"
    assert dict(found).get("leo", "male") == "male"


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("where", "wanted", "default"), REQUIRED, ids=[where for where, _, _ in REQUIRED])
def test_a_model_of_another_kind_is_refused(
    checkpoint_file: Files, tmp_path: Path, where: str, wanted: Any, default: Any
) -> None:
    del default
    other = "something else" if isinstance(wanted, str) else not wanted if isinstance(wanted, bool) else wanted + 2

    def change(config: dict[str, Any]) -> None:
        *groups, key = where.split(".")
        for group in groups:
            config = config[group]
        config[key] = other

    path = rewrite(checkpoint_file("tiny"), tmp_path / "other.nemo", change)
    with pytest.raises(CheckpointError, match=rf"other\.nemo: a checkpoint with {where} = {other!r} is not supported"):
        load(str(path), report=quiet)


def test_a_model_that_says_nothing_about_itself_is_refused() -> None:
    with pytest.raises(CheckpointError, match="model_type = None"):
        require_supported(Path("some.nemo"), {})


def test_a_model_without_baked_voices_is_refused(tmp_path: Path) -> None:
    def forget_voices(model: MagpieTTSModel) -> None:
        model.baked_context_embedding = None
        model._baked_embedding_T = model._baked_embedding_D = model.baked_context_embedding_len = None

    path = write_checkpoint("tiny", tmp_path, adjust=forget_voices)
    with pytest.raises(CheckpointError, match="no baked voices"):
        load(str(path), report=quiet)


def test_voices_of_different_lengths_are_refused(tmp_path: Path) -> None:
    def shorten(model: MagpieTTSModel) -> None:
        model.baked_context_embedding_len[1] -= 1

    with pytest.raises(CheckpointError, match=r"voices of \[11, 12\] positions"):
        load(str(write_checkpoint("tiny", tmp_path, adjust=shorten)), report=quiet)


def test_what_nemo_cannot_restore_is_said_in_its_words(checkpoint_file: Files, tmp_path: Path) -> None:
    path = rewrite(checkpoint_file("tiny"), tmp_path / "wide.nemo", lambda config: config["decoder"].update(d_ffn=256))
    with pytest.raises(CheckpointError, match=r"(?s)wide\.nemo: NeMo cannot restore it: RuntimeError: .*size mismatch"):
        load(str(path), report=quiet)


@pytest.mark.parametrize("source", ["/no/such.nemo", "such.nemo", "not a name", ""])
def test_a_file_that_is_not_there_is_refused(source: str) -> None:
    with pytest.raises(CheckpointError, match="there is no such file; set TIDING_MAGPIE_CHECKPOINT to the path"):
        load(source, report=quiet)


@pytest.mark.parametrize("source", [DEFAULT_CHECKPOINT, f"{DEFAULT_CHECKPOINT}@0a1b2c3"])
def test_without_a_line_to_the_hub_it_is_said_what_to_do(source: str) -> None:
    said: list[str] = []
    with pytest.raises(CheckpointError) as refused:
        load(source, report=said.append)
    assert said == ["fetching magpie_tts_multilingual_357m.nemo from the model hub"]
    assert f"{source} cannot be fetched from the model hub" in str(refused.value)
    assert str(refused.value).endswith(
        "Bring magpie_tts_multilingual_357m.nemo here in another way and set TIDING_MAGPIE_CHECKPOINT to its path"
    )


def test_what_the_hub_gave_before_is_read_without_asking_it(
    checkpoint_file: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub is out of reach in these tests: what is found here, its client has kept."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    folder = tmp_path / "models--someone--bird"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs/main").write_text("abc")
    (folder / "snapshots/abc").mkdir(parents=True)
    shutil.copy(checkpoint_file("tiny"), folder / "snapshots/abc/bird.nemo")
    assert load("someone/bird", report=quiet).name == "bird"
