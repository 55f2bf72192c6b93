"""Progress: one line on a terminal for a long text, and nothing anywhere else."""

import io

import pytest

from app.cli.progress import LONG_TEXT_CHARS, Progress

LONG = LONG_TEXT_CHARS + 1


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def progress_of(out: io.StringIO, num_chars: int = LONG, *, is_quiet: bool = False) -> Progress:
    """On a clock that goes on by a second with each look."""
    now_s = iter(range(100))
    return Progress(num_chars, is_quiet=is_quiet, out=out, clock=lambda: float(next(now_s)))


def test_a_long_text_shows_how_far_it_is_and_how_fast() -> None:
    out = Terminal()
    progress_of(out).show(500, 30_000.0)
    assert out.getvalue().endswith(f"500 of {LONG} characters, 30 s of audio, 30.0 times real time")


def test_the_line_is_empty_at_the_end() -> None:
    out = Terminal()
    progress = progress_of(out)
    progress.show(500, 30_000.0)
    progress.close()
    assert out.getvalue().endswith("\r\033[K")
    assert "\n" not in out.getvalue()


def test_it_is_shown_five_times_a_second_at_most() -> None:
    out = Terminal()
    times_s = iter([0.0, 0.25, 0.3, 0.4, 0.5])
    progress = Progress(LONG, is_quiet=False, out=out, clock=lambda: next(times_s))
    for text_end in (100, 200, 300, 400):
        progress.show(text_end, 1000.0)
    assert [f"{end} of" in out.getvalue() for end in (100, 200, 300, 400)] == [True, False, False, True]


@pytest.mark.parametrize(
    ("out", "num_chars", "is_quiet"),
    [(io.StringIO(), LONG, False), (Terminal(), LONG_TEXT_CHARS, False), (Terminal(), LONG, True)],
    ids=["no terminal", "a short text", "quiet"],
)
def test_nothing_is_shown_otherwise(out: io.StringIO, num_chars: int, is_quiet: bool) -> None:
    progress = progress_of(out, num_chars, is_quiet=is_quiet)
    progress.show(500, 30_000.0)
    progress.close()
    assert out.getvalue() == ""
