"""`tunesmith data convert`: the rows of a data file in another format."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from tunesmith.cli.options import Mapped, mapping_of
from tunesmith.cli.text import tell
from tunesmith.core.text import visible


def convert(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="IN", help="Examples: a file, a folder or a pattern.", show_default=False
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new file.", show_default=False)],
    to: Annotated[
        str,
        typer.Option(
            metavar="FORMAT",
            help="chat, sharegpt, instruction, completion, prompt, text, preference, "
            "openai_preference, rating, label, tags, pair, triplet or image.",
        ),
    ] = "chat",
    agent: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="IN is a chat log, and NAME an author or a role whose messages are to be learned. "
            "May be repeated.",
        ),
    ] = None,
    skip: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Leave out what NAME wrote: system notes, bots. For chat logs; may be repeated.",
        ),
    ] = None,
    mapped: Mapped = None,
) -> None:
    """Write the rows of a file as JSON lines in another format.

    Rows that the format cannot hold are left out and counted. With --agent the messages of a chat
    log become conversations, and OUT.ledger.jsonl says what became of each.
    """
    mapping = mapping_of(mapped)
    if agent:
        _convert_log(str(file), out, to, agent, skip or [], mapping)
        return
    if skip:
        raise typer.BadParameter("--skip is for chat logs: name the agents with --agent, too.")
    from tunesmith.runs.convert import convert as convert_rows

    converted = convert_rows([str(file)], out, to, mapping)
    for sentence in (*converted.notes, *converted.recognised):
        tell(sentence)
    for sentence in converted.first:
        tell(visible(sentence))
    tell(f"{out}: {converted.written:,} rows as {to}; left out: {_listed(converted.left_out)}.")


def _convert_log(
    file: str, out: Path, to: str, agents: list[str], skipped: list[str], mapping: dict[str, str]
) -> None:
    from tunesmith.runs.convert_log import convert_log

    made = convert_log([file], out, to, agents, skipped=skipped, mapping=mapping)
    for sentence in (*made.recognised, *made.first):
        tell(visible(sentence))
    if made.branched:
        tell("Replies answer replies: each answer stands behind those that it answers.")
    tell(
        f"{_count(made.messages, 'message')} in: {made.trained:,} of agents to learn, "
        f"{made.context:,} as context, {made.left_out.total():,} left out "
        f"({_listed(made.left_out)})."
    )
    tell(
        f"{out}: {_count(made.conversations, 'conversation')} as {to}, in which "
        f"{_count(made.merged, 'message')} joined the one before, by the same side."
    )
    tell(f"{made.ledger}: what became of each message.")


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in counts.most_common()) or "none"


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
