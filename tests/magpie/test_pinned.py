"""Checkpoints that are pinned: both files are compared before anything else opens them."""

import hashlib
from pathlib import Path

import pytest

from engines.digests import WrongDigest
from engines.magpie.checkpoint import load
from tests.launching import Launch, assert_refused
from tests.magpie.random_checkpoint import write_checkpoint

OTHER = "0" * 64


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, str]]:
    """A checkpoint and the codec beside it, each with its digest."""
    magpie = write_checkpoint("tiny", tmp_path_factory.mktemp("pinned"))
    (codec,) = set(magpie.parent.glob("*.nemo")) - {magpie}
    return [(path, hashlib.sha256(path.read_bytes()).hexdigest()) for path in (magpie, codec)]


def test_the_pinned_files_are_loaded(files: list[tuple[Path, str]]) -> None:
    (magpie, digest), (_, codec_digest) = files
    checkpoint = load(str(magpie), sha256=digest, codec_sha256=codec_digest, report=lambda _: None)
    assert checkpoint.name == magpie.stem


@pytest.mark.parametrize("wrong", [0, 1], ids=["checkpoint", "codec"])
def test_another_file_than_the_pinned_is_not_unpacked(files: list[tuple[Path, str]], wrong: int) -> None:
    pins = [digest for _, digest in files]
    pins[wrong] = OTHER
    said: list[str] = []
    with pytest.raises(WrongDigest, match=f"expected the SHA-256 {OTHER}, .*its own is {files[wrong][1]}"):
        load(str(files[0][0]), sha256=pins[0], codec_sha256=pins[1], report=said.append)
    assert f"checking {files[wrong][0].name}" not in said


@pytest.mark.slow
@pytest.mark.parametrize(("wrong", "variable"), [(0, "TIDING_MAGPIE_SHA256"), (1, "TIDING_MAGPIE_CODEC_SHA256")])
def test_a_start_with_another_file_than_the_pinned_ends_with_both_digests(
    launch: Launch, files: list[tuple[Path, str]], wrong: int, variable: str
) -> None:
    launched = launch(
        TIDING_MODEL="magpie",
        TIDING_MAGPIE_CHECKPOINT=str(files[0][0]),
        TIDING_MAGPIE_DEVICE="cpu",
        **{variable: OTHER},
    )
    assert_refused(launched, variable, OTHER, files[wrong][1], status=1)
    assert "importing NeMo" not in launched.text
