"""`tunesmith grade`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from tunesmith.cli.options import AsJson, Overrides
from tunesmith.cli.text import tell

_SHOWN = 3


def grade(
    data: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="Rows with a prompt, an answer and what graders read."),
    ],
    grader: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="A recipe with a section reward, or JSON with one grader or a list.",
        ),
    ],
    field: Annotated[
        str, typer.Option(metavar="NAME", help="The field of the rows that holds the answer.")
    ] = "completion",
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write each answer's grade here, as JSON lines."),
    ] = None,
    set_: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Try a reward on answers that are there already, before a model learns from it.

    Says what the answers are worth, by the reward and by each of its parts, and how many could not
    be graded, and why. All fields of a row but the answer are its `item`.
    """
    from tunesmith.core.files import require_new, write_jsonl
    from tunesmith.runs.grade import answers_of, grade_answers, recipe_of, summary

    if out is not None:
        require_new(out, "the grades")
    recipe = recipe_of(grader, set_ or ())
    reward, found = grade_answers(recipe, answers_of(data, field))
    graded = list(found)
    if out is not None:
        write_jsonl(out, (each.to_json() for each in graded))
    figures = summary(graded, reward)
    if as_json:
        typer.echo(json.dumps(figures, indent=2, ensure_ascii=False))
        return
    _tell(figures, [each.grade.failed for each in graded if each.grade.failed])
    if reward.walls:
        tell(f"code was run behind {reward.walls}", hang=2)
    if out is not None:
        tell(f"grades    {out}")


def _tell(figures: dict[str, Any], failed: list[str]) -> None:
    tell(f"{figures['graded']} of {figures['answers']} answers graded, {figures['failed']} not")
    for sentence in failed[:_SHOWN]:
        tell(f"- {sentence}", hang=2)
    if len(failed) > _SHOWN:
        tell(f"- and {len(failed) - _SHOWN} more")
    rows = {"reward": figures["reward"], **figures["parts"]}
    width = max(map(len, rows))
    for name, each in rows.items():
        if each is not None:
            tell(
                f"{name:<{width}}  mean {each['mean']:.4g}, from {each['lowest']:.4g} to "
                f"{each['highest']:.4g}"
            )
    judges = figures["judges"]
    if judges["requests"]:
        tell(
            f"judges: {judges['requests']} requests, {judges['retries']} made again, "
            f"{judges['unread']} replies not readable, {judges['failed']} answers without a grade"
        )
