"""On what device, and in what numbers: what "auto" means, and why.

bfloat16 halves what a step reads, of weights and of caches, and products run on tensor cores; sums, norms, logits and
the residual stream stay float32. float16 has the finer steps that audio wants, and the codec's values fit its range.
`docs/explanation/magpie.md` has the measurements.
"""

from typing import Final

import torch

DTYPES: Final = {"float32": torch.float32, "tf32": torch.float32, "bfloat16": torch.bfloat16}

CODEC_PRECISION: Final = {"cuda": "float16", "cpu": "float32"}


def choose_device(wanted: str) -> torch.device:
    """The device named, or with "auto" the GPU where there is one."""
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(wanted)


def choose_precision(wanted: str, device: torch.device) -> str:
    """Of the decoder. On a CPU there is float32 only.

    Raises:
        ValueError: another one is wanted there.
    """
    if device.type == "cpu" and wanted not in ("auto", "float32"):
        raise ValueError(f"on a CPU the precision is float32, not {wanted}")
    if wanted == "auto":
        return "float32" if device.type == "cpu" else "bfloat16"
    return wanted


def use_tf32(precision: str) -> None:
    """Let the libraries' float32 products take tensor cores, or not: for the whole process."""
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
