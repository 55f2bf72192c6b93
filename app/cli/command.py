"""The command `tiding`: its subcommands, and how a process that runs one of them ends."""

import click

from app.cli.failure import INTERRUPTED, Failure
from app.cli.listing import modes, voices
from app.cli.say import say
from app.cli.serve import serve

_HELP = """Speech from a shell, and the servers that speak for others.

\b
Examples:
  tiding say "Hello there." -o hello.mp3
  tiding say -f chapter.txt -o chapter.flac --words chapter.srt
  echo "Hello there." | tiding say | aplay
  tiding serve tts
"""


@click.group(help=_HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tiding", prog_name="tiding", message="%(prog)s %(version)s")
def tiding() -> None: ...


for _command in (say, voices, modes, serve):
    tiding.add_command(_command)


def run() -> int:
    """Run what the process's arguments say. Returns 0, 1 for what failed, 2 for what was misused, 130 after ^C."""
    try:
        status = tiding.main(prog_name="tiding", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return INTERRUPTED
    except OSError as error:
        Failure(f"{error.filename}: {error.strerror}" if error.filename else str(error)).show()
        return 1
    return status if isinstance(status, int) else 0
