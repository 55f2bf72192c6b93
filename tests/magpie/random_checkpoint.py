"""Checkpoints with random weights, from NeMo's real classes: what the released ones are shaped like, and tiny.

Nothing is downloaded and nothing is left behind but what is written into the folder that the caller names.
"""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import torch
from omegaconf import DictConfig, OmegaConf

if TYPE_CHECKING:
    from nemo.collections.tts.models import AudioCodecModel
    from nemo.collections.tts.models.magpietts import MagpieTTSModel

NORM_SPREAD = 0.1
"""Of norms' weights and of biases, which NeMo begins with ones and noughts: a decoder that forgot one would pass."""


class Size(msgspec.Struct, frozen=True):
    """Dimensions of a checkpoint. `num_text_ids` 0: as many as its character tokenizers have, begin and end."""

    d_model: int
    d_ffn: int
    heads: int
    encoder_layers: int
    decoder_layers: int
    cross_head_dim: int
    local_dim: int
    local_layers: int
    local_heads: int
    prefix_len: int
    num_voices: int
    positions: int
    codec_channels: int
    codec_encoder_channels: int
    stacking: int = 1
    num_text_ids: int = 0


_TINY = Size(
    d_model=64,
    d_ffn=128,
    heads=2,
    encoder_layers=1,
    decoder_layers=2,
    cross_head_dim=32,
    local_dim=32,
    local_layers=1,
    local_heads=1,
    prefix_len=12,
    num_voices=2,
    positions=512,
    codec_channels=64,
    codec_encoder_channels=2,
)
_FULL = Size(
    d_model=768,
    d_ffn=3072,
    heads=12,
    encoder_layers=6,
    decoder_layers=12,
    cross_head_dim=128,
    local_dim=256,
    local_layers=1,
    local_heads=1,
    prefix_len=110,
    num_voices=5,
    positions=2048,
    codec_channels=864,
    codec_encoder_channels=24,
    num_text_ids=2362,
)
_STACKED = msgspec.structs.replace(_TINY, stacking=2, local_dim=64, local_layers=2, local_heads=2)
_FULL_STACKED = msgspec.structs.replace(
    _FULL, stacking=2, local_dim=768, local_layers=2, local_heads=12, prefix_len=217, num_text_ids=3359
)

SIZES = {"tiny": _TINY, "tiny2": _STACKED, "full": _FULL, "full2607": _FULL_STACKED}
"""`full` and `full2607`: shaped like the released v2602 and v2607. The tiny ones are for tests (2: stacked frames)."""

_CODEC_MODULES = "nemo.collections.tts.modules.audio_codec_modules"
_CODEC_LOSSES = "nemo.collections.tts.losses.audio_codec_loss"
_TOKENIZERS = "nemo.collections.common.tokenizers.text_to_speech.tts_tokenizers"
_UP_SAMPLE_RATES = [8, 8, 4, 2, 2]
_FIRST_FILLER = 0xE000  # of Unicode's private use area


def build_codec(size: str, seed: int = 0) -> "AudioCodecModel":
    """NeMo's codec with random weights, in memory: 8 codebooks of 2016 codes, 1024 samples a frame, 22 050 Hz."""
    from nemo.collections.tts.models import AudioCodecModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AudioCodecModel(cfg=_codec_config(SIZES[size])).eval()


def build_model(size: str, seed: int = 0, inference_parameters: Mapping[str, Any] | None = None) -> "MagpieTTSModel":
    """NeMo's Magpie with random weights and baked voices, in memory, its codec inside (`model._codec_model`)."""
    with tempfile.TemporaryDirectory() as folder:
        return _build(size, Path(folder), seed, inference_parameters or {}, {})


