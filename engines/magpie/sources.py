"""Where a checkpoint comes from: a file here, or a model hub."""

import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Final, TypeAlias

from engines.magpie.archive import CheckpointError

Report: TypeAlias = Callable[[str], None]
"""Is told what is being done."""

_HUB_NAME: Final = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")


def locate(source: str, setting: str, report: Report, beside: Path | None = None) -> Path:
    """The file that `source` stands for: a path, or `owner/name` of a model hub, with `@revision` where one is meant.

    What is not there as it is written is looked for by its name in the folder `beside`: a codec that was moved together
    with its checkpoint. `setting` is the variable that can say better.

    Raises:
        CheckpointError: there is no such file, or the hub does not give it.
    """
    path = Path(source).expanduser()
    if path.is_file():
        return path.absolute()
    if beside is not None and (beside / path.name).is_file():
        return (beside / path.name).absolute()
    if source.endswith(".nemo") or not _HUB_NAME.fullmatch(source):
        raise CheckpointError(f"{source}: there is no such file; set {setting} to the path of a .nemo file")
    return _fetch(source, setting, report)


def _fetch(name: str, setting: str, report: Report) -> Path:
    """From the hub's cache on this machine if it is there, which asks nobody, else from the hub."""
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    repository, _, revision = name.partition("@")
    file = PurePosixPath(repository).name + ".nemo"
    kept = try_to_load_from_cache(repository, file, revision=revision or None)
    if isinstance(kept, str):
        return Path(kept)
    report(f"fetching {file} from the model hub")
    try:
        return Path(hf_hub_download(repository, file, revision=revision or None))
    except Exception as error:  # whatever the line, the hub or its client make of it: the advice is the same
        reason = str(error).strip().partition("\n")[0]
        raise CheckpointError(
            f"{name} cannot be fetched from the model hub ({type(error).__name__}: {reason}). "
            f"Bring {file} here in another way and set {setting} to its path"
        ) from error
