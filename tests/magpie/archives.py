"""`.nemo` files as they should not be: written by hand, or taken apart and put together again with a change."""

import io
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import yaml

from engines.magpie.archive import CONFIG_NAME, WEIGHTS_NAME

MAGPIE = "nemo.collections.tts.models.magpietts.MagpieTTSModel"


def weights_of(state: object) -> bytes:
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


def write_archive(
    path: Path,
    config: str | Mapping[str, Any] | None = None,
    weights: bytes | None = None,
    members: Mapping[str, bytes] | None = None,
    odd: tarfile.TarInfo | None = None,
    mode: str = "w",
) -> Path:
    """A `.nemo` file of these parts; what is not given is harmless. `odd` is a member without content."""
    text = config if isinstance(config, str) else yaml.safe_dump(dict(config or {"target": MAGPIE}))
    files = {CONFIG_NAME: text.encode(), WEIGHTS_NAME: weights or weights_of({"a": torch.ones(2)}), **(members or {})}
    with tarfile.open(path, mode) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        if odd is not None:
            tar.addfile(odd)
    return path


def rewrite(
    source: Path, target: Path, change: Callable[[dict[str, Any]], object], members: Mapping[str, bytes] | None = None
) -> Path:
    """The archive `source` with a changed configuration, and further members, as `target`."""
    with tarfile.open(source) as tar:
        contents = {
            Path(member.name).name: tar.extractfile(member).read()  # pyright: ignore[reportOptionalMemberAccess]
            for member in tar.getmembers()
            if member.isreg()
        }
    config = yaml.safe_load(contents.pop(CONFIG_NAME))
    change(config)
    weights = contents.pop(WEIGHTS_NAME)
    return write_archive(target, config, weights, contents | dict(members or {}))
