"""`tunesmith distil`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tunesmith.cli.options import Mapped, mapping_of
from tunesmith.cli.text import tell
from tunesmith.core.errors import InputError
from tunesmith.core.text import visible

if TYPE_CHECKING:
    from tunesmith.runs.distil import Foreseen, TokenPrices


def distil(
    data: Annotated[
        list[Path],
        typer.Option(
            metavar="FILE",
            help="Rows with a prompt, or with an answer, which is not looked at. May be repeated.",
            show_default=False,
        ),
    ],
    url: Annotated[
        str,
        typer.Option(
            help="An OpenAI-compatible endpoint, as in http://localhost:8000/v1.",
            show_default=False,
        ),
    ],
    model: Annotated[
        str, typer.Option(help="What the endpoint calls the teacher.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="A new file.", show_default=False)],
    key_variable: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The environment variable with the endpoint's key."),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(min=0, help="How freely the teacher answers; else as the endpoint does."),
    ] = None,
    max_tokens: Annotated[
        int, typer.Option(min=1, help="The longest answer; longer ones are cut off and left out.")
    ] = 1024,
    parallel: Annotated[int, typer.Option(min=1, help="Requests under way at once.")] = 4,
    timeout: Annotated[
        float, typer.Option(min=0.001, help="Seconds after which a request is made again.")
    ] = 60.0,
    prompt_price: Annotated[
        float | None,
        typer.Option(min=0, help="What you pay for a million tokens read.", show_default=False),
    ] = None,
    answer_price: Annotated[
        float | None,
        typer.Option(min=0, help="What you pay for a million tokens written.", show_default=False),
    ] = None,
    currency: Annotated[
        str, typer.Option(help="What is printed behind amounts, as EUR.", show_default=False)
    ] = "",
    mapped: Mapped = None,
    yes: Annotated[bool, typer.Option("--yes", help="Send without asking first.")] = False,
) -> None:
    """Let a model behind an endpoint answer questions, as rows for another model to learn.

    How much goes where, and what it may cost, is said before anything is sent. Replies are kept in
    OUT.replies.jsonl, so the same command goes on after an interruption; OUT.ledger.jsonl says what
    became of each row. Answers that are empty, refused or cut off are left out.
    """
    from tunesmith.cli.console import progress
    from tunesmith.models.endpoint import Endpoint, key_from
    from tunesmith.runs.distil import distil as distil_rows

    endpoint = Endpoint(
        url=url.rstrip("/"),
        model=model,
        key=key_from(key_variable, "--key-variable"),
        temperature=temperature,
        max_tokens=max_tokens,
        timeout=timeout,
        parallel=parallel,
    )
    prices = _prices(prompt_price, answer_price, currency)
    files = [str(path) for path in data]
    with progress(plain=True) as watcher:
        done = distil_rows(
            files, out, endpoint, _agreeing(yes), prices, mapping_of(mapped), watcher
        )
    if done is None:
        typer.echo("Nothing was sent.")
        return
    for sentence in (*done.notes, *done.first):
        tell(visible(sentence))
    left = ", ".join(f"{reason} {rows:,}" for reason, rows in done.left_out.most_common())
    tell(f"{out}: {done.written:,} of {done.rows_in:,} rows; left out: {left or 'none'}.")


def _prices(prompt: float | None, answer: float | None, currency: str) -> TokenPrices | None:
    from tunesmith.runs.distil import TokenPrices

    if prompt is None and answer is None:
        return None
    if prompt is None or answer is None:
        raise typer.BadParameter(
            "--prompt-price and --answer-price are the two halves of what a request costs. Give "
            "both; 0 is a price, too."
        )
    return TokenPrices(prompt, answer, currency)


def _agreeing(yes: bool) -> Callable[[Foreseen], bool]:
    """Shows what is going to be sent, and asks whether to."""

    def agree(foreseen: Foreseen) -> bool:
        for sentence in foreseen.sentences():
            tell(sentence)
        if yes:
            return True
        if not sys.stdin.isatty():
            raise InputError(
                "Nothing was sent, for nobody can be asked whether to. Add --yes to send it."
            )
        try:
            return typer.confirm("Send them?")
        except typer.Abort:
            return False

    return agree
