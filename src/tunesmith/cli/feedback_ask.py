"""Two answers on a terminal, and what a person types about them."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from tunesmith.cli.text import tell
from tunesmith.core.text import visible

if TYPE_CHECKING:
    from tunesmith.core.records import Message
    from tunesmith.runs.feedback_collect import Asked, Corrected, Said

_WORDS: dict[str, Any] = {
    **{"1": "first", "2": "second", "t": "tie", "tie": "tie", "=": "tie"},
    **{"s": "skip", "skip": "skip", "q": "quit", "quit": "quit"},
}
_EDIT = ("e", "edit")
_QUESTION = "Which is better? 1, 2, tie, skip, edit or quit: "
_END = "."


def ask(asked: Asked) -> Said:
    """Show a pair and read what is said of it; the end of input leaves."""
    _show(asked)
    while True:
        try:
            word = input(_QUESTION).strip().lower()
        except EOFError:
            return "quit"
        if word in _WORDS:
            said: Said = _WORDS[word]
            return said
        if word in _EDIT:
            corrected = _edited(asked)
            if corrected is not None:
                return corrected
        elif word:
            tell(
                f"{visible(word)} is none of these: 1 or 2 for the better answer, tie for as good, "
                "skip for later, edit to correct one, quit to leave. A letter is enough.",
                err=True,
                fg="yellow",
            )


def _show(asked: Asked) -> None:
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 80
    prompt = asked.waiting.prompt
    typer.echo()
    _rule(f"{asked.number:,} of {asked.of:,}", width)
    tell(visible(prompt if isinstance(prompt, str) else _conversation(prompt)))
    for place, answer in enumerate(asked.answers, start=1):
        _rule(f"answer {place}", width)
        tell(visible(answer.text) if answer.text.strip() else "(empty)", fg="cyan")
    _rule("", width)


def _conversation(prompt: Sequence[Message]) -> str:
    """The turns, each with who said it where there are several."""
    if len(prompt) == 1:
        return prompt[0].content
    return "\n".join(f"{turn.role}: {turn.content}" for turn in prompt)


def _rule(title: str, width: int) -> None:
    named = f"── {title} " if title else ""
    typer.secho(named.ljust(min(width, 80), "─"), dim=True)


def _edited(asked: Asked) -> Corrected | None:
    """A better answer in place of one of the two; None if it was left as it was."""
    from tunesmith.runs.feedback_collect import Corrected

    try:
        which = input("Which one do you correct? 1 or 2: ").strip()
        if which not in ("1", "2"):
            return None
        place: Literal[0, 1] = 0 if which == "1" else 1
        old = asked.answers[place].text
        editor = _editor()
        new = _typed() if editor is None else _in_editor(editor, old)
    except EOFError:
        return None
    if not new.strip() or new == old:
        tell("Nothing was corrected.", err=True, dim=True)
        return None
    tell("Now the two answers as they are:", err=True, dim=True)
    return Corrected(place, new)


def _editor() -> str | None:
    """The command of the user's editor, where there is a terminal for it."""
    return (os.environ.get("VISUAL") or os.environ.get("EDITOR")) if sys.stdin.isatty() else None


def _in_editor(editor: str, text: str) -> str:
    """What somebody makes of a text in an editor; the text itself if the editor fails."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "answer.txt"
        file.write_text(text, encoding="utf-8")
        try:
            subprocess.run([*shlex.split(editor), str(file)], check=True)
            edited = file.read_text(encoding="utf-8")
        except (OSError, ValueError, subprocess.CalledProcessError) as error:
            tell(f"The editor {editor} failed ({error}).", err=True, fg="yellow")
            return text
    # Editors end the last line.
    return edited if text.endswith("\n") else edited.removesuffix("\n")


def _typed() -> str:
    tell(f"Type the answer as it should be; a line with a single {_END!r} ends it.", err=True)
    return "\n".join(iter(input, _END))
