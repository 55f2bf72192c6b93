"""NeMo reads a checkpoint that has been looked through: only what inference needs, and only from this machine."""

import importlib
import io
import logging
import tarfile
import time
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import yaml

from engines.magpie.archive import CONFIG_NAME, WEIGHTS_NAME, CheckpointError, Config, check_targets
from engines.magpie.sources import Report
from engines.magpie.targets import BUILT, CODEC_TARGET, HUB_TOKENIZER, MAGPIE_TARGET

_TRAINING: Final = (
    "train_ds",
    "validation_ds",
    "test_ds",
    "optim",
    "trainer",
    "exp_manager",
    "log_config",
    "text_context_remapping_json",
    "nsys_profile",
    "memory_profile",
    "chakra_profile",
)
"""Of a Magpie's configuration: data, optimisers, profilers."""

_CODEC_KEYS: Final = (
    "sample_rate",
    "output_sample_rate",
    "samples_per_frame",
    "audio_encoder",
    "audio_decoder",
    "vector_quantizer",
    "nemo_version",
)
"""Of a codec's configuration: what is left is losses and discriminators, of which one is fetched from a model hub."""

_CODEC_LOSSES: Final = "nemo.collections.tts.losses.audio_codec_loss"
_NO_LOSSES: Final[Config] = {
    "target": CODEC_TARGET,
    "commit_loss_scale": 0.0,
    "loss_resolutions": [[512, 128, 512]],
    "mel_loss_dims": [20],
    "generator_loss": {"_target_": f"{_CODEC_LOSSES}.GeneratorSquaredLoss"},
    "discriminator_loss": {"_target_": f"{_CODEC_LOSSES}.DiscriminatorSquaredLoss"},
}
"""NeMo makes losses whether they are wanted or not: the smallest there are."""

REQUIRED: Final = (
    ("model_type", "decoder_ce", None),
    ("local_transformer_type", "autoregressive", "none"),
    ("use_bpe_char_tokenizer", False, False),
    ("legacy_text_conditioning", False, False),
    ("use_moe", False, False),
    ("encoder.use_moe", False, False),
    ("encoder.is_causal", True, True),
    ("encoder.has_xattn", False, False),
    ("encoder.use_learnable_pos_emb", True, False),
    ("encoder.apply_norm_out", True, False),
    ("decoder.use_moe", False, False),
    ("decoder.is_causal", True, True),
    ("decoder.has_xattn", True, False),
    ("decoder.kernel_size", 1, None),
    ("decoder.xa_n_heads", 1, None),
    ("decoder.apply_norm_to_cond", True, True),
    ("decoder.use_learnable_pos_emb", True, False),
    ("decoder.apply_norm_out", True, False),
)
"""Where, what the networks of this package do, and NeMo's value where a configuration is silent."""


def require_supported(path: Path, config: Config) -> None:
    """Raises: CheckpointError for a kind of model that the networks here are not."""
    for where, wanted, default in REQUIRED:
        *groups, key = where.split(".")
        section: Any = config
        for group in groups:
            section = section.get(group) or {}
        value = section.get(key, default)
        if (value.lower() if isinstance(value, str) else value) != wanted:
            raise CheckpointError(
                f"{path}: a checkpoint with {where} = {value!r} is not supported; expected {wanted!r} "
                "(a multilingual Magpie with baked voices)"
            )


@contextmanager
def quiet_nemo() -> Generator[None]:
    """Inside, what NeMo and its telemetry have to say is dropped, but for errors; NeMo's own logger stays so.

    It would print by the hundred, texts that it is given among them, and keep each record in memory for good.
    """
    logging.getLogger("nv_one_logger").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():  # puts back `showwarning` as well, which NeMo takes over
        warnings.simplefilter("ignore")
        yield
        logging.getLogger("nemo_logger").setLevel(logging.CRITICAL)


def import_nemo(report: Report) -> None:
    """Import NeMo, which takes ten seconds and more.

    Raises:
        CheckpointError: it is not installed.
    """
    report("importing NeMo")
    start_s = time.monotonic()
    with quiet_nemo():
        try:
            importlib.import_module("nemo.collections.tts.models.magpietts")
        except ImportError as error:
            raise CheckpointError(
                f"Magpie needs NeMo and torch, and they cannot be imported ({error}): `just setup-magpie`, or "
                "pip install 'tiding[magpie]'"
            ) from error
    report(f"NeMo imported in {time.monotonic() - start_s:.1f} s")


def restore(path: Path, folder: Path, config: Config, codec: Path) -> Any:
    """NeMo's `MagpieTTSModel` on the CPU, from what was unpacked into `folder`, with the codec in the file `codec`.

    Raises:
        CheckpointError: NeMo cannot make it.
    """
    from nemo.collections.tts.models.magpietts import MagpieTTSModel
    from nemo.core.connectors.save_restore_connector import SaveRestoreConnector
    from omegaconf import OmegaConf

    kept = {key: value for key, value in config.items() if key not in _TRAINING}
    kept |= {"target": MAGPIE_TARGET, "codecmodel_path": str(codec)}
    check_targets(path, kept, BUILT)
    kept["text_tokenizers"] = _local_tokenizers(kept.get("text_tokenizers") or {}, folder)
    connector = SaveRestoreConnector()
    connector.model_extracted_dir = str(folder)
    with quiet_nemo():
        try:
            return MagpieTTSModel.restore_from(
                str(path),
                override_config_path=OmegaConf.create(kept),
                map_location="cpu",
                save_restore_connector=connector,
            ).eval()
        except Exception as error:  # NeMo raises whatever a configuration makes it raise
            raise CheckpointError(f"{path}: NeMo cannot restore it: {type(error).__name__}: {error}") from error


def pack_codec(path: Path, folder: Path, config: Config, target: Path) -> None:
    """Write the codec that was unpacked into `folder` to `target`, as a `.nemo` file without what training needs."""
    kept = {key: config[key] for key in _CODEC_KEYS if key in config}
    check_targets(path, kept, BUILT)
    text = yaml.safe_dump(kept | _NO_LOSSES, sort_keys=False).encode()
    with tarfile.open(target, "w") as tar:
        member = tarfile.TarInfo(CONFIG_NAME)
        member.size = len(text)
        tar.addfile(member, io.BytesIO(text))
        tar.add(folder / WEIGHTS_NAME, WEIGHTS_NAME)


def _local_tokenizers(tokenizers: Config, folder: Path) -> Config:
    """The same, with the byte tokenizers of a model hub made here: they hold nothing that is worth fetching."""
    if not any(config.get("_target_") == HUB_TOKENIZER for config in tokenizers.values()):
        return tokenizers
    from transformers import ByT5Tokenizer

    place = folder / "bytes"
    ByT5Tokenizer().save_pretrained(place)
    return {
        name: {"_target_": HUB_TOKENIZER, "pretrained_model": str(place)}
        if config.get("_target_") == HUB_TOKENIZER
        else config
        for name, config in tokenizers.items()
    }
