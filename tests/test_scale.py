"""What a step costs beside the model: that it is measured. (The numbers: `python -m tests.bench.scheduler`.)"""

import pytest

from tests.bench.scheduler import measure

pytestmark = pytest.mark.alone


@pytest.mark.parametrize("is_alone", [True, False])
async def test_the_time_between_steps_of_all_slots_is_measured(is_alone: bool) -> None:
    gaps_s, parts = await measure(num_slots=9, num_steps=30, step_s=0.0, is_alone=is_alone)
    assert len(gaps_s) == 25, "the first five are left out"
    assert 0 < gaps_s[0] <= gaps_s[-1]
    assert {"next_step", "shape", "finish_step", "deliver"} <= parts.spent_s.keys()
