"""`.nemo` files, looked through before NeMo sees them: nothing that came in one is run.

A `.nemo` file is a tar of a configuration, weights and dictionaries. Its configuration names classes to be made, its
weights are a pickle, and its members are paths: each of the three can be made to run code by a reader that trusts it.
What passes is unpacked here, so that what NeMo reads is what was looked at.
"""

import os
import pickle
import re
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final, TypeAlias, cast

import yaml

from engines.errors import UnusableModel
from engines.magpie.targets import BUILT, BYTE_TOKENIZERS, HUB_TOKENIZER, LEFT_OUT

Config: TypeAlias = dict[str, Any]

CONFIG_NAME: Final = "model_config.yaml"
WEIGHTS_NAME: Final = "model_weights.ckpt"

MAX_MEMBERS: Final = 1000
MAX_UNPACKED_BYTES: Final = 32 * 2**30
MAX_CONFIG_BYTES: Final = 4 * 2**20

TARGET_KEYS: Final = ("_target_", "target", "cls")
"""What NeMo takes for the name of a class. Source: NeMo 3.0.0, `Serialization.from_config_dict`, `_convert_config`."""

_PROGRAMS = frozenset({".py", ".pyc", ".pyo", ".pyd", ".pyw", ".pyz", ".so", ".dll", ".dylib", ".pth", ".egg", ".whl"})
_REFERENCE = re.compile(r"\$\{[\w.\[\]-]+\}")
_UNSAFE_LOADING = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
_TRUE = frozenset({"1", "y", "yes", "true"})  # Source: torch 2.13, `torch.load`


class CheckpointError(UnusableModel):
    """A checkpoint cannot be used. The message names the file and says what is wrong with it."""


class UnsafeCheckpointError(CheckpointError):
    """A checkpoint could run code, or reach outside itself, if it were opened."""


def check_archive(path: Path) -> Config:
    """The configuration inside a `.nemo` file that is safe to be opened.

    Raises:
        UnsafeCheckpointError: it is not.
        CheckpointError: it is no `.nemo` file at all.
    """
    with tempfile.TemporaryDirectory() as folder:
        return unpack(path, Path(folder))


def unpack(path: Path, folder: Path) -> Config:
    """Write what is inside a `.nemo` file into the empty `folder` and give its configuration; the errors are those of
    `check_archive`.
    """
    refuse_unsafe_loading()
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such file" if not path.exists() else f"{path}: not a file")
    try:
        with _open(path) as tar:
            _copy_out(path, tar, folder)
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise CheckpointError(f"{path}: not a .nemo file that can be read: {error}") from error
    for name in (CONFIG_NAME, WEIGHTS_NAME):
        if not (folder / name).is_file():
            raise CheckpointError(f"{path}: not a .nemo file: no {name} in it")
    config = read_config(path, (folder / CONFIG_NAME).read_bytes())
    check_targets(path, config, BUILT | LEFT_OUT)
    _check_weights(path, folder / WEIGHTS_NAME)
    return config


def refuse_unsafe_loading() -> None:
    """Raises: UnsafeCheckpointError where the environment tells torch to run what a pickle asks for."""
    if os.environ.get(_UNSAFE_LOADING, "0").lower() in _TRUE:
        raise UnsafeCheckpointError(
            f"{_UNSAFE_LOADING} is set: weights would be read by a loader that runs what they ask for; unset it"
        )


