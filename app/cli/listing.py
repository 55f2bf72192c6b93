"""`tiding voices` and `tiding modes`: what there is to choose from."""

import click

from app.cli.server_options import server_options

_VOICES_HELP = """List the voices: of the model that TIDING_MODEL names, or of a server.

\b
Examples:
  tiding voices
  tiding voices --server http://localhost:8001 --json
"""

_MODES_HELP = """List the modes that are installed, and what each is from.

A mode is a way to be spoken to: the server serves all of them, or those that TIDING_MODES names.

\b
Examples:
  tiding modes
  tiding modes --json
"""

_json_option = click.option("--json", "is_json", is_flag=True, help="Print JSON.")


@click.command(help=_VOICES_HELP, short_help="List the voices.")
@server_options
@_json_option
def voices(server: str | None, api_key: str | None, is_json: bool) -> None:
    if server is None:
        from app.cli import local

        listed = local.voices()
    else:
        from app.cli import remote

        listed = remote.voices(remote.Server(server, api_key), is_quiet=False)
    if is_json:
        _print_json(listed)
        return
    width = max((len(voice.name) for voice in listed), default=0)
    for voice in listed:
        answers_to = f"  also: {', '.join(voice.aliases)}" if voice.aliases else ""
        click.echo(f"{voice.name:{width}}  {voice.language:5}  {voice.gender:6}{answers_to}".rstrip())


@click.command(help=_MODES_HELP, short_help="List the installed modes.")
@_json_option
def modes(is_json: bool) -> None:
    from modes.registry import installed, origin

    points = installed()
    if is_json:
        names = [(point.name, point.value, point.dist) for point in points]
        _print_json(
            [{"name": name, "object": value, "from": f"{d.name} {d.version}" if d else ""} for name, value, d in names]
        )
        return
    for point in points:
        click.echo(origin(point))


def _print_json(listed: object) -> None:
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(listed)))
