"""A Magpie checkpoint as plain tensors: NeMo reads it, everything that runs is taken out, and NeMo's modules go."""

import gc
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import msgspec
import torch

from engines.digests import require_digest
from engines.magpie.archive import CheckpointError, Config, unpack
from engines.magpie.codec_weights import CodecWeights
from engines.magpie.restoring import import_nemo, pack_codec, require_supported, restore
from engines.magpie.shape import Recipe, Shape
from engines.magpie.sources import Report, locate
from engines.magpie.speakers import read_voices
from engines.magpie.tokens import Tokenizer
from engines.types import Voice

CHECKPOINT_SETTING: Final = "TIDING_MAGPIE_CHECKPOINT"
CODEC_SETTING: Final = "TIDING_MAGPIE_CODEC"
PIN_SETTING: Final = "TIDING_MAGPIE_SHA256"
CODEC_PIN_SETTING: Final = "TIDING_MAGPIE_CODEC_SHA256"

_PARTS: Final = (
    "text_embedding.",
    "encoder.",
    "decoder.",
    "final_proj.",
    "audio_embeddings.",
    "local_transformer.",
    "local_transformer_in_projection.",
    "local_transformer_out_projections.",
)
_EOS_FROM: Final = {"argmax": "argmax", "argmax_or_multinomial": "either"}


class Checkpoint(msgspec.Struct, frozen=True):
    """What a checkpoint holds that is needed to speak. Tensors are float32, on the CPU.

    `weights` goes by NeMo's names; `prefix` is (V, P, D), what is put in front of a decoder's input for each of V
    voices: P positions of width D. `voices` are in the order of `prefix`.
    """

    name: str
    shape: Shape
    recipe: Recipe
    weights: dict[str, torch.Tensor]
    prefix: torch.Tensor
    codec: CodecWeights
    tokenizer: Tokenizer
    voices: tuple[Voice, ...]
    sample_rate_hz: int
    samples_per_frame: int


def load(source: str, *, codec: str = "", sha256: str = "", codec_sha256: str = "", report: Report) -> Checkpoint:
    """The checkpoint that `source` names: the path of a `.nemo` file, or `owner/name` of a model hub.

    `codec` is one in place of that which the checkpoint names. `sha256` and `codec_sha256` pin the two files: each is
    compared before anything else opens it. `report` hears what is being done and for how long. No
    code of the checkpoint's is run; while NeMo unpacks it, the process works in another folder.

    Raises:
        CheckpointError: it cannot be had, or read, or is of a kind that this engine does not run.
        UnsafeCheckpointError: opening it could run code.
        WrongDigest: it, or its codec, is not the file that is pinned.
    """
    path = locate(source, CHECKPOINT_SETTING, report)
    require_digest(path, sha256, PIN_SETTING)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        started_s = time.monotonic()
        report(f"checking {path.name}")
        config = _unpack(path, folder / "magpie")
        require_supported(path, config)
        codec_path = _locate_codec(path, config, codec, report)
        require_digest(codec_path, codec_sha256, CODEC_PIN_SETTING)
        codec_file = _prepare_codec(codec_path, folder, report)
        report(f"checked in {time.monotonic() - started_s:.1f} s")
        import_nemo(report)
        started_s = time.monotonic()
        report("reading weights")
        model = restore(path, folder / "magpie", config, codec_file)
        checkpoint = _take_out(path, folder / "magpie", config, model)
    del model
    gc.collect()
    num_parameters = sum(tensor.numel() for tensor in checkpoint.weights.values()) + checkpoint.codec.num_parameters
    report(f"{num_parameters / 1e6:.0f} million weights read in {time.monotonic() - started_s:.1f} s")
    return checkpoint


def _unpack(path: Path, folder: Path) -> Config:
    folder.mkdir()
    return unpack(path, folder)


def _locate_codec(path: Path, config: Config, codec: str, report: Report) -> Path:
    named = codec or config.get("codecmodel_path")
    if not isinstance(named, str) or not named:
        raise CheckpointError(f"{path}: it names no codec; set {CODEC_SETTING} to the path of one")
    return locate(named, CODEC_SETTING, report, beside=path.parent)


def _prepare_codec(codec_path: Path, folder: Path, report: Report) -> Path:
    """A file with the codec, fit for NeMo, in `folder`."""
    report(f"checking {codec_path.name}")
    codec_config = _unpack(codec_path, folder / "codec")
    pack_codec(codec_path, folder / "codec", codec_config, folder / "codec.nemo")
    return folder / "codec.nemo"


