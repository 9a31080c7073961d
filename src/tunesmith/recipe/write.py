"""Write a recipe as YAML that `load` reads back, the reason of each `auto` value at its line."""

from __future__ import annotations

from tunesmith.recipe import yaml12
from tunesmith.recipe.resolve import Resolved

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
