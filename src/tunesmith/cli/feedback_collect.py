"""`tunesmith feedback collect`: two answers side by side, and a person at a terminal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tunesmith.cli.feedback_ask import ask
from tunesmith.cli.options import Home, StoreFile, run_named, store_of
from tunesmith.cli.text import tell
from tunesmith.core.errors import InputError
from tunesmith.core.text import visible

if TYPE_CHECKING:
    from tunesmith.runs.answering import Answerer
    from tunesmith.runs.feedback_collect import Collected
    from tunesmith.runs.feedback_pairs import Answers, Pairs


def collect(
    model: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Who answers: a run folder, the name of a promoted model, or a base.",
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Who else answers; without it the model answers twice."),
    ] = None,
    prompts: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Rows with a prompt or messages. May be repeated."),
    ] = None,
    answers_file: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Answers from elsewhere instead: rows with a prompt and two answers.",
        ),
    ] = None,
    person: Annotated[str, typer.Option(metavar="NAME", help="Who judges: any label.")] = "",
    temperature: Annotated[
        float, typer.Option(metavar="T", min=0.0, help="How freely the models answer.")
    ] = 0.7,
    max_new_tokens: Annotated[
        int, typer.Option(metavar="N", min=1, help="The longest answer, in tokens.")
    ] = 256,
    seed: Annotated[int, typer.Option(help="Another seed draws other answers.")] = 0,
    store: StoreFile = None,
    home: Home = None,
) -> None:
    """Ask a person which of two answers is better, and keep each choice at once.

    Who gave which answer is not shown, and the order is drawn by the seed. What this person has
    compared before is not asked again, so the same command goes on after an interruption.
    """
    _require(model, against, prompts, answers_file, temperature)
    if answers_file:
        from tunesmith.runs.feedback_pairs import written_pairs

        pairs = written_pairs([*map(str, answers_file)])
    else:
        names = [name for name in (model, against) if name is not None]
        sampling = {"temperature": temperature, "max_new_tokens": max_new_tokens, "seed": seed}
        pairs = _drawn(names, [*map(str, prompts or ())], home, sampling)
    opened = store_of(store, home)
    from tunesmith.runs.feedback_collect import collect as collect_from

    collected = collect_from(pairs, opened, ask, person=person, seed=seed)
    _print(collected, pairs, opened.path)


def _require(
    model: str | None,
    against: str | None,
    prompts: list[Path] | None,
    answers_file: list[Path] | None,
    temperature: float,
) -> None:
    """Raises InputError for options that do not make a whole."""
    if answers_file and (model or against or prompts):
        raise InputError(
            "--answers-file brings prompts and answers along: leave out --model, --against and "
            "--prompts."
        )
    if not answers_file and not (model and prompts):
        raise InputError(
            "Nothing says which answers to compare. Give --model RUN with --prompts FILE, or "
            "--answers-file FILE."
        )
    if model is not None and model == against:
        raise InputError(
            "--model and --against name the same model, whose answers would be the same. Name "
            "another, or leave out --against: the model then answers twice."
        )
    if not answers_file and not against and temperature == 0:
        raise InputError(
            "At temperature 0 a model gives the same answer each time. Give another --temperature, "
            "or a second model with --against."
        )


def _drawn(names: list[str], prompts: list[str], home: Path | None, sampling: Any) -> Pairs:
    from tunesmith.runs.feedback_pairs import drawn_pairs

    def opened() -> list[Answerer]:
        from tunesmith.cli.console import progress

        with progress() as watcher:
            watcher.stage("open", " and ".join(names))
            from tunesmith.runs.answering import Sampling, open_answerer

            drawing = Sampling(**sampling)
            return [open_answerer(each, run_named(Path(each), home), drawing) for each in names]

    pairs = drawn_pairs(prompts, opened)
    pairs.waiting = [replace(each, draw=_waited(each.draw)) for each in pairs.waiting]
    return pairs


def _waited(draw: Callable[[], Answers | None]) -> Callable[[], Answers | None]:
    """The same, with something that moves on the terminal meanwhile."""
    from rich.console import Console

    def drawn() -> Answers | None:
        with Console(stderr=True).status("the answers are being written"):
            return draw()

    return drawn


def _print(collected: Collected, pairs: Pairs, store: Path) -> None:
    from tunesmith.evaluate.wording import plural

    typer.echo()
    for sentence in pairs.first:
        tell(visible(sentence))
    if pairs.left_out:
        listed = ", ".join(f"{reason} {rows:,}" for reason, rows in pairs.left_out.most_common())
        tell(f"Not asked about: {listed}.")
    if collected.known:
        tell(f"{plural(collected.known, 'pair')} compared before by the same person.")
    said = ", ".join(f"{what} {count:,}" for what, count in sorted(collected.said.items()))
    tell(f"{store}: {plural(collected.kept, 'judgement')} added{f' ({said})' if said else ''}.")
    if collected.left:
        skipped = f" ({collected.skipped:,} skipped)" if collected.skipped else ""
        tell(f"{plural(collected.left, 'pair')} left{skipped}: the same command goes on.")
