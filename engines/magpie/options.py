"""What an operator may choose about Magpie. Imports nothing heavy: settings are read before a model is."""

from typing import Final, Literal, TypeAlias

import msgspec

DEFAULT_CHECKPOINT: Final = "nvidia/magpie_tts_multilingual_357m"
MAX_SLOTS: Final = 1024

Device: TypeAlias = Literal["auto", "cuda", "cpu"]
Precision: TypeAlias = Literal["auto", "float32", "tf32", "bfloat16"]
CodecPrecision: TypeAlias = Literal["auto", "float32", "tf32", "float16", "bfloat16"]


class MagpieOptions(msgspec.Struct, frozen=True):
    """How to load Magpie.

    `checkpoint` and `codec` are paths of `.nemo` files or names on a model hub (`owner/name`, `owner/name@revision`);
    an empty `codec` is the one that the checkpoint names. `sha256` and `codec_sha256` are what the two files have to
    have; empty: any. `slots` 0: as many as fit, at most 256. "auto" is the GPU
    where there is one; of a precision, what was measured to do no harm there, and float32 on a CPU.
    """

    checkpoint: str = DEFAULT_CHECKPOINT
    codec: str = ""
    device: Device = "auto"
    slots: int = 0
    precision: Precision = "auto"
    codec_precision: CodecPrecision = "auto"
    sha256: str = ""
    codec_sha256: str = ""
