"""A crowd's rounds as one record, what came after a cancel, and what a process tree takes."""

import os
import subprocess
import sys

import pytest

from tests.bench.speech_cancel import Silence, silence_of
from tests.bench.speech_clients import Meeting
from tests.bench.speech_figures import Told
from tests.bench.speech_meter import peak_mb, usage
from tests.bench.speech_run import crowd_of

ROUNDS = [
    Meeting([Told(10.0, 1.0, 10.0, 0.0), Told(30.0, 2.0, 10.0, 0.5)], took_s=2.0, server_s=3.0, clients_s=0.1),
    Meeting([Told(20.0, 1.0, 10.0, 0.0), Told(40.0, 3.0, 10.0, 0.0)], took_s=3.0, server_s=2.0, clients_s=0.4),
]


def test_a_crowd_is_all_streams_of_all_rounds() -> None:
    crowd = crowd_of(2, [5.0, 7.0], ROUNDS, [])
    assert (crowd.num_clients, crowd.num_streams) == (2, 4)
    assert (crowd.first_ms.p50, crowd.first_ms.max, crowd.bare_ms.p50) == (25, 40, 6)
    assert (crowd.rtf.p50, crowd.rtf.max, crowd.underrun_s.max) == (0.15, 0.3, 0.5)
    assert crowd.interrupted is None


def test_rates_of_a_crowd_are_over_the_time_that_its_rounds_took() -> None:
    crowd = crowd_of(2, [5.0], ROUNDS, [])
    assert crowd.audio_s_per_s == 40.0 / 5.0
    assert (crowd.server_percent, crowd.clients_percent) == (100, 10)


def test_interruptions_of_a_crowd_are_taken_together() -> None:
    found = crowd_of(2, [5.0], ROUNDS, [Silence(0.0, 0, 1.0), Silence(4.0, 4096, 2.0)]).interrupted
    assert found is not None
    assert (found.last_byte_ms.max, found.answer_ms.p50, found.num_late_bytes.max) == (4, 1.5, 4096)


def test_silence_begins_after_the_last_byte_that_came_after_the_cancel() -> None:
    late = [(b"1234", 10.001), ({"type": "segment_complete"}, 10.002), (b"56", 10.003), ({"type": "cancelled"}, 10.004)]
    silence = silence_of(late, sent_s=10.0, answered_s=10.004)
    assert (silence.last_byte_ms, silence.num_late_bytes, silence.answer_ms) == pytest.approx((3, 6, 4))


def test_without_a_late_byte_silence_is_at_once() -> None:
    silence = silence_of([({"type": "cancelled"}, 10.002)], sent_s=10.0, answered_s=10.002)
    assert (silence.last_byte_ms, silence.num_late_bytes) == (0, 0)


def test_a_process_is_counted_with_its_children() -> None:
    code = (
        "import time; held = bytearray(b'x' * 64 * 2**20)\n"
        "while time.process_time() < 0.3: pass\n"
        "print('ready', flush=True); input()"
    )
    before = usage(os.getpid())
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        after = usage(os.getpid())
        child.communicate(b"\n")
    assert after.cpu_s - before.cpu_s >= 0.25
    assert after.memory_mb - before.memory_mb > 60


def test_the_peak_stays_when_the_memory_is_given_back() -> None:
    code = "held = bytearray(b'x' * 64 * 2**20); del held; print('ready', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert peak_mb(child.pid) > usage(child.pid).memory_mb + 50
        child.communicate(b"\n")
