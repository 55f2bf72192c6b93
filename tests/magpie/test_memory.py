"""How many slots fit is known before anything is allocated, and said where it is too few."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from engines.magpie.checkpoint import Checkpoint
from engines.magpie.codec import CodecWeights, StreamingCodec
from engines.magpie.memory import CODEC_BYTES, CPU_SLOTS, OutOfMemory, choose_num_slots, free_bytes, slots_that_fit
from engines.magpie.model import Magpie
from engines.magpie.options import MagpieOptions
from engines.magpie.shape import Recipe
from engines.magpie.state import allocate, bytes_per_slot
from tests.magpie.speaking import CPU

GIB = 2**30
MEMINFO = Path("/proc/meminfo")


def test_one_slot_of_those_that_fit_is_spare() -> None:
    assert slots_that_fit(10 * GIB, GIB, 0) == 9
    assert slots_that_fit(10 * GIB - 1, GIB, 0) == 8
    assert slots_that_fit(10 * GIB, GIB, 3 * GIB) == 6
    assert slots_that_fit(GIB, GIB, 0) == 0
    assert slots_that_fit(GIB, GIB, 3 * GIB) == 0, "what is reserved may be more than there is"


def test_as_many_slots_are_made_as_are_wanted() -> None:
    assert choose_num_slots(3, 1000, CPU) == 3
    assert choose_num_slots(0, 1000, CPU) == CPU_SLOTS


def test_by_default_only_as_many_as_fit_are_made() -> None:
    assert choose_num_slots(0, free_bytes(CPU) // 4, CPU) in (1, 2, 3)


@pytest.mark.parametrize("wanted", [0, 1, 500])
def test_too_little_memory_says_what_would_fit(wanted: int) -> None:
    per_slot = free_bytes(CPU) // (4 if wanted > 1 else 1)
    with pytest.raises(OutOfMemory) as caught:
        choose_num_slots(wanted, per_slot, CPU)
    fitting = r"(\d+) slots of (\d+) MiB would fit into [\d.]+ GiB free"
    said = re.fullmatch(rf"(\d+) slots are wanted, but {fitting} \(TIDING_MAGPIE_SLOTS\)", str(caught.value))
    assert said is not None, caught.value
    assert int(said[1]) == max(1, wanted)
    assert int(said[2]) in ((0,) if wanted < 2 else (2, 3, 4))
    assert abs(int(said[3]) - per_slot / 2**20) <= 1


def test_a_model_with_too_many_slots_is_refused_before_anything_is_allocated(
    checkpoint: Callable[[str], Checkpoint],
) -> None:
    with pytest.raises(OutOfMemory, match="TIDING_MAGPIE_SLOTS"):
        Magpie(checkpoint("tiny"), MagpieOptions(device="cpu", slots=10**7))


@pytest.mark.parametrize("size", ["tiny", "tiny2"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_a_slot_takes_is_known(checkpoint: Callable[[str], Checkpoint], size: str, dtype: torch.dtype) -> None:
    """Within one in a hundred, and never too little."""
    shape, recipe = checkpoint(size).shape, Recipe(max_frames=301)

    def size_of(num_slots: int) -> int:
        state = allocate(shape, recipe, num_slots, 128, device=CPU, dtype=dtype)
        return sum(getattr(state, name).nbytes for name in state.__struct_fields__)

    taken = size_of(6) - size_of(5)
    assert taken <= bytes_per_slot(shape, recipe, 128, dtype) <= 1.01 * taken


def test_the_codecs_share_is_enough_for_the_released_codec() -> None:
    assert StreamingCodec(CodecWeights.random(), 0, device="cpu").state_bytes_per_slot <= CODEC_BYTES


@pytest.mark.skipif(not MEMINFO.exists(), reason="Linux says there what could be allocated")
def test_memory_that_only_keeps_files_counts_as_free() -> None:
    """A machine that has been up for long has little that is free, and much that it would give."""
    said = re.search(r"MemAvailable:\s+(\d+) kB", MEMINFO.read_text())
    assert said is not None
    assert free_bytes(CPU) == pytest.approx(int(said[1]) * 1024, rel=0.03)
