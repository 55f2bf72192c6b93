"""Weights that are pinned: real files through real starts, and another file than the pinned one is opened by nobody."""

import hashlib
import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from engines.catalog import ModelMissing
from engines.digests import WrongDigest, require_digest
from engines.llm.llama import load
from engines.llm.llama.weights import locate
from engines.llm.options import LlamaOptions
from tests.launching import Launch, assert_refused

needs_llama = pytest.mark.skipif(find_spec("llama_cpp") is None, reason="llama.cpp is not installed")

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""Source: FIPS 180-4, the digest of no bytes."""


@pytest.fixture(scope="session")
def smollm2() -> tuple[Path, str]:
    """The file that comes in a package, and its digest, taken in another way."""
    path = locate("")
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_with_its_digest_passes_in_either_case_and_one_without_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    file.touch()
    require_digest(file, EMPTY, "X")
    require_digest(file, EMPTY.upper(), "X")
    require_digest(tmp_path / "nothing", "", "X")


def test_one_changed_bit_in_many_pieces_is_told_with_both_digests(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    content = bytearray(os.urandom(3 * 2**20 + 1))
    pinned = hashlib.sha256(content).hexdigest()
    content[2 * 2**20] ^= 1
    file.write_bytes(content)
    with pytest.raises(WrongDigest) as caught:
        require_digest(file, pinned, "TIDING_X_SHA256")
    assert str(caught.value) == (
        f"{file}: expected the SHA-256 {pinned}, as TIDING_X_SHA256 pins it; its own is "
        f"{hashlib.sha256(content).hexdigest()}"
    )


@needs_llama
@pytest.mark.slow
def test_an_llm_that_is_the_pinned_file_is_served(launch: Launch, smollm2: tuple[Path, str]) -> None:
    launched = launch(("llm",), TIDING_LLM_SHA256=smollm2[1].upper())
    launched.until(lambda: httpx.get(f"{launched.llm_url}/ready", timeout=2).status_code == 200, "ready")
    assert f"{smollm2[0].name} is the file that is pinned" in launched.text


@needs_llama
@pytest.mark.slow
def test_an_llm_that_is_another_file_than_the_pinned_stops_the_start_and_is_not_opened(
    launch: Launch, smollm2: tuple[Path, str], tmp_path: Path
) -> None:
    changed = tmp_path / "changed.gguf"
    shutil.copy(smollm2[0], changed)
    with changed.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x5a")
    own = hashlib.sha256(changed.read_bytes()).hexdigest()
    launched = launch(("llm",), TIDING_LLM_MODEL=str(changed), TIDING_LLM_SHA256=smollm2[1], TIDING_LOG_LEVEL="debug")
    assert_refused(launched, smollm2[1], own, "TIDING_LLM_SHA256", status=1)
    assert "llama_model_loader" not in launched.text, "llama.cpp has opened it"


@needs_llama
def test_a_pinned_llm_in_parts_is_refused_for_the_others_would_be_held_by_nothing(
    tmp_path: Path, smollm2: tuple[Path, str]
) -> None:
    part = tmp_path / "big-00001-of-00003.gguf"
    part.touch()
    with pytest.raises(ModelMissing, match=r"one part of 3, and TIDING_LLM_SHA256 holds one file"):
        load(LlamaOptions(model=str(part), sha256=EMPTY))
    load(LlamaOptions(model=str(part)))
    whole = tmp_path / "big-00001-of-00001.gguf"
    whole.touch()
    load(LlamaOptions(model=str(whole), sha256=EMPTY))