def _open(path: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(path, "r:")
    except tarfile.ReadError:
        return tarfile.open(path, "r:gz")


def _copy_out(path: Path, tar: tarfile.TarFile, folder: Path) -> None:
    num_bytes = 0
    for index, member in enumerate(tar):
        num_bytes += member.size
        if index >= MAX_MEMBERS or num_bytes > MAX_UNPACKED_BYTES:
            raise UnsafeCheckpointError(
                f"{path}: more than {MAX_MEMBERS} members or {MAX_UNPACKED_BYTES // 2**30} GiB unpacked"
            )
        name = _member_path(path, member)
        if member.isdir():
            continue
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            raise UnsafeCheckpointError(f"{path}: {member.name!r} is in it twice")
        source = tar.extractfile(member)
        assert source is not None, "a regular file has content"
        with source, target.open("xb") as file:
            shutil.copyfileobj(source, file, 2**20)
        target.chmod(stat.S_IRUSR | stat.S_IWUSR)


def _member_path(path: Path, member: tarfile.TarInfo) -> PurePosixPath:
    name = PurePosixPath(member.name)
    if not (member.isreg() or member.isdir()):
        raise UnsafeCheckpointError(f"{path}: {member.name!r} is neither a file nor a folder")
    if name.is_absolute() or ".." in name.parts or "\\" in member.name or "\0" in member.name:
        raise UnsafeCheckpointError(f"{path}: {member.name!r} leads outside it")
    if name.suffix.lower() in _PROGRAMS:
        raise UnsafeCheckpointError(f"{path}: {member.name!r} is a program: a checkpoint needs none")
    return name


# -- configuration -----------------------------------------------------------------------------------------------------


class _PlainLoader(yaml.SafeLoader):
    """Plain data only: no aliases (a few lines of them unfold into gigabytes), and dates are text."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if isinstance(cast(Any, self).peek_event(), yaml.events.AliasEvent):
            raise yaml.YAMLError("aliases are not accepted")
        return super().compose_node(parent, index)


_resolving = cast(Any, _PlainLoader)
_resolving.yaml_implicit_resolvers = {
    char: [entry for entry in resolvers if entry[0] != "tag:yaml.org,2002:timestamp"]
    for char, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_resolving.add_implicit_resolver(  # 1e-4, which YAML 1.1 takes for text and NeMo for a number
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def read_config(path: Path, source: bytes) -> Config:
    """The configuration as plain data. `path` is for the message."""
    if len(source) > MAX_CONFIG_BYTES:
        raise UnsafeCheckpointError(
            f"{path}: {CONFIG_NAME} has {len(source)} bytes, at most {MAX_CONFIG_BYTES} are read"
        )
    try:
        config: Any = yaml.load(source.decode("utf-8"), _PlainLoader)  # a SafeLoader: makes plain data only
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise UnsafeCheckpointError(f"{path}: {CONFIG_NAME} is not plain YAML: {error}") from error
    if isinstance(config, dict) and isinstance(cast(Config, config).get("model"), dict):
        config = cast(Config, config)["model"]  # where NeMo looks as well
    if not isinstance(config, dict):
        raise CheckpointError(f"{path}: {CONFIG_NAME} holds no settings")
    return cast(Config, config)


def check_targets(path: Path, config: Config, allowed: frozenset[str]) -> None:
    """Raises: UnsafeCheckpointError for a class that is not in `allowed`, however deep, and for anything else that
    NeMo, hydra or OmegaConf would take for an instruction.
    """
    for where, node in _nodes("", config):
        if isinstance(node, str):
            _check_references(path, where, node)
        elif isinstance(node, dict):
            _check_mapping(path, where, cast(dict[object, object], node), allowed)
        elif not isinstance(node, list | int | float | bool | None):
            raise UnsafeCheckpointError(f"{path}: {where} is a {type(node).__name__}: plain data is expected")


def _nodes(where: str, node: object) -> Iterator[tuple[str, object]]:
    yield where or "the configuration", node
    if isinstance(node, dict):
        for key, value in cast(dict[object, object], node).items():
            yield from _nodes(f"{where}.{key}" if where else str(key), value)
    elif isinstance(node, list):
        for index, value in enumerate(cast(list[object], node)):
            yield from _nodes(f"{where}[{index}]", value)


def _check_mapping(path: Path, where: str, node: Mapping[object, object], allowed: frozenset[str]) -> None:
    for key in node:
        if not isinstance(key, str | int):
            raise UnsafeCheckpointError(f"{path}: {where} has the key {key!r}: text is expected")
        _check_references(path, where, str(key))
    for key in TARGET_KEYS:
        if key in node and not (isinstance(node[key], str) and node[key] in allowed):
            raise UnsafeCheckpointError(
                f"{path}: {where}.{key} names {node[key]!r}, which is not on the list of what a checkpoint may name"
            )
    if node.get("trust_remote_code"):
        raise UnsafeCheckpointError(f"{path}: {where} asks for code from elsewhere (trust_remote_code)")
    if node.get("_target_") == HUB_TOKENIZER and node.get("pretrained_model") not in BYTE_TOKENIZERS:
        raise UnsafeCheckpointError(
            f"{path}: {where} asks a model hub for the tokenizer {node.get('pretrained_model')!r}; "
            f"only {', '.join(sorted(BYTE_TOKENIZERS))} can be made without one"
        )


def _check_references(path: Path, where: str, text: str) -> None:
    """`${a.b}` stands for another value of the configuration; `${name:...}` calls a function."""
    if "${" in _REFERENCE.sub("", text):
        raise UnsafeCheckpointError(f"{path}: {where} calls a function of the configuration language: {text!r}")


# -- weights -----------------------------------------------------------------------------------------------------------


def _check_weights(path: Path, weights: Path) -> None:
    """Read once as tensors only, which refuses every other thing that a pickle can name."""
    try:
        state = _read_weights(weights)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        raise UnsafeCheckpointError(
            f"{path}: {WEIGHTS_NAME} holds more than tensors" + (f": it names {named[1]}" if named else "")
        ) from error
    except Exception as error:  # torch names no class for what a broken file does to its readers
        raise CheckpointError(f"{path}: {WEIGHTS_NAME} cannot be read: {type(error).__name__}: {error}") from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{path}: {WEIGHTS_NAME} is not a table of tensors by name")


def _read_weights(weights: Path) -> object:
    import torch

    is_mappable = zipfile.is_zipfile(weights)
    return torch.load(weights, map_location="cpu", weights_only=True, mmap=is_mappable)
