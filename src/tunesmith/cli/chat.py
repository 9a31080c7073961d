"""`tunesmith chat`."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tunesmith.cli.options import Home, run_named
from tunesmith.cli.text import tell
from tunesmith.core.errors import InputError
from tunesmith.core.records import Image, Message

if TYPE_CHECKING:
    from tunesmith.runs.open import Run

_NEW = "/new"


def chat(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run folder, or the name of a promoted model.")
    ],
    once: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Ask this, print the answer, and leave.")
    ] = None,
    image: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="With --once: a picture to ask about, before it. May be repeated."
        ),
    ] = None,
    max_new_tokens: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="The longest answer, in tokens.")
    ] = None,
    temperature: Annotated[
        float,
        typer.Option(
            metavar="T", min=0.0, help="0 takes the likeliest token, 1 draws as the model does."
        ),
    ] = 0.0,
    home: Home = None,
) -> None:
    """Talk with the tuned model of a run, or with one that was promoted under a name.

    The conversation is kept: /new starts another, Ctrl-D leaves.
    """
    from tunesmith.runs.open import open_run

    if image and once is None:
        raise typer.BadParameter("--image shows a picture to a question: give that with --once.")
    options: dict[str, Any] = {"temperature": temperature}
    if max_new_tokens is not None:
        options["max_new_tokens"] = max_new_tokens
    opened = open_run(run_named(run, home))
    if once is not None:
        shown = tuple(Image(str(path), str(path), 0) for path in image or ())
        typer.echo(opened.chat([Message("user", once, images=shown)], **options))
        return
    _talk(_Conversation(opened, options))


class _Conversation:
    """What was said so far; a question that could not be answered is forgotten."""

    def __init__(self, run: Run, options: dict[str, Any]) -> None:
        self._run = run
        self._options = options
        self._said: tuple[Message, ...] = ()

    def forget(self) -> None:
        """Begin anew."""
        self._said = ()

    def ask(self, text: str) -> str:
        """The answer to `text` after all that was said. Raises DataError if there is no room."""
        asked = (*self._said, Message("user", text))
        # Another draw each turn, and the same ones in a repeated conversation.
        answer = self._run.chat(asked, seed=len(asked), **self._options)
        self._said = (*asked, Message("assistant", answer))
        return answer


def _talk(conversation: _Conversation) -> None:
    """Read and answer lines until the end of input."""
    terminal = sys.stdin.isatty()
    if terminal:
        _edit_lines()
        tell("Ask something. /new starts another conversation, Ctrl-D leaves.", err=True, dim=True)
    while True:
        try:
            line = input("\nyou: " if terminal else "").strip()
        except EOFError:
            return
        if line == _NEW:
            conversation.forget()
            tell("A new conversation.", err=True, dim=True)
        elif line:
            _answer(conversation, line)


def _answer(conversation: _Conversation, line: str) -> None:
    try:
        answer = conversation.ask(line)
    except InputError as error:
        tell(f"{error} {_NEW} starts another conversation.", err=True, fg="yellow")
        return
    typer.secho(answer, fg="cyan")


def _edit_lines() -> None:
    """Arrow keys and history at the prompt, where Python was built with them."""
    with suppress(ImportError):
        import readline  # noqa: F401  (changes `input` by being imported)