def _take_out(path: Path, folder: Path, config: Config, model: Any) -> Checkpoint:
    if not model.has_baked_context_embedding:
        raise CheckpointError(f"{path}: it holds no baked voices; one that clones voices cannot be used")
    weights = {
        name: tensor.detach().float().contiguous()
        for name, tensor in model.named_parameters()
        if name.startswith(_PARTS)
    }
    prefix = _prefix(path, model)
    shape = _shape(model, weights, prefix)
    try:
        codec = CodecWeights.of(model._codec_model, model._codec_converter)
    except ValueError as error:
        raise CheckpointError(f"{path}: its codec cannot be used: {error}") from error
    return Checkpoint(
        name=path.stem,
        shape=shape,
        recipe=_recipe(path, model.inference_parameters, shape.decoder_layers),
        weights=weights,
        prefix=prefix,
        codec=codec,
        tokenizer=Tokenizer(model.tokenizer, model.eos_id, config.get("language_to_tokenizer_mapping")),
        voices=read_voices(path, folder, config, shape),
        sample_rate_hz=int(model.output_sample_rate),
        samples_per_frame=codec.samples_per_frame,
    )


def _prefix(path: Path, model: Any) -> torch.Tensor:
    num_positions, width = int(model._baked_embedding_T), int(model._baked_embedding_D)
    lengths = {int(length) for length in model.baked_context_embedding_len}
    if lengths != {num_positions}:
        raise CheckpointError(
            f"{path}: voices of {sorted(lengths)} positions; all of them are expected to have {num_positions}"
        )
    return model.baked_context_embedding.weight.detach().float().reshape(-1, num_positions, width)


def _shape(model: Any, weights: dict[str, torch.Tensor], prefix: torch.Tensor) -> Shape:
    cfg = model.cfg
    num_text_ids, d_model = weights["text_embedding.weight"].shape
    num_voices, prefix_len, _ = prefix.shape
    return Shape(
        d_model=d_model,
        num_text_ids=num_text_ids,
        encoder_layers=_num_layers(weights, "encoder"),
        encoder_heads=cfg.encoder.sa_n_heads,
        encoder_kernel=weights["encoder.layers.0.pos_ff.proj.conv.weight"].shape[2],
        encoder_positions=weights["encoder.position_embeddings.weight"].shape[0],
        decoder_layers=_num_layers(weights, "decoder"),
        decoder_heads=cfg.decoder.sa_n_heads,
        cross_heads=cfg.decoder.xa_n_heads,
        cross_head_dim=weights["decoder.layers.0.cross_attention.q_net.weight"].shape[0] // cfg.decoder.xa_n_heads,
        decoder_positions=weights["decoder.position_embeddings.weight"].shape[0],
        prefix_len=prefix_len,
        num_voices=num_voices,
        num_codebooks=model.num_audio_codebooks,
        codebook_size=model.codebook_size,
        num_code_ids=model.num_all_tokens_per_codebook,
        stacking=model.frame_stacking_factor,
        audio_bos=model.audio_bos_id,
        audio_eos=model.audio_eos_id,
        text_eos=model.eos_id,
        local_layers=_num_layers(weights, "local_transformer"),
        local_heads=cfg.get("local_transformer_n_heads", 1),
        local_dim=weights["local_transformer.position_embeddings.weight"].shape[1],
    )


def _num_layers(weights: dict[str, torch.Tensor], part: str) -> int:
    start = f"{part}.layers."
    return len({name.removeprefix(start).partition(".")[0] for name in weights if name.startswith(start)})


def _recipe(path: Path, parameters: Any, num_layers: int) -> Recipe:
    """Source: NeMo 3.0.0, `ModelInferenceParameters` and `EOSDetectionMethod`."""
    eos_from, _, eos_in = parameters.eos_detection_method.rpartition("_")
    if eos_in == "cb":  # ..._zero_cb
        eos_from, eos_in = eos_from.removesuffix("_zero"), "first"
    if eos_from not in _EOS_FROM or eos_in not in ("any", "all", "first"):
        raise CheckpointError(f"{path}: unknown eos_detection_method {parameters.eos_detection_method!r}")
    return Recipe(
        max_frames=int(parameters.max_decoder_steps),
        min_frames=int(parameters.min_generated_frames),
        temperature=float(parameters.temperature),
        top_k=int(parameters.topk),
        cfg_scale=float(parameters.cfg_scale),
        has_prior=bool(parameters.apply_attention_prior),
        prior_epsilon=float(parameters.attention_prior_epsilon),
        prior_lookahead=int(parameters.attention_prior_lookahead_window),
        prior_start_step=int(parameters.start_prior_after_n_audio_steps),
        alignment_layers=_layers(parameters.estimate_alignment_from_layers, num_layers),
        prior_layers=_layers(parameters.apply_prior_to_layers, num_layers),
        tracks_text_end=not parameters.ignore_finished_sentence_tracking,
        eos_from=_EOS_FROM[eos_from],
        eos_in=eos_in,
    )


def _layers(said: Any, num_layers: int) -> tuple[int, ...]:
    """All where a checkpoint does not say."""
    return tuple(layer for layer in range(num_layers) if said is None or layer in said)
