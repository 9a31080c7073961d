"""Floor 7, cli: words typed at a prompt. Parse, call one function of `runs/`, print.

Nothing heavy is imported until a command runs, so that `--help` answers at once.
"""

from tunesmith.cli.app import main

__all__ = ["main"]
