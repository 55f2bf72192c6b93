"""The command line `tiding`. Importing this package imports nothing heavy."""


def main() -> int:
    """Run the command that the process was started with. Returns its exit status."""
    from app.cli.command import run

    return run()
