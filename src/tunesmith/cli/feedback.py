"""`tunesmith feedback`: what people say of answers, kept, and made into rows to learn from."""

from __future__ import annotations

import json
from collections import deque
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tunesmith.cli.feedback_collect import collect
from tunesmith.cli.options import AsJson, Home, StoreFile, store_of
from tunesmith.cli.text import tell
from tunesmith.core.errors import InputError
from tunesmith.core.text import visible

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping, Sequence

    from tunesmith.data.feedback import Feedback
    from tunesmith.data.feedback.counts import Counts
    from tunesmith.runs.feedback_files import Exported

_INDENT = 10
_SHORT = 300
"""Characters of a text that `show` prints."""
_NOBODY = {"model": "(not known)", "person": "(no name)"}


class Form(str, Enum):
    """What rows teach."""

    preference = "preference"
    rating = "rating"
    sft = "sft"


def add(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Judgements.", show_default=False)
    ],
    person: Annotated[
        str, typer.Option(metavar="NAME", help="Who judged, where a row does not say it.")
    ] = "",
    store: StoreFile = None,
    home: Home = None,
) -> None:
    """Keep judgements from files: choices, ratings and edits, one object a line.

    {"prompt": ..., "answers": [{"text": ...}, {"text": ...}], "preferred": 1, 2 or "tie"};
    {"prompt": ..., "answer": {"text": ...}, "liked": true} or, in place of "liked", "corrected".
    Beside a text may stand model, version and sampling; beside the prompt person, time and id.
    """
    from tunesmith.evaluate.wording import plural
    from tunesmith.runs.feedback_files import judgements_in

    judgements = judgements_in([*map(str, files)], person)
    opened = store_of(store, home)
    new = opened.add_all(judgements)
    tell(
        f"{opened.path}: {new:,} of {plural(len(judgements), 'judgement')} added; "
        f"{len(judgements) - new:,} known already."
    )


def list_(store: StoreFile = None, home: Home = None, as_json: AsJson = False) -> None:
    """Count the judgements in the store by kind, model and person."""
    from tunesmith.data.feedback.counts import counted

    opened = store_of(store, home, new=False)
    found = counted(opened)
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=2, ensure_ascii=False))
        return
    _print_counts(found, opened.path)


