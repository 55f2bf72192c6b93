"""The kernels, the graphs and the streams of a GPU give what `plain` gives; there, or under Triton's interpreter.

Needs neither NeMo nor a checkpoint: on a GPU machine without NeMo, `pytest --noconftest tests/magpie/test_kernels.py`.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("triton")  # comes with torch for CUDA; torch for CPUs alone has none, and then nothing here can run

import msgspec  # noqa: E402

from engines.magpie.checkpoint import Checkpoint  # noqa: E402
from engines.magpie.codec import decode_whole  # noqa: E402
from engines.magpie.model import Magpie  # noqa: E402
from engines.magpie.options import MagpieOptions  # noqa: E402
from tests.bench import magpie_random  # noqa: E402
from tests.magpie import comparing_kernels  # noqa: E402
from tests.magpie.speaking import Floor, Spoken, error_of, job, speak  # noqa: E402

ROOT = Path(__file__).parents[2]
MAX_FRAMES = 40

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
pytestmark = pytest.mark.filterwarnings("ignore")

Sizes = pytest.mark.parametrize("size", ["tiny", "tiny2"])
Shapes = pytest.mark.parametrize("shape", ["full", "full2607"])
Models = Callable[[str], Magpie]


def test_kernels_are_the_plain_operations_under_the_interpreter() -> None:
    """To the last code. A process of its own: Triton decides when it is imported whether it interprets."""
    environment = os.environ | {"TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.magpie.comparing_kernels", "tiny:sampled:2", "tiny2:subsets:1"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@needs_gpu
@Sizes
@pytest.mark.parametrize("recipe", list(comparing_kernels.RECIPES))
def test_kernels_are_the_plain_operations_on_the_gpu(size: str, recipe: str) -> None:
    """In float32, from the same state each step. Sums run in another order, so one draw in thousands may differ."""
    found = comparing_kernels.compare(size, recipe, 40, torch.device("cuda"))
    print(found)
    assert found.error < 1e-3, found
    assert found.num_wrong <= 0.001 * found.codes, found


# -- the released shapes -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def checkpoint() -> Callable[[str], Checkpoint]:
    """Random weights in a released shape, made to listen. Segments are `MAX_FRAMES` long."""

    @cache
    def make(shape: str) -> Checkpoint:
        drawn = magpie_random.checkpoint(shape, num_frames=MAX_FRAMES)
        weights = {name: value * (2.0 if value.dim() > 1 else 1.0) for name, value in drawn.weights.items()}
        return msgspec.structs.replace(drawn, weights=weights, prefix=drawn.prefix * 20)

    return make


@pytest.fixture(scope="module")
def model(checkpoint: Callable[[str], Checkpoint]) -> Iterator[Models]:
    """With graphs, in the precision that is served."""

    @cache
    def make(shape: str) -> Magpie:
        made = Magpie(checkpoint(shape), MagpieOptions(device="cuda", slots=70), has_guards=False)
        made.warm_up()
        return made

    def of(shape: str) -> Magpie:
        torch.cuda.set_stream(make(shape)._stream)  # of this thread, which elsewhere has one model
        return make(shape)

    yield of
    torch.cuda.synchronize()


TEXT = "The same words for everybody, and a few more so that it is a sentence of some length."


def alone(model: Magpie, session: int, **params: object) -> Spoken:
    (spoken,) = speak(model, job(model, TEXT, slot=0, session=session, voice=1, **params))
    model.forget(session)
    return spoken


@needs_gpu
@Shapes
@pytest.mark.parametrize("params", [{"seed": 5}, {"temperature": 0}], ids=["sampled", "greedy"])
def test_a_requests_codes_do_not_change_with_the_size_of_its_batch_on_the_gpu(
    model: Models, shape: str, params: dict[str, int]
) -> None:
    """Bit by bit, whichever graph runs: others join and leave in the middle of it."""
    one = model(shape)
    expected = alone(one, 1, **params)
    assert len(expected.codes) == MAX_FRAMES
    for session, crowd in enumerate((1, 7, 30, 62), 2):
        floor = Floor(one)
        slot = crowd + 1
        floor.join(*[job(one, TEXT[n % 9 :], slot=n, session=1000 + n, seed=n, voice=n % 5) for n in range(crowd // 2)])
        floor.step()
        (mine,) = floor.join(job(one, TEXT, slot=slot, session=session, voice=1, **params))
        for _ in range(4):
            floor.step()
        floor.join(
            *[job(one, TEXT[n % 7 :], slot=n, session=1000 + n, seed=n, voice=n % 5) for n in range(crowd // 2, crowd)]
        )
        for _ in range(5):
            floor.step()
        for n in range(0, crowd // 2, 2):
            floor.leave(n)
        floor.finish()
        for other in (session, *range(1000, 1000 + crowd)):
            one.forget(other)
        assert torch.equal(mine.codes, expected.codes), f"among {crowd}"
        assert error_of(mine.pcm, expected.pcm) < 1e-2, f"among {crowd}"


@needs_gpu
@Shapes
def test_graphs_give_the_codes_of_the_eager_path_on_the_gpu(
    model: Models, checkpoint: Callable[[str], Checkpoint], shape: str
) -> None:
    """The same kernels on the same batches, launched one by one."""
    from engines.magpie.decoder import Decoder
    from engines.magpie.graphs import Launcher
    from engines.magpie.kernels import PREFILL_KERNELS, STEP_KERNELS
    from engines.magpie.prefills import Prefills
    from engines.magpie.state import allocate
    from engines.magpie.weights import convert

    one, known = model(shape), checkpoint(shape)
    jobs = [job(one, TEXT[n:], slot=n, session=n + 1, seed=n, voice=n) for n in range(3)]
    graphed = speak(one, *jobs)
    device = torch.device("cuda")
    with torch.inference_mode():
        weights = convert(known.weights, known.prefix, known.shape, device=device, dtype=torch.bfloat16)
        state = allocate(known.shape, known.recipe, 4, 512, device=device, dtype=torch.bfloat16)
        eager = Decoder(weights, known.shape, known.recipe, state, STEP_KERNELS, PREFILL_KERNELS)
        prefills = Prefills(eager.prefill, lambda _: None, 512, 3, device, Launcher(None), torch.cuda.Stream())
        for bucket in prefills.buckets:
            prefills.capture(bucket)  # which captures nothing here
        encode = known.tokenizer.encode
        prefills.launch([one._request(asked, encode(asked.segment.text, "en"), is_fresh=True) for asked in jobs])
        torch.cuda.synchronize()
        for _ in range(MAX_FRAMES // known.shape.stacking):
            eager.step(torch.arange(3, device=device))
        torch.cuda.synchronize()
    for slot, spoken in enumerate(graphed):
        one.forget(slot + 1)
        same = (spoken.codes == state.frames[slot, :MAX_FRAMES]).float().mean()
        assert same == 1, f"slot {slot}: {same:.3f} of the codes are the same"


@needs_gpu
def test_streamed_samples_are_those_of_whole_decoding_on_the_gpu(checkpoint: Callable[[str], Checkpoint]) -> None:
    """Through the model, with the codec in float32: two segments of a session, another session in between."""
    known = checkpoint("full")
    model = Magpie(known, MagpieOptions(device="cuda", slots=3, codec_precision="float32"), has_guards=False)
    model.warm_up()
    mine: list[Spoken] = []
    for slot, other in ((0, 1), (1, 0), (2, 1)):
        first, _ = speak(
            model,
            job(model, TEXT, slot=slot, session=1, seed=slot, first_chunk_frames=1 + slot, chunk_frames=7),
            job(model, TEXT, slot=other, session=2, seed=9),
        )
        mine.append(first)
    codes = torch.cat([spoken.codes for spoken in mine])[None].cpu()
    whole = decode_whole(known.codec, codes)[0]
    assert error_of(torch.cat([torch.from_numpy(spoken.pcm) for spoken in mine]), whole) < 1e-5