def write_checkpoint(
    size: str,
    folder: Path,
    seed: int = 0,
    adjust: Callable[["MagpieTTSModel"], None] | None = None,
    settings: Mapping[str, Any] | None = None,
    **inference_parameters: Any,
) -> Path:
    """Write `magpie.nemo` and the `codec.nemo` that it names into `folder`, by NeMo's `save_to`.

    `settings` go into its configuration; `adjust` may change the model before it is saved. Returns the path of
    `magpie.nemo`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model = _build(size, folder, seed, inference_parameters, settings or {})
    if adjust:
        adjust(model)
    path = folder / "magpie.nemo"
    model.save_to(str(path))
    return path


def _build(
    size: str, folder: Path, seed: int, inference_parameters: Mapping[str, Any], settings: Mapping[str, Any]
) -> "MagpieTTSModel":
    from nemo.collections.tts.models.magpietts import MagpieTTSModel

    codec_path = folder / "codec.nemo"
    build_codec(size, seed).save_to(str(codec_path))  # a MagpieTTSModel always reads its codec from a file
    dimensions = SIZES[size]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = _magpie_config(dimensions, codec_path, inference_parameters)
        config.update(settings)
        model = MagpieTTSModel(cfg=config)
        _stir(model)
        _bake_voices(model, dimensions)
    return model.eval()


@torch.no_grad()
def _stir(model: "MagpieTTSModel") -> None:
    for name, parameter in model.named_parameters():
        if parameter.dim() == 1 and not name.startswith("_codec_model"):
            parameter.add_(torch.randn_like(parameter), alpha=NORM_SPREAD)


def _bake_voices(model: "MagpieTTSModel", size: Size) -> None:
    voices = torch.nn.Embedding(size.num_voices, size.prefix_len * size.d_model)
    torch.nn.init.normal_(voices.weight, std=0.02)
    model.baked_context_embedding = voices.requires_grad_(False)
    model._baked_embedding_T = torch.tensor(size.prefix_len)
    model._baked_embedding_D = torch.tensor(size.d_model)
    model.baked_context_embedding_len = torch.full((size.num_voices,), size.prefix_len, dtype=torch.long)


def _codec_config(size: Size) -> DictConfig:
    encoder = {
        "_target_": f"{_CODEC_MODULES}.CausalHiFiGANEncoder",
        "encoded_dim": 32,
        "down_sample_rates": _UP_SAMPLE_RATES[::-1],
        "base_channels": size.codec_encoder_channels,
        "activation": "lrelu",
        "resblock_dilation_sizes": [1],
    }
    decoder = {
        "_target_": f"{_CODEC_MODULES}.CausalHiFiGANDecoder",
        "input_dim": 32,
        "up_sample_rates": _UP_SAMPLE_RATES,
        "base_channels": size.codec_channels,
        "activation": "half_snake",
        "output_activation": "clamp",
        "n_groups_equal_to_out_channels": True,
    }
    quantizer = {
        "_target_": f"{_CODEC_MODULES}.GroupFiniteScalarQuantizer",
        "num_groups": 8,
        "num_levels_per_group": [8, 7, 6, 6],
    }
    return OmegaConf.create(
        {
            "sample_rate": 22050,
            "samples_per_frame": 1024,
            "commit_loss_scale": 0.0,
            "loss_resolutions": [[512, 128, 512]],
            "mel_loss_dims": [20],
            "audio_encoder": encoder,
            "audio_decoder": decoder,
            "vector_quantizer": quantizer,
            "generator_loss": {"_target_": f"{_CODEC_LOSSES}.GeneratorSquaredLoss"},
            "discriminator_loss": {"_target_": f"{_CODEC_LOSSES}.DiscriminatorSquaredLoss"},
        }
    )


def _magpie_config(size: Size, codec_path: Path, inference_parameters: Mapping[str, Any]) -> DictConfig:
    network = {
        "d_model": size.d_model,
        "d_ffn": size.d_ffn,
        "sa_n_heads": size.heads,
        "p_dropout": 0.1,
        "p_dropout_out": 0.0,
        "apply_norm_out": True,
        "max_length_causal_mask": size.positions,
        "use_learnable_pos_emb": True,
    }
    cross_attention = {
        "has_xattn": True,
        "xa_d_head": size.cross_head_dim,
        "xa_d_memory": size.d_model,
        "xa_n_heads": 1,
        "apply_norm_to_cond": True,
        "make_prior_window_strict": True,
    }
    return OmegaConf.create(
        {
            "model_type": "decoder_ce",
            "use_text_conditioning_encoder": False,
            "context_duration_min": 5.0,
            "context_duration_max": 5.0,
            "prior_scaling_factor": None,
            "prior_end_step": 0,
            "prior_scaledown_start_step": 0,
            "alignment_loss_scale": 0.0,
            "embedding_dim": size.d_model,
            "codecmodel_path": str(codec_path.resolve()),
            "cfg_unconditional_prob": 0.1,
            "local_transformer_type": "autoregressive",
            "local_transformer_n_layers": size.local_layers,
            "local_transformer_n_heads": size.local_heads,
            "local_transformer_hidden_dim": size.local_dim,
            "frame_stacking_factor": size.stacking,
            "text_tokenizers": _tokenizers(size),
            "encoder": {"n_layers": size.encoder_layers, "kernel_size": 3, "is_causal": True, "has_xattn": False}
            | network,
            "context_encoder": {"n_layers": 1, "kernel_size": 3, "is_causal": False, "has_xattn": False} | network,
            "decoder": {"n_layers": size.decoder_layers, "kernel_size": 1, "is_causal": True}
            | cross_attention
            | network,
            "inference_parameters": {
                "max_decoder_steps": 500,
                "temperature": 0.7,
                "topk": 80,
                "cfg_scale": 2.5,
                "apply_attention_prior": True,
                "attention_prior_epsilon": 0.1,
                "attention_prior_lookahead_window": 5,
                "min_generated_frames": 4,
                **inference_parameters,
            },
        }
    )


def _tokenizers(size: Size) -> dict[str, dict[str, Any]]:
    """Characters of three languages, and as many of the private use area as are missing to `num_text_ids`."""
    from nemo.collections.common.tokenizers.text_to_speech import tts_tokenizers

    classes = {
        "english": tts_tokenizers.EnglishCharsTokenizer,
        "german": tts_tokenizers.GermanCharsTokenizer,
        "spanish": tts_tokenizers.SpanishCharsTokenizer,
    }
    configs: dict[str, dict[str, Any]] = {
        name: {"_target_": f"{_TOKENIZERS}.{kind.__name__}", "punct": True, "apostrophe": True}
        for name, kind in classes.items()
    }
    if size.num_text_ids:
        begin_end, own = 2, 3  # of the whole vocabulary; of each tokenizer: space, padding, out of vocabulary
        num_taken = sum(len(kind().tokens) for kind in classes.values()) + begin_end + own
        fillers = "".join(chr(_FIRST_FILLER + i) for i in range(size.num_text_ids - num_taken))
        configs["filler"] = {
            "_target_": f"{_TOKENIZERS}.BaseCharsTokenizer",
            "chars": fillers,
            "punct": False,
            "apostrophe": False,
        }
    return configs