def show(
    rows: Annotated[int, typer.Option(metavar="N", min=1, help="How many judgements.")] = 5,
    store: StoreFile = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Show the judgements that came last.

    With --json they are the lines that `tunesmith feedback add` takes.
    """
    from tunesmith.data.feedback.rows import fields_of

    for each in deque(store_of(store, home, new=False), maxlen=rows):
        if as_json:
            typer.echo(json.dumps(fields_of(each), ensure_ascii=False))
        else:
            _print_feedback(each)


def export(
    form: Annotated[
        Form, typer.Option("--as", help="Pairs, rated answers, or answers to imitate.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="A new file.", show_default=False)],
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Only what was said from then on: 2026-05-04."),
    ] = None,
    person: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only what this person said.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only what is about answers of this model.")
    ] = None,
    agreed: Annotated[
        bool, typer.Option("--agreed", help="Leave out what anybody judged otherwise.")
    ] = False,
    persons: Annotated[
        bool, typer.Option("--persons", help="Write into each row who judged.")
    ] = False,
    store: StoreFile = None,
    home: Home = None,
) -> None:
    """Make rows to learn from: what most people say, each row with its provenance.

    Of what one person said of the same twice the later counts; ties and draws are left out. An edit
    makes a pair, a liked and a disliked answer, or an answer to imitate; a choice makes pairs only,
    a rating no pairs. Who judged is not written unless --persons asks for it.
    """
    from tunesmith.data.feedback import Wanted
    from tunesmith.runs.feedback_files import export as export_rows

    wanted = Wanted(person=person, model=model, since=_time(since))
    opened = store_of(store, home, new=False)
    done = export_rows(opened, form.value, out, wanted, undisputed=agreed, persons=persons)
    _print_exported(done, out)


feedback = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="Keep what people say of answers."
)
feedback.command("collect")(collect)
feedback.command("add")(add)
feedback.command("list")(list_)
feedback.command("show")(show)
feedback.command("export")(export)


def _time(text: str | None) -> str | None:
    from tunesmith.data.feedback.records import utc

    try:
        return None if text is None else utc(text)
    except (ValueError, OverflowError):
        raise InputError(
            f"--since {text}: a time is written as 2026-05-04 or 2026-05-04T12:30, in UTC."
        ) from None


def _print_counts(found: Counts, path: Path) -> None:
    from tunesmith.data.feedback.counts import OF_MODELS, OF_PERSONS
    from tunesmith.evaluate.wording import plural

    kinds = ", ".join(f"{kind} {count:,}" for kind, count in found.kinds.items())
    tell(f"{path}: {plural(found.kinds.total(), 'judgement')}{f' ({kinds})' if kinds else ''}.")
    if found.decided:
        tell(
            f"The answer shown first was preferred in {found.first:,} of {found.decided:,} choices."
        )
    if found.kinds:
        _print_table("model", found.models, OF_MODELS)
        _print_table("person", found.persons, OF_PERSONS)


def _print_table(title: str, named: Mapping[str, Counter[str]], keys: Sequence[str]) -> None:
    names = {name: visible(name) or _NOBODY[title] for name in sorted(named)}
    wide = max(map(len, (title, *names.values())))
    typer.secho(f"\n{title:<{wide}}{''.join(f'{key:>10}' for key in keys)}", bold=True)
    for name, shown in names.items():
        typer.echo(f"{shown:<{wide}}{''.join(f'{named[name][key]:>10,}' for key in keys)}")


def _print_feedback(each: Feedback) -> None:
    tell(f"{each.time[:19]}  {each.kind}  {each.person or _NOBODY['person']}", bold=True)
    for name, text in (("asked", _asked(each)), *_said(each)):
        tell(f"{name:<{_INDENT}}{_short(text)}", hang=_INDENT)
    typer.echo()


def _asked(each: Feedback) -> str:
    return each.prompt if isinstance(each.prompt, str) else each.prompt[-1].content


def _said(each: Feedback) -> list[tuple[str, str]]:
    """What was judged, each text with its name."""
    from tunesmith.data.feedback import Choice, Rated

    said = each.judgement
    if isinstance(said, Choice):
        names = {"first": ("better", "worse"), "second": ("worse", "better"), "tie": ("tie", "tie")}
        return [*zip(names[said.preferred], (said.first.text, said.second.text), strict=True)]
    if isinstance(said, Rated):
        return [("liked" if said.liked else "disliked", said.answer.text)]
    return [("answer", said.answer.text), ("corrected", said.corrected)]


def _short(text: str) -> str:
    shown = visible(text)
    return shown if len(shown) <= _SHORT else f"{shown[:_SHORT]}…"


def _print_exported(done: Exported, out: Path) -> None:
    from tunesmith.data.feedback.settle import MEANING
    from tunesmith.evaluate.wording import percent, plural

    tell(f"{out}: {plural(done.rows, 'row')} of {plural(done.used, 'judgement')}.")
    left = f"{done.left_out.total():,} left out"
    tell(f"{plural(done.read, 'judgement')} = {done.used:,} used + {left}.")
    for reason, count in done.left_out.items():
        tell(f"  {count:>6,}  {reason}: {MEANING[reason]}", hang=10)
    if (found := done.agreement) is not None:
        beyond = "" if found.alpha is None else f"; Krippendorff's alpha {found.alpha:.2f}"
        agreed = f"{found.agreed:,} of {found.pairs:,} pairs of judgements agree"
        tell(
            f"{plural(found.questions, 'question')} judged by several people: {agreed} "
            f"({percent(found.agreed / found.pairs)}){beyond}."
        )
