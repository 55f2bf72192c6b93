"""`tiding say`: a text as a file, or as a stream that is heard while it is made."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from app.cli import forms
from app.cli.server_options import server_options
from app.cli.texts import read_text

STDOUT: Final = "-"

_HELP = """Speak a TEXT, or files, or what is piped in.

Without -o the audio goes to stdout as it is made, for a player or another command to read. With -o it becomes a file,
which is there once it is whole.

The voice is that of the model and the settings in the environment (TIDING_MODEL and others, as for the server), run
by this process; with --server, that of a server.

\b
Examples:
  tiding say "Hello there." -o hello.mp3
  tiding say -f chapter.txt -o chapter.flac --words chapter.srt
  echo "Hello there." | tiding say | aplay
  tiding say "Hello there." --format opus | ffplay -nodisp -autoexit -
  tiding say "Press one." --sample-rate 8000 --encoding mulaw -o one.wav
  tiding say "Hello there." --server http://localhost:8001 -o hello.mp3
  tail -f news.txt | tiding say --live --server http://localhost:8001 | aplay
"""


@click.command(help=_HELP, short_help="Speak a text, to a file or to stdout.")
@click.argument("text", nargs=-1)
@click.option(
    "-f", "--file", "files", multiple=True, type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    help="Speak a text file, in UTF-8; - is stdin. May be given more than once.",
)  # fmt: skip
@click.option(
    "-o", "--output", metavar="FILE", type=click.Path(dir_okay=False, allow_dash=True),
    help="Write a file instead of stdout (-). Its suffix says the format.",
)  # fmt: skip
@click.option(
    "--format", "form", type=click.Choice(forms.FORMATS),
    help="The format, whatever the file is called. [default: wav on stdout]",
)  # fmt: skip
@click.option(
    "--words", metavar="FILE", type=click.Path(dir_okay=False),
    help="Also write when each word is spoken: captions in .srt or .vtt, or a list in .json.",
)  # fmt: skip
@click.option("--voice", default="aria", show_default=True, help="A voice's name: `tiding voices` lists them.")
@click.option("--language", default="en", show_default=True, metavar="TAG", help="A BCP 47 tag, such as en or de-DE.")
@click.option(
    "--speed", type=click.FloatRange(0.25, 4.0), default=1.0, show_default=True,
    help="In times the voice's own pace, at its own pitch.",
)  # fmt: skip
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, metavar="N",
    help="The same text and seed give the same audio.",
)  # fmt: skip
@click.option(
    "--sample-rate", type=click.Choice(forms.SAMPLE_RATES_HZ), default=forms.DEFAULT_RATE_HZ, show_default=True,
    help="Samples a second.",
)  # fmt: skip
@click.option(
    "--encoding", type=click.Choice(forms.ENCODINGS), default=forms.ENCODINGS[0], show_default=True,
    help="How samples are written, in wav and pcm.",
)  # fmt: skip
@click.option(
    "--live", "is_live", is_flag=True,
    help="Speak what is piped in as it comes, rather than all of it at its end. Needs --server; wav or pcm.",
)  # fmt: skip
@server_options
@click.option("-q", "--quiet", "is_quiet", is_flag=True, help="Say nothing on stderr but what has failed.")
def say(
    text: Sequence[str], files: Sequence[str], output: str | None, form: str | None, words: str | None,
    server: str | None, api_key: str | None, is_live: bool, is_quiet: bool, **manner: Any,
) -> None:  # fmt: skip
    path = _path(output)
    form = form or _form_of(path)
    if form not in forms.RAW_FORMATS and manner["encoding"] != forms.ENCODINGS[0]:
        raise click.UsageError(f"--encoding {manner['encoding']} is for wav and pcm, not for {form}.")
    _check_words(words)
    if is_live:
        _check_live(form, server, is_given=bool(text or files or words))
    from app.cli.delivery import deliver
    from app.cli.pieces import Speech

    speech = Speech(text="" if is_live else read_text(text, files), format=form, is_whole=path is not None, **manner)
    deliver(
        speech, path, None if words is None else Path(words),
        server=server, api_key=api_key, is_live=is_live, is_quiet=is_quiet,
    )  # fmt: skip


def _path(output: str | None) -> Path | None:
    """Where the file is to be; None for stdout."""
    if output is None and sys.stdout.isatty():
        raise click.UsageError(
            "audio is nothing for a terminal: name a file (-o hello.wav), or pipe it to a player (tiding say ... | "
            "aplay)."
        )
    return None if output is None or output == STDOUT else Path(output)


def _form_of(path: Path | None) -> str:
    form = "wav" if path is None else forms.format_of(path.name)
    if form is None:
        known = ", ".join(forms.SUFFIXES)
        raise click.UsageError(f"the name {path} does not say its format: expected --format, or one of {known}.")
    return form


def _check_live(form: str, server: str | None, *, is_given: bool) -> None:
    if server is None:
        raise click.UsageError("--live needs a server (--server http://localhost:8001).")
    if form not in forms.RAW_FORMATS:
        raise click.UsageError(f"--live is for wav and pcm, not for {form}.")
    if is_given:
        raise click.UsageError("--live speaks what is piped in: it goes with no text, no file and no --words.")


def _check_words(words: str | None) -> None:
    if words is not None and Path(words).suffix.lower() not in forms.WORD_SUFFIXES:
        raise click.UsageError(f"--words {words}: expected a name that ends in {', '.join(forms.WORD_SUFFIXES)}.")
