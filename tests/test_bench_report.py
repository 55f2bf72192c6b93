"""The whole benchmark of the speech server, quick: that its report is complete and sane. (How fast: `just bench`.)"""

import argparse
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from tests.bench.first_audio import as_json, plan_of, run, write
from tests.bench.speech_figures import Shares
from tests.bench.speech_modes import MODES, SOCKETS, TITLES
from tests.bench.speech_page import NAME, page, table
from tests.bench.speech_results import Crowd, Results
from tests.bench.speech_run import QUICK, Plan
from tests.bench.speech_stages import ARRIVED, FIRST_SENT, PREFILL, READY, RECEIVED

pytestmark = pytest.mark.alone

MAX_PICTURE_BYTES = 150_000


@pytest.fixture(scope="module")
def results() -> Results:
    return run(QUICK, profile_rounds=2)


def all_shares(results: Results) -> Iterator[Shares]:
    for mode in results.modes:
        assert mode.alone is not None
        yield from (mode.alone.served_ms, mode.alone.bare_ms)
        for crowd in mode.crowds:
            yield from (crowd.first_ms, crowd.bare_ms, crowd.rtf)


@pytest.mark.slow
def test_every_mode_is_measured_with_every_number_of_clients(results: Results) -> None:
    assert [result.mode for result in results.modes] == list(MODES)
    for result in results.modes:
        assert [crowd.num_clients for crowd in result.crowds] == list(QUICK.clients)
        assert [crowd.num_streams for crowd in result.crowds] == list(QUICK.clients)
        assert all((crowd.interrupted is not None) == (result.mode in SOCKETS) for crowd in result.crowds)


@pytest.mark.slow
def test_times_and_shares_are_those_of_real_streams(results: Results) -> None:
    for shares in all_shares(results):
        assert 0 < shares.p50 <= shares.p95 <= shares.p99 <= shares.max
    for result in results.modes:
        assert 0 < result.memory_mb <= result.peak_mb
        assert min(result.ready_s, result.cold_ms) > 0
        for crowd in result.crowds:
            check_crowd(crowd)


def check_crowd(crowd: Crowd) -> None:
    assert crowd.audio_s_per_s > 0
    assert crowd.server_percent > 0
    assert crowd.interrupted is None or crowd.interrupted.answer_ms.p50 > 0


@pytest.mark.slow
def test_a_profile_leads_from_the_request_through_the_model_to_the_client(results: Results) -> None:
    assert [profile.mode for profile in results.profiles] == ["websocket", "stream"]
    for profile in results.profiles:
        assert {RECEIVED, PREFILL, READY, FIRST_SENT, ARRIVED} <= {stage.name for stage in profile.stages}
        assert all(after.at_ms >= before.at_ms > 0 for before, after in pairwise(profile.stages))
        assert all(stage.at_ms >= stage.took_ms >= 0 for stage in profile.stages)


@pytest.mark.slow
def test_what_is_written_is_complete(results: Results, tmp_path: Path) -> None:
    write(results, tmp_path)
    assert msgspec.json.decode((tmp_path / f"{NAME}.json").read_bytes(), type=Results) == results
    text = (tmp_path / f"{NAME}.md").read_text("utf-8")
    assert text == page(results)
    for mode in MODES:
        num_rows = 2 + len(QUICK.clients) * (2 if mode in SOCKETS else 1)
        assert len(re.findall(rf"^\| {re.escape(TITLES[mode])} +\|", text, re.MULTILINE)) == num_rows
    assert 1000 < (tmp_path / f"{NAME}.svg").stat().st_size < MAX_PICTURE_BYTES


@pytest.mark.slow
def test_a_run_of_the_profile_alone_has_a_page_without_the_rest(results: Results) -> None:
    alone = msgspec.structs.replace(results, modes=[])
    assert "Where the time goes" in page(alone)
    assert "Clients at once" not in page(alone)
    assert msgspec.json.decode(as_json(alone), type=Results) == alone


def options(**given: object) -> argparse.Namespace:
    return argparse.Namespace(**({"clients": None, "rounds": None, "modes": None, "quick": False} | given))


def test_what_is_not_asked_for_is_the_default() -> None:
    assert plan_of(options()) == Plan()
    assert plan_of(options(clients=[2, 3], modes=["batch"])) == Plan(clients=(2, 3), modes=("batch",))
    assert plan_of(options(quick=True)) == QUICK


def test_a_quick_run_takes_what_is_asked_for_nevertheless() -> None:
    assert plan_of(options(quick=True, clients=[8])) == msgspec.structs.replace(QUICK, clients=(8,))


def test_a_table_is_aligned() -> None:
    lines = table(("mode", "ms"), [("batch", "1.5"), ("a longer name", "12.25")]).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[-2:] == ["| batch         |   1.5 |", "| a longer name | 12.25 |"]
