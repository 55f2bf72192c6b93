"""What the tests of Magpie share: NeMo, imported once and quiet, and tiny checkpoints that it wrote."""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

for variable, value in {"HF_HUB_OFFLINE": "1", "WANDB_MODE": "disabled", "OMP_NUM_THREADS": "1"}.items():
    os.environ.setdefault(variable, value)  # before torch and NeMo are imported, which read them once

from engines.magpie.checkpoint import Checkpoint, load  # noqa: E402
from engines.magpie.restoring import import_nemo  # noqa: E402

import_nemo(lambda _: None)  # here, so that its own warnings fail no test

NOT_OURS = ("nemo", "torch", "lightning", "pytorch_lightning", "lightning_fabric", "transformers", "librosa", "numba")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A warning is an error here as elsewhere, but not one from inside what is only tested against."""
    folder = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(folder):
            for module in NOT_OURS:
                item.add_marker(pytest.mark.filterwarnings(rf"ignore:::{module}(\..*)?"))


@pytest.fixture(scope="session")
def checkpoint_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The `.nemo` file of a checkpoint of this size with random weights, written once; its codec is beside it."""
    from tests.magpie.random_checkpoint import write_checkpoint

    @cache
    def file_of(size: str) -> Path:
        return write_checkpoint(size, tmp_path_factory.mktemp(size))

    return file_of


@pytest.fixture(scope="session")
def checkpoint(checkpoint_file: Callable[[str], Path]) -> Callable[[str], Checkpoint]:
    """The same, read back by `engines.magpie.checkpoint.load`."""

    @cache
    def read(size: str) -> Checkpoint:
        return load(str(checkpoint_file(size)), report=lambda _: None)

    return read
