"""Write a recipe as YAML that `load` reads back: whole, with its reasons, or what is not usual."""

from __future__ import annotations

import textwrap

from tunesmith.recipe import yaml12
from tunesmith.recipe.resolve import Resolved
from tunesmith.recipe.sections import Recipe

_HEAD = (
    "# The recipe as it was run. A comment says why a value that was left `auto` is what it is.\n"
)


def dump(resolved: Resolved) -> str:
    """The whole recipe, one line a field, ending with a newline."""
    lines = [_HEAD]
    for section, fields in resolved.recipe.model_dump(mode="json").items():
        lines.append(f"{section}:\n")
        for field, value in fields.items():
            reason = resolved.reasons.get(f"{section}.{field}")
            comment = f"  # auto: {' '.join(reason.split())}" if reason else ""
            lines.append(f"  {field}: {yaml12.inline(value)}{comment}\n")
    return "".join(lines)


def sparse(recipe: Recipe, head: str) -> str:
    """Only what differs from the defaults, below `head` as comments, ending with a newline."""
    lines = [f"# {line}\n" for line in textwrap.wrap(head, 97)]
    for section, fields in recipe.model_dump(mode="json", exclude_defaults=True).items():
        lines.append(f"{section}:\n")
        lines += [f"  {field}: {yaml12.inline(value)}\n" for field, value in fields.items()]
    return "".join(lines)
